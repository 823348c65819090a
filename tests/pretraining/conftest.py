"""A small corpus, a run on it, and what an undisturbed command makes of it."""

from pathlib import Path

import pytest

from inattention import cli
from inattention.corpora.core.corpus import Corpus
from inattention.model.config import AudioTransformerConfig
from inattention.pretraining.config import PretrainingConfig
from inattention.pretraining.manifest import Run
from speech import make_corpus
from together import small

MODEL = AudioTransformerConfig(attention="patterned", width=24, feed_forward=48, layers=2, max_length=48, dropout=0.1)
TRAINING = PretrainingConfig(steps=14, batch_size=5, validate_every=5, held_out_draws=2, checkpoint_minutes=0)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus") / "tones")


@pytest.fixture
def run(corpus: Corpus) -> Run:
    return Run(MODEL, TRAINING, corpus, seed=3)


@pytest.fixture(scope="module")
def whole(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert cli.main(small(corpus.folder, folder)) == 0
    return folder
