"""Preparation of a corpus that is complete or absent, and that resumes after an interruption.

Everything is written to a hidden folder beside the destination, `.<name>.partial-<key>`, which takes the
destination's name at the very end. The folder stays when a run is interrupted; the next run with the same config reuses
the results of finished jobs (`recall`) and does the rest.
"""

import gzip
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from inattention.corpora.core.corpus import FORMAT, INFO_FILE, SPLITS, Corpus, corpus_key, open_corpus
from inattention.corpora.core.cut_files import cuts_path
from inattention.corpora.core.ledger import Ledger
from inattention.corpora.core.preparation import as_lines
from inattention.corpora.errors import CorpusError
from inattention.files import folder_lock, remove_temporaries, replacing, write_text
from inattention.text import printable

if TYPE_CHECKING:
    import lhotse

_JOBS = "jobs"
_LOCK = "lock"
_WAITING = "lines"
_LONGEST_EXAMPLE = 600
_BAD_ITEMS_KEPT = 1000  # in corpus.json; preparation.json has all of them


@dataclass(frozen=True, kw_only=True)
class CorpusSpec:
    """Everything that is known of a corpus before it is prepared.

    Attributes:
        name: The kind of corpus.
        config: The full config, as JSON.
        generator: Version of the code that makes a corpus of a config; raise it when the outcome changes.
        phones: The phone inventory in order.
        caveat: What readers of numbers from this corpus must know, in a sentence.
        packages: Installed packages whose versions affect the outcome.
        audio_root: Folder of the audio that the cuts refer to, if it is not in the corpus itself.
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
        """Key of the corpus, see `corpus_key`."""
        return corpus_key(self.name, self.config, self.generator)


def write_corpus(
    folder: str | Path, spec: CorpusSpec, fill: Callable[["CorpusWriter"], None], *, overwrite: bool
) -> Corpus:
    """Prepare a corpus in `folder`, unless the same one is there, which is reported on stderr.

    Args:
        folder: Where to write the corpus.
        spec: The corpus to prepare.
        fill: Adds every cut to its argument.
        overwrite: Prepare the corpus in any case, and replace the corpus in `folder`.

    Raises:
        CorpusError: `folder` holds something else, it cannot be written, another process is preparing it, or a
            split came out empty.
    """
    destination = Path(folder).expanduser().resolve()
    existing = None if _is_free(destination) or overwrite else open_corpus(destination)
    if existing is None:
        try:
            with CorpusWriter(destination, spec) as writer:
                fill(writer)
                return writer.finish()
        except OSError as error:
            raise CorpusError(f"cannot write a corpus to {destination}: {error}") from error
    if existing.key != spec.key:
        raise CorpusError(
            f"{destination} holds a corpus of another config ({existing.name}, key {existing.key}): choose another "
            "folder, or replace it with --overwrite"
        )
    root = str(spec.audio_root) if spec.audio_root else None
    if existing.info.get("audio_root") != root:
        existing = _move_root(existing, root)
    print(f"{destination} holds this corpus already: nothing to do (--overwrite prepares it again)", file=sys.stderr)
    return existing


def _move_root(corpus: Corpus, root: str | None) -> Corpus:
    """Change the folder in which a corpus finds the same audio."""
    info = {**corpus.info, "audio_root": root}
    _write_info(corpus.folder, info)
    return open_corpus(corpus.folder)


def _is_free(folder: Path) -> bool:
    """Return whether `folder` is empty or absent; raise for anything but a corpus, which is never replaced."""
    try:
        if not folder.exists() or not any(folder.iterdir()):
            return True
    except OSError as error:
        raise CorpusError(f"cannot write a corpus to {folder}: {error}") from error
    if not (folder / INFO_FILE).exists():
        raise CorpusError(f"{folder} holds something that is no corpus: choose another folder")
    return False


class CorpusWriter:
    """Takes the cuts of one corpus, in any order; created by `write_corpus`.

    Attributes:
        folder: Where to write until the corpus is complete; audio goes into `audio/` in it.
        phones: The phone inventory in order; set it before the end where it depends on the labels.
        ledger: What becomes of each item; `found`, `skip`, `repair`, `ignore` and `add` record it.
    """

    def __init__(self, destination: Path, spec: CorpusSpec) -> None:
        self._destination = destination
        self._spec = spec
        self.folder = destination.parent / f".{destination.name}.partial-{spec.key}"
        self.phones = spec.phones
        # Lines wait in a file, and only their places in memory: phones of a large corpus are gigabytes.
        self._lines: dict[str, list[tuple[bytes, int, int]]] = {split: [] for split in SPLITS}
        self._seconds = dict.fromkeys(SPLITS, 0.0)
        self._speakers: dict[str, set[str]] = {split: set() for split in SPLITS}
        self.ledger = Ledger(spec.name)
        self._reports: dict[str, Any] = {}
        self._ids: set[str] = set()

    def __enter__(self) -> "CorpusWriter":
        (self.folder / _JOBS).mkdir(parents=True, exist_ok=True)
        taken = f"another process is preparing {self._destination}: wait for it"
        with ExitStack() as stack:
            stack.enter_context(folder_lock(self.folder, CorpusError, name=_LOCK, message=taken))
            remove_temporaries(self.folder)
            self._waiting = stack.enter_context((self.folder / _WAITING).open("w+b"))
            stack.callback(self.ledger.close)
            self._open = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, ValueError) and self.folder.is_dir() and not self._holds_work():
            shutil.rmtree(self.folder, ignore_errors=True)  # refused: there is nothing to resume
        self._open.close()

    def _holds_work(self) -> bool:
        """Return whether there is anything that the next run would not do again."""
        kept = (path for path in self.folder.iterdir() if path.name not in (_JOBS, _LOCK, _WAITING))
        return any(path.is_dir() for path in kept) or any((self.folder / _JOBS).glob("*"))

    def recall(self, job: str) -> Any | None:
        """Return the result that an earlier, interrupted run has recorded for a job, or None."""
        path = self._job_path(job)
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def record(self, job: str, result: Any) -> None:
        """Keep the result of a finished job (JSON), in case this run is interrupted."""
        write_text(self._job_path(job), json.dumps(result))

    def add(self, split: str, cut: "lhotse.cut.Cut", *, item: str | None = None) -> None:
        """Add a cut with one supervision, whose recording's path is relative to the corpus.

        A supervision without a speaker or without phones is skipped by the tasks that need them.

        Args:
            split: Of the corpus.
            cut: The cut.
            item: The recording that the cut is a piece of, for the ledger: pieces are added one after the other and
                count once. By default the cut is an item of its own.

        Raises:
            CorpusError: A cut of that id was added before.
        """
        if cut.id in self._ids:
            raise CorpusError(f"two cuts are called {cut.id}")
        self._ids.add(cut.id)
        # An order that mixes speakers and that depends on nothing but the ids.
        order = hashlib.sha256(cut.id.encode()).digest()
        # ASCII, because the name of a file need not be text.
        line = json.dumps(cut.to_dict()).encode() + b"\n"
        self._lines[split].append((order, self._waiting.tell(), len(line)))
        self._waiting.write(line)
        self._seconds[split] += cut.duration
        supervision = cut.supervisions[0]
        speaker = None if supervision.speaker is None else str(supervision.speaker)
        if speaker is not None:
            self._speakers[split].add(speaker)
        phones = (supervision.alignment or {}).get("phone")
        self.ledger.use(
            item or cut.id,
            seconds=cut.duration,
            speaker=speaker,
            labelled=sum(phone.duration for phone in phones) if phones else None,
            text=bool(supervision.text),
        )

    def found(self, kind: str, count: int) -> None:
        """Add to the number of items of a kind that the reader came across; see `Ledger.found`."""
        self.ledger.found(kind, count)

    def skip(
        self,
        item: str,
        reason: str,
        *,
        kind: str = "recording",
        category: str | None = None,
        seconds: float = 0.0,
        speaker: str | None = None,
    ) -> None:
        """Record an item that could not be used, with the reason; see `Ledger.skip`."""
        self.ledger.skip(item, reason, kind=kind, category=category, seconds=seconds, speaker=speaker)

    def repair(self, item: str, reason: str, *, kind: str = "label", category: str | None = None) -> None:
        """Record what was mended in an item that is used; see `Ledger.repair`."""
        self.ledger.repair(item, reason, kind=kind, category=category)

    def ignore(self, item: str, category: str, *, kind: str = "file", seconds: float = 0.0) -> None:
        """Record an item that is left out on purpose; see `Ledger.ignore`."""
        self.ledger.ignore(item, category, kind=kind, seconds=seconds)

    def lack(self, item: str, what: str) -> None:
        """Record a recording that is used although it has no labels or text; see `Ledger.lack`."""
        self.ledger.lack(item, what)

    def report(self, name: str, facts: dict[str, Any]) -> None:
        """Add facts (JSON) about the outcome to `corpus.json`, under a name that is not used there."""
        self._reports[name] = facts

    def finish(self) -> Corpus:
        """Write manifests and `corpus.json`, move the folder to its place, and open the corpus.

        Raises:
            CorpusError: A split is empty.
        """
        for split in SPLITS:
            if not self._lines[split]:
                shutil.rmtree(self.folder)
                raise CorpusError(self._empty(split))
            self._write_lines(split)
        _write_info(self.folder, self._info())
        self.ledger.write(self.folder)
        self._move_into_place()
        return open_corpus(self._destination)

    def _empty(self, split: str) -> str:
        """Print the ledger on stderr, and return why a split is empty and what helps."""
        summary = self.ledger.summary()
        for line in as_lines(summary):
            print(printable(line), file=sys.stderr)
        used = next(count.used for count in summary.counts if count.kind == "recording")
        skipped, first = self.ledger.skipped(1)
        bad = f" ({skipped} bad items, such as {_short(*first[0])})" if first else ""
        if not used:
            advice = "no recording can be used; the reasons are above"
        else:
            advice = (
                f"{used} recordings are too few for train, dev and test: add some (each speaker with three recordings "
                "is in all splits)"
            )
            if self._spec.name == "folder":
                advice += ", or set a lower --longest-seconds, which divides long ones into pieces"
        return f"nothing to put into the split {split!r} of {self._destination}{bad}: {advice}"

    def _write_lines(self, split: str) -> None:
        """Write the shuffled lines of a split, without the name and the time that gzip would add."""
        with (
            replacing(cuts_path(self.folder, split)) as temporary,
            temporary.open("wb") as file,
            gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as compressed,
        ):
            for _, start, length in sorted(self._lines[split]):
                self._waiting.seek(start)
                compressed.write(self._waiting.read(length))

    def _info(self) -> dict[str, Any]:
        bad, items = self.ledger.skipped(_BAD_ITEMS_KEPT)
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
            "bad_items": {"count": bad, "items": items},
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


def _short(item: str, reason: str) -> str:
    text = f"{item}: {reason}"
    return text if len(text) <= _LONGEST_EXAMPLE else text[: _LONGEST_EXAMPLE - 1] + "…"


def _write_info(folder: Path, info: dict[str, Any]) -> None:
    # ASCII, because the name of a speaker or a path need not be text.
    write_text(folder / INFO_FILE, json.dumps(info, indent=2) + "\n")
