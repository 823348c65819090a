"""Fixtures of the probes' tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inattention.corpora.core.corpus import Corpus
from inattention.encoders.mel import MelSource
from toy_corpus import SMALL, Utterance, utterances, write_corpus


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A corpus with nothing wrong in it."""
    return write_corpus(tmp_path_factory.mktemp("corpus") / "toy", utterances())


@pytest.fixture
def spoiled(tmp_path: Path) -> Callable[..., Corpus]:
    """Write a small corpus after something was done to its utterances, by their ids."""

    def make(spoil: Callable[[dict[str, Utterance]], None], **options: Any) -> Corpus:
        made = {utterance.id: utterance for utterance in utterances(train=2, dev=1, test=1)}
        spoil(made)
        return write_corpus(tmp_path / "spoiled", list(made.values()), **options)

    return make


@pytest.fixture
def mel() -> MelSource:
    """A source that is quick to compute and in which both speaker and phone are plain."""
    return MelSource(SMALL)
