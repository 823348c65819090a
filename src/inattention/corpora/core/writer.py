"""Preparing a corpus so that it is either whole or not there, and so that an interrupted run goes on.

Everything is written to a hidden folder beside the destination, `.<name>.partial-<key>`, which takes the
destination's name at the very end. The folder stays when a run is interrupted; the next run with the same config finds
the jobs that were finished (`recall`) and does the rest.
"""

import gzip
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from inattention.corpora.core.corpus import FORMAT, INFO_FILE, SPLITS, Corpus, corpus_key, open_corpus
from inattention.corpora.core.cut_files import cuts_path
from inattention.corpora.errors import CorpusError

if TYPE_CHECKING:
    import lhotse

_JOBS = "jobs"
_LOCK = "lock"
_WAITING = "lines"


@dataclass(frozen=True, kw_only=True)
class CorpusSpec:
    """What a corpus is to be, before it is.

    Attributes:
        name: The kind of corpus.
        config: The full config, as JSON.
        generator: Version of the code that turns a config into a corpus; raise it when the outcome changes.
        phones: The phone inventory in order.
        caveat: What a reader of numbers from this corpus must know, in a sentence.
        packages: Installed packages whose versions shape the outcome.
        audio_root: Where the audio stands that the cuts refer to, if it is not in the corpus itself.
    """

    name: str
    config: dict[str, Any]
    generator: int
    phones: tuple[str, ...]
    caveat: str
    packages: tuple[str, ...]
    audio_root: Path | None = None

    @property
    def key(self) -> str:
        """The corpus's key, see `corpus_key`."""
        return corpus_key(self.name, self.config, self.generator)


def write_corpus(
    folder: str | Path, spec: CorpusSpec, fill: Callable[["CorpusWriter"], None], *, overwrite: bool
) -> Corpus:
    """Prepare a corpus in `folder`, unless the very same one stands there, which is said on stderr.

    Args:
        folder: Where the corpus is to stand.
        spec: What it is to be.
        fill: Adds every cut to the writer it is given.
        overwrite: Prepare the corpus in any case, and replace the corpus that stands in `folder`.

    Raises:
        CorpusError: Something else stands in `folder`, it cannot be written, another process is preparing it, or a
            split came out empty.
    """
    destination = Path(folder).expanduser().resolve()
    standing = None if _is_free(destination) or overwrite else open_corpus(destination)
    if standing is None:
        try:
            with CorpusWriter(destination, spec) as writer:
                fill(writer)
                return writer.finish()
        except OSError as error:
            raise CorpusError(f"cannot write a corpus to {destination}: {error}") from error
    if standing.key != spec.key:
        raise CorpusError(
            f"{destination} holds a corpus of another config ({standing.name}, key {standing.key}): choose another "
            "folder, or replace it with --overwrite"
        )
    root = str(spec.audio_root) if spec.audio_root else None
    if standing.info.get("audio_root") != root:
        standing = _move_root(standing, root)
    print(f"{destination} holds this corpus already: nothing to do (--overwrite makes it anew)", file=sys.stderr)
    return standing


def _move_root(corpus: Corpus, root: str | None) -> Corpus:
    """Point a corpus at the place where the same audio stands now."""
    info = {**corpus.info, "audio_root": root}
    _write_atomically(corpus.folder / INFO_FILE, (json.dumps(info, indent=2) + "\n").encode())
    return open_corpus(corpus.folder)


def _is_free(folder: Path) -> bool:
    """Whether nothing stands in `folder`; anything there that is no corpus is an error, and is never replaced."""
    try:
        if not folder.exists() or not any(folder.iterdir()):
            return True
    except OSError as error:
        raise CorpusError(f"cannot write a corpus to {folder}: {error}") from error
    if not (folder / INFO_FILE).exists():
        raise CorpusError(f"{folder} holds something that is no corpus: choose another folder")
    return False


class CorpusWriter:
    """Takes the cuts of one corpus, in any order; made by `write_corpus`.

    Attributes:
        folder: Where to write until the corpus is whole; audio goes into `audio/` in it.
        phones: The phone inventory in order; a corpus that learns it from its labels sets it before the end.
    """

    def __init__(self, destination: Path, spec: CorpusSpec) -> None:
        self._destination = destination
        self._spec = spec
        self.folder = destination.parent / f".{destination.name}.partial-{spec.key}"
        self.phones = spec.phones
        # Lines wait in a file, and here only where each begins: phones of a large corpus are gigabytes.
        self._lines: dict[str, list[tuple[bytes, int, int]]] = {split: [] for split in SPLITS}
        self._seconds = dict.fromkeys(SPLITS, 0.0)
        self._speakers: dict[str, set[str]] = {split: set() for split in SPLITS}
        self._bad_items: list[tuple[str, str]] = []
        self._reports: dict[str, Any] = {}
        self._ids: set[str] = set()

    def __enter__(self) -> "CorpusWriter":
        import fcntl  # Unix only; the command line must start everywhere

        (self.folder / _JOBS).mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / _LOCK).open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise CorpusError(f"another process is preparing {self._destination}: wait for it") from None
        self._waiting = (self.folder / _WAITING).open("w+b")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.close()
        self._lock.close()  # gives up the lock too, as the end of a killed process does

    def recall(self, job: str) -> Any | None:
        """What `record` was given for this job by an earlier run that was interrupted; None if it was not."""
        path = self._job_path(job)
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def record(self, job: str, result: Any) -> None:
        """Keep the result of a finished job (JSON) for a later run, should this one be interrupted."""
        _write_atomically(self._job_path(job), json.dumps(result).encode())

    def add(self, split: str, cut: "lhotse.cut.Cut") -> None:
        """Add a cut with one supervision, whose recording's path is relative to the corpus.

        A supervision without a speaker or without phones is left out of the tasks that need them.

        Raises:
            CorpusError: A cut of that id was added before.
        """
        if cut.id in self._ids:
            raise CorpusError(f"two cuts are called {cut.id}")
        self._ids.add(cut.id)
        # An order that mixes speakers and that depends on nothing but the ids.
        order = hashlib.sha256(cut.id.encode()).digest()
        # ASCII, for the name of a file need not be text.
        line = json.dumps(cut.to_dict()).encode() + b"\n"
        self._lines[split].append((order, self._waiting.tell(), len(line)))
        self._waiting.write(line)
        self._seconds[split] += cut.duration
        speaker = cut.supervisions[0].speaker
        if speaker is not None:
            self._speakers[split].add(str(speaker))

    def skip(self, item: str, reason: str) -> None:
        """Count an item that could not be used, with the reason."""
        self._bad_items.append((item, reason))

    def report(self, name: str, facts: dict[str, Any]) -> None:
        """Put facts (JSON) about how the corpus came out into `corpus.json`, under a name that is not taken there."""
        self._reports[name] = facts

    def finish(self) -> Corpus:
        """Write manifests and `corpus.json`, move the folder to its place, and open it.

        Raises:
            CorpusError: A split is empty.
        """
        for split in SPLITS:
            if not self._lines[split]:
                shutil.rmtree(self.folder)
                bad = "; ".join(f"{item}: {reason}" for item, reason in self._bad_items[:3])
                raise CorpusError(
                    f"nothing to put into the split {split!r} of {self._destination}"
                    + (f" ({len(self._bad_items)} bad items, such as {bad})" if bad else "")
                )
            self._write_lines(split)
        _write_atomically(self.folder / INFO_FILE, (json.dumps(self._info(), indent=2) + "\n").encode())
        self._move_into_place()
        return open_corpus(self._destination)

    def _write_lines(self, split: str) -> None:
        """Write a split's lines in their mixed order, without the name and the time that gzip would keep."""
        path = cuts_path(self.folder, split)
        temporary = path.with_name(path.name + ".tmp")
        with temporary.open("wb") as file, gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as compressed:
            for _, start, length in sorted(self._lines[split]):
                self._waiting.seek(start)
                compressed.write(self._waiting.read(length))
        os.rename(temporary, path)

    def _info(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "name": self._spec.name,
            "key": self._spec.key,
            "caveat": self._spec.caveat,
            "generator": self._spec.generator,
            "config": self._spec.config,
            "versions": {package: version(package) for package in self._spec.packages},
            "splits": {
                split: {
                    "cuts": len(self._lines[split]),
                    "hours": round(self._seconds[split] / 3600, 6),
                    "speakers": len(self._speakers[split]),
                }
                for split in SPLITS
            },
            "bad_items": {"count": len(self._bad_items), "items": sorted(self._bad_items)},
            **self._reports,
            "phones": self.phones,
            "audio_root": str(self._spec.audio_root) if self._spec.audio_root else None,
            "speakers": sorted(set().union(*self._speakers.values())),
        }

    def _move_into_place(self) -> None:
        shutil.rmtree(self.folder / _JOBS)
        for name in (_LOCK, _WAITING):
            (self.folder / name).unlink()
        old = self.folder.with_name(self.folder.name + "-replaced")
        shutil.rmtree(old, ignore_errors=True)
        if self._destination.exists():
            os.rename(self._destination, old)
        os.rename(self.folder, self._destination)
        shutil.rmtree(old, ignore_errors=True)

    def _job_path(self, job: str) -> Path:
        return self.folder / _JOBS / f"{job}.json"


def _write_atomically(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(data)
    os.rename(temporary, path)
