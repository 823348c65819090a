import pytest

from inattention.cli import main
from inattention.cli.corpus import prepare_corpus
from inattention.corpora.checks.description import describe
from inattention.corpora.core.corpus import Corpus
from inattention.corpora.errors import CorpusError
from inattention.corpora.readers.espeak.reader import CAVEAT, EspeakConfig, prepare
from inattention.corpora.registry import CORPORA, corpus_kind


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpora") / "espeak"
    return prepare(EspeakConfig(hours=0.02, voices=3), folder, workers=1, progress=False)


def test_every_registered_corpus_can_be_found():
    for kind in CORPORA.values():
        assert callable(kind.prepare())
        assert kind.config_class()()  # its defaults are valid


def test_espeak_is_registered():
    assert corpus_kind("espeak").config_class() is EspeakConfig
    assert corpus_kind("espeak").prepare() is prepare


def test_an_unknown_corpus_is_told_the_known_ones():
    with pytest.raises(CorpusError, match="no corpus 'espaek': choose from espeak"):
        corpus_kind("espaek")


def test_preparing_what_stands_there_prints_what_it_holds(corpus, capsys):
    config = EspeakConfig(**corpus.info["config"])
    assert prepare_corpus("espeak", config, corpus.folder, progress=False).key == corpus.key
    assert capsys.readouterr().out.strip() == describe(corpus)


def test_the_description_says_hours_speakers_bad_items_and_the_caveat(corpus, capsys):
    assert main(["corpus", "show", str(corpus.folder)]) == 0
    text = capsys.readouterr().out
    for part in ("train", "dev", "test", f"3 speakers, {len(corpus.phones)} phones", "recordings: ", CAVEAT):
        assert part in text
