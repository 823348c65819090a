"""The kinds of corpora that can be prepared. A new kind is a module of its own and one entry here."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from inattention.corpora.core.corpus import Corpus
from inattention.corpora.errors import CorpusError


@runtime_checkable
class Prepare(Protocol):
    """The function `prepare` of each reader."""

    def __call__(
        self,
        config: Any,
        folder: str | Path,
        *,
        overwrite: bool = False,
        workers: int | None = None,
        progress: bool = True,
    ) -> Corpus:
        """Prepare a corpus in `folder`, unless the same corpus is there already.

        Args:
            config: The reader's settings.
            folder: The folder of the corpus.
            overwrite: Prepare the corpus in any case, and replace one that is in `folder`.
            workers: Processes; by default one per core. The corpus does not depend on their number.
            progress: Show a progress bar on stderr.

        Raises:
            CorpusError: `folder` contains something else or cannot be written, or the corpus cannot be made; the
                message says why.
        """
        ...


@dataclass(frozen=True)
class CorpusKind:
    """A kind of corpus, whose module is not imported before it is used.

    Attributes:
        module: The reader's module, with a function `prepare` (see `Prepare`). Importing it is cheap.
        config_name: The dataclass of settings in that module.
        summary: A line for help texts.
    """

    module: str
    config_name: str
    summary: str

    def config_class(self) -> type[Any]:
        """Return the dataclass of its settings."""
        return getattr(importlib.import_module(self.module), self.config_name)

    def prepare(self) -> Prepare:
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
    "cutset": CorpusKind(
        "inattention.corpora.readers.cutset", "CutSetConfig", "lhotse manifests (cuts, recordings), or a Shar folder"
    ),
    "kaldi": CorpusKind(
        "inattention.corpora.readers.kaldi.reader", "KaldiConfig", "A Kaldi data folder (wav.scp, segments, utt2spk)"
    ),
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
        CorpusError: There is no such kind.
    """
    if name not in CORPORA:
        raise CorpusError(f"there is no corpus {name!r}: choose from {', '.join(CORPORA)}")
    return CORPORA[name]
