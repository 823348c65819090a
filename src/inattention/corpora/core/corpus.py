"""The format of a prepared corpus on disk, and opening one.

A prepared corpus is a folder that can be moved as a whole:

    corpus.json           what it holds and how it was made
    preparation.json      what became of everything that was found, with all names and reasons
    cuts-train.jsonl.gz   lhotse cuts, one per line; their recordings' paths are relative to the folder
    cuts-dev.jsonl.gz
    cuts-test.jsonl.gz
    audio/

or, where `corpus.json` has an `audio_root`, one whose audio is elsewhere: the recordings' paths are then relative to
that folder. Change `audio_root` when the audio moves.

Each cut has one supervision: `speaker`, `text`, and, where phones are known, `alignment["phone"]`: lhotse
`AlignmentItem(symbol, start, duration)` in seconds, one after the other over the whole cut, silence included; a gap
means that the phone is not known there. A cut without a speaker or without phones is used wherever these are not
needed: for training, and for the probe of the other label. Cuts of a split are shuffled, so that any part of it has
many speakers.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inattention.corpora.core.cut_files import CutLines, cuts_path
from inattention.corpora.errors import CorpusError

if TYPE_CHECKING:
    import lhotse

FORMAT = 1
SPLITS = ("train", "dev", "test")
INFO_FILE = "corpus.json"
_INFO_FIELDS = {"name": str, "key": str, "config": dict, "phones": list, "speakers": list, "splits": dict}

_ITEMS = {"phones": str, "speakers": str, "splits": dict}


@dataclass(frozen=True)
class Corpus:
    """A prepared corpus.

    Attributes:
        folder: Its absolute path.
        info: All of `corpus.json`.
    """

    folder: Path
    info: dict[str, Any]

    @property
    def name(self) -> str:
        """The kind of corpus, such as `espeak`."""
        return self.info["name"]

    @property
    def phones(self) -> tuple[str, ...]:
        """The phone inventory in order; empty if the corpus has no phone labels."""
        return tuple(self.info["phones"])

    @property
    def speakers(self) -> tuple[str, ...]:
        """The speakers in order, the classes of the speaker probe; cuts may have none."""
        return tuple(self.info["speakers"])

    @property
    def audio_root(self) -> Path:
        """Where the recordings' paths begin: the corpus itself, or the folder that holds its audio."""
        return Path(self.info.get("audio_root") or self.folder)

    @property
    def key(self) -> str:
        """Digest of what the corpus was made from: equal keys mean the same config and the same generator."""
        return self.info["key"]

    def cuts(self, split: str) -> "lhotse.CutSet":
        """Return the cuts of a split, read lazily and checked line by line; their recordings' paths are absolute.

        A damaged line, or one that would do more than read audio files, raises a CorpusError when it is reached.

        Raises:
            CorpusError: There is no such split, or the folder with the audio is missing.
        """
        from lhotse import CutSet

        if split not in SPLITS:
            raise CorpusError(f"{self.folder} has no split {split!r}: choose from {', '.join(SPLITS)}")
        if not self.audio_root.is_dir():
            raise CorpusError(
                f"the audio of {self.folder} should be in {self.audio_root}, which is not there: if it has moved, "
                f"change audio_root in {self.folder / INFO_FILE}"
            )
        return CutSet(CutLines(cuts_path(self.folder, split), self.audio_root))


def open_corpus(folder: str | Path) -> Corpus:
    """Open the prepared corpus in `folder`.

    Raises:
        CorpusError: There is none, it is damaged, or it has another format.
    """
    folder = Path(folder).expanduser().resolve()
    path = folder / INFO_FILE
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise CorpusError(
            f"no prepared corpus in {folder}: make one with `inattention corpus prepare espeak --out {folder}`"
        ) from None
    except (ValueError, RecursionError) as error:  # no text, no JSON, or endless nesting
        raise CorpusError(f"{path} is damaged ({error}): prepare the corpus again with --overwrite") from None
    if not isinstance(info, dict) or "format" not in info:
        raise CorpusError(f"{path} does not describe a corpus: prepare it again with --overwrite")
    if info["format"] != FORMAT:
        raise CorpusError(
            f"{path} has format {info['format']}, this version reads format {FORMAT}: prepare the corpus again "
            "with --overwrite"
        )
    wrong = [field for field, kind in _INFO_FIELDS.items() if not isinstance(info.get(field), kind)]
    wrong = wrong or [f"sound {field}" for field, kind in _ITEMS.items() if not _all_are(kind, info[field])]
    if wrong:
        raise CorpusError(f"{path} lacks {', '.join(wrong)}: prepare the corpus again with --overwrite")
    root = info.get("audio_root")
    if root is not None and not (isinstance(root, str) and os.path.isabs(root)):
        raise CorpusError(f"{path}: audio_root must be an absolute path, not {root!r}")
    missing = [split for split in SPLITS if not cuts_path(folder, split).is_file()]
    if missing:
        raise CorpusError(
            f"{folder} lacks {cuts_path(folder, missing[0]).name}: copy the whole folder, or prepare the corpus again "
            "with --overwrite"
        )
    return Corpus(folder, info)


def _all_are(kind: type, values: Any) -> bool:
    return all(isinstance(value, kind) for value in (values.values() if isinstance(values, dict) else values))


def corpus_key(name: str, config: dict[str, Any], generator: int) -> str:
    """Return 16 hex digits of the kind of corpus, its config and its generator's version, the same on every machine.

    >>> corpus_key("espeak", {"hours": 1}, 1) == corpus_key("espeak", {"hours": 1.0}, 1)
    True
    """
    canonical = json.dumps([name, _numbers_as_floats(config), generator], sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _numbers_as_floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _numbers_as_floats(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_numbers_as_floats(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value
