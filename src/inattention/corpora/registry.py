"""The corpora that can be prepared. A new one is a module of its own and one line here."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from inattention.corpora.core.corpus import Corpus
from inattention.corpora.errors import CorpusError


@dataclass(frozen=True)
class CorpusKind:
    """Where the code of a kind of corpus is; it is imported when it is needed.

    Attributes:
        module: Name of its module, which has `prepare(config, folder, *, overwrite, workers, progress) -> Corpus`.
        config_name: Name of the config's dataclass in that module, whose import is light.
        summary: One line for help texts.
    """

    module: str
    config_name: str
    summary: str

    def config_class(self) -> type[Any]:
        """Return the dataclass that configures it."""
        return getattr(importlib.import_module(self.module), self.config_name)

    def prepare(self) -> Callable[..., Corpus]:
        """Return the function that prepares it."""
        return importlib.import_module(self.module).prepare


CORPORA: dict[str, CorpusKind] = {
    "espeak": CorpusKind(
        "inattention.corpora.readers.espeak.reader", "EspeakConfig", "Synthetic speech in many voices, from nothing"
    ),
    "librispeech": CorpusKind(
        "inattention.corpora.readers.librispeech", "LibriSpeechConfig", "LibriSpeech, as it is published"
    ),
    "timit": CorpusKind("inattention.corpora.readers.timit", "TimitConfig", "TIMIT, with its phones folded to 39"),
    "folder": CorpusKind("inattention.corpora.readers.folder", "FolderConfig", "Any folder of recordings"),
    "cutset": CorpusKind("inattention.corpora.readers.cutset", "CutSetConfig", "A lhotse CutSet, or a Shar folder"),
    "hf": CorpusKind(
        "inattention.corpora.readers.huggingface", "HuggingFaceConfig", "An audio set for Hugging Face datasets"
    ),
    "queen": CorpusKind(
        "inattention.corpora.readers.queen.reader", "QueenConfig", "Real acted English of a game from 1995, by apt"
    ),
}


def corpus_kind(name: str) -> CorpusKind:
    """Return the kind of corpus of a name.

    Raises:
        CorpusError: There is none of that name.
    """
    if name not in CORPORA:
        raise CorpusError(f"there is no corpus {name!r}: choose from {', '.join(CORPORA)}")
    return CORPORA[name]
