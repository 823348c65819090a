"""The rows of a split of a local dataset, read by worker processes shard by shard."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inattention.corpora.core.audio_paths import AudioPaths
from inattention.corpora.core.writer import CorpusWriter
from inattention.corpora.errors import CorpusError
from inattention.corpora.readers.tables.shards import Shards
from inattention.corpora.readers.tables.worker import RowsJob
from inattention.corpora.workers.pool import Failure, WorkerPool, seconds_for
from inattention.progress import bar as progress_bar
from inattention.text import printable

_WORKER = "inattention.corpora.readers.tables.worker"
_DAMAGED = "damaged shard"


@dataclass(frozen=True)
class Columns:
    """Names of columns.

    Attributes:
        audio: Of the audio: bytes, a path, or both.
        speaker: Of the speaker; none if empty.
        text: Of the text; none if empty.
    """

    audio: str
    speaker: str
    text: str

    def check_names(self, there: Iterable[str], name: str) -> None:
        """Raise if the dataset or file of that name lacks a column.

        Raises:
            CorpusError: The message lists the columns and names the option.
        """
        names = list(there)
        for option, column in asdict(self).items():
            if column and column not in names:
                none = "" if option == "audio" else f", --{option} '' reads none"
                raise CorpusError(
                    f"{name} has no column {column!r} (it has: {', '.join(names)}): --{option} COLUMN selects "
                    f"another{none}"
                )

    def check(self, there: dict[str, str], path: Path) -> None:
        """Raise if a column is missing or its audio is of another type.

        Raises:
            CorpusError: The message lists the columns.
        """
        self.check_names(there, path.name)
        if there[self.audio] not in ("bytes", "path", "struct"):
            raise CorpusError(
                f"the column {self.audio!r} of {path.name} holds {there[self.audio]}: it must hold encoded audio "
                "(bytes), paths, or a struct of both"
            )


@dataclass(frozen=True)
class Row:
    """A row with audio.

    Attributes:
        number: Of the row in its split.
        path: The audio: relative to the corpus if it was stored there, else absolute.
        speaker: The speaker, if known.
        text: The text, if there is one.
    """

    number: int
    path: str
    speaker: str | None
    text: str | None


@dataclass(frozen=True)
class _Part:
    """A row group, from the row `first` of its split."""

    path: Path
    group: int
    first: int
    rows: int
    classes: list[str] | None


def read_rows(
    writer: CorpusWriter,
    shards: Shards,
    columns: Columns,
    *,
    split: str,
    prefix: str,
    most_rows: int,
    audio_root: Path | None,
    workers: int | None,
    progress: bool,
) -> Iterator[Row]:
    """Yield the rows of a split with their audio, which is stored in the corpus if the rows contain it.

    Args:
        writer: Counts what cannot be used.
        shards: The files.
        columns: Their columns.
        split: The split of the corpus, which names the folder of the audio.
        prefix: Of the names of rows, such as `train-` for `train-0000012`.
        most_rows: Rows to read at most; all if 0.
        audio_root: See `AudioPaths`.
        workers: Number of processes.
        progress: Show a progress bar.

    Raises:
        CorpusError: A column is missing, or no file can be read.
    """
    for name in shards.missing:
        writer.found("file", 1)
        writer.skip(printable(name), "this shard of the dataset is missing", kind="file", category="missing shard")
    with WorkerPool(_WORKER, workers, quiet=True) as pool:
        parts = list(_parts(writer, pool, shards, columns, most_rows))

        def ask(part: _Part) -> tuple[_Part, Any]:
            job = RowsJob(
                **asdict(columns),
                path=str(part.path),
                group=part.group,
                rows=part.rows,
                folder=str(writer.folder),
                target=f"audio/{split}",
            )
            return part, pool.ask(asdict(job), seconds_for(str(part.path)))

        total = sum(part.rows for part in parts)
        with progress_bar(total=total, desc=f"reading {prefix}rows", unit="row", show=progress) as bar:
            for part, answer in pool.map(ask, parts):
                yield from _rows(writer, shards, part, answer, prefix=prefix, audio_root=audio_root)
                bar.update(part.rows)


def _parts(writer: CorpusWriter, pool: WorkerPool, shards: Shards, columns: Columns, most_rows: int) -> Iterator[_Part]:
    """Yield the row groups of all shards; damaged shards are counted."""
    first, reasons = 0, []
    asked = pool.map(lambda path: (path, pool.ask({"path": str(path)}, seconds_for(str(path)))), shards.paths)
    for path, found in asked:
        reason = found.reason if isinstance(found, Failure) else found["damage"]
        if reason:
            reasons.append(reason)
            writer.found("file", 1)
            writer.skip(_name(shards, path), f"is damaged: {reason}", kind="file", category=_DAMAGED)
        if isinstance(found, Failure):
            continue
        columns.check(found["columns"], path)
        for group, rows in enumerate(found["groups"]):
            left = min(rows, most_rows - first) if most_rows else rows
            if left > 0:
                yield _Part(path, group, first, left, found["classes"].get(columns.speaker))
            first += rows
    if not first and reasons:
        raise CorpusError(f"no shard in {shards.folder} can be read, because each is damaged: {reasons[0]}")


def _name(shards: Shards, path: Path) -> str:
    return printable(str(path.relative_to(shards.folder)))


def _rows(
    writer: CorpusWriter, shards: Shards, part: _Part, answer: Any, *, prefix: str, audio_root: Path | None
) -> Iterator[Row]:
    """Yield the usable rows of a part; others are counted, with those of which the file is damaged."""
    writer.found("recording", part.rows)
    rows = [] if isinstance(answer, Failure) else answer["rows"]
    reason = answer.reason if isinstance(answer, Failure) else answer["damage"]
    paths = AudioPaths(part.path.parent, audio_root)
    for number, (stored, named, speaker, text, odd) in enumerate(rows, part.first):
        item = f"{prefix}{number:07d}"
        if odd:
            writer.skip(item, f"its text is no text but {odd}", kind="text")
        if stored is None and named is None:
            writer.skip(item, "has no audio")
            continue
        try:
            path = stored or paths.find(named)
        except CorpusError as error:
            writer.skip(item, str(error), category=getattr(error, "category", "damaged row"))
            continue
        yield Row(number, path, _speaker(speaker, part.classes), text)
    for number in range(part.first + len(rows), part.first + part.rows):
        where = f"{_name(shards, part.path)} is damaged in its row group {part.group}"
        writer.skip(f"{prefix}{number:07d}", f"{where}: {reason or 'it ends early'}", category=_DAMAGED)


def _speaker(value: str | int | None, classes: list[str] | None) -> str | None:
    if value is None:
        return None
    if classes is not None and isinstance(value, int):
        return printable(classes[value]) if 0 <= value < len(classes) else None
    return printable(str(value))
