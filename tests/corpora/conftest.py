import pytest

from inattention.corpora.readers.espeak.reader import EspeakConfig, prepare


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Six minutes of eight voices."""
    folder = tmp_path_factory.mktemp("corpora") / "espeak"
    return prepare(EspeakConfig(hours=0.1, voices=8), folder, workers=2, progress=False)
