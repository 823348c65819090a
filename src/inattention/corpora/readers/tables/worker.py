"""The worker of `rows`: reads a table with pyarrow, and stores the audio that is in it.

A process of its own with limited memory: a damaged file may crash pyarrow, or make it ask for any amount of memory.
"""

import json
import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inattention.corpora.readers.stored_audio import audio_digest, store_audio
from inattention.corpora.workers.serving import serve

if TYPE_CHECKING:
    import pyarrow as pa

MOST_MEMORY = 2**30
ROWS_AT_A_TIME = 8  # of which the audio is in memory
_LONGEST_TEXT = 2**20


@dataclass(frozen=True)
class RowsJob:
    """Rows of a table to read.

    Attributes:
        path: The file.
        group: Number of the row group in a Parquet file.
        rows: How many rows to read at most.
        audio: The column of the audio.
        speaker: The column of the speaker; none if empty.
        text: The column of the text; none if empty.
        folder: The folder of the corpus.
        target: The folder in it for the audio.
    """

    path: str
    group: int
    rows: int
    audio: str
    speaker: str
    text: str
    folder: str
    target: str


def main() -> None:
    """Answer jobs until there are no more: a `RowsJob`, or `{"path": ...}` for what a file has."""
    _limit_memory()
    import pyarrow as pa

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    serve(answer, _damage())


def _limit_memory() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if sys.platform == "linux":  # elsewhere the limit does not cover memory of this kind
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, hard))


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a job as JSON; `damage` says why there are not more rows."""
    if "audio" not in job:
        return contents(Path(job["path"]))
    wanted = RowsJob(**job)
    rows: list[list[Any]] = []
    try:
        for batch in _batches(wanted):
            for row in batch.to_pylist():
                if len(rows) == wanted.rows:
                    return {"rows": rows, "damage": ""}
                rows.append(_row(wanted, row))
    except _damage() as error:
        return {"rows": rows, "damage": _reason(error)}
    return {"rows": rows, "damage": ""}


def contents(path: Path) -> dict[str, Any]:
    """Return the number of rows in each group, the types of the columns, and the names of classes."""
    import pyarrow as pa

    damage = ""
    if path.suffix.lower() == ".parquet":
        file = _parquet(path)
        groups = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
        schema = file.schema_arrow
    else:
        with pa.memory_map(str(path)) as source:
            schema = _open(source).schema
        groups = [0]
        try:
            for batch in _arrow(path):
                groups[0] += batch.num_rows
        except _damage() as error:
            damage = _reason(error)
    kinds = {schema.field(i).name: _kind(schema.field(i).type) for i in range(len(schema))}
    return {"groups": groups, "columns": kinds, "classes": _classes(schema.metadata or {}), "damage": damage}


def _damage() -> tuple[type[Exception], ...]:
    """Return what pyarrow raises for a damaged file."""
    import pyarrow as pa

    return (pa.ArrowException, OSError, ValueError, TypeError, LookupError, OverflowError, MemoryError)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _kind(kind: "pa.DataType") -> str:
    """Return how a column may hold audio: `bytes`, `path` or `struct`; else the name of its type."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        fields = {kind.field(i).name for i in range(kind.num_fields)}
        return "struct" if fields & {"bytes", "path"} else str(kind)[:80]
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return "bytes"
    return "path" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else str(kind)[:80]


def _classes(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """Return the names of the columns of classes, which hold numbers, from what `datasets` stores in a schema."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        named = {name: kind["names"] for name, kind in features.items() if kind.get("_type") == "ClassLabel"}
        return {name: names for name, names in named.items() if all(isinstance(word, str) for word in names)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _parquet(path: Path) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False)


def _arrow(path: Path) -> "Iterator[pa.RecordBatch]":
    """Yield the batches of an Arrow file."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        reader = _open(source)
        for number in range(reader.num_record_batches) if hasattr(reader, "num_record_batches") else ():
            yield reader.get_batch(number)
        if not hasattr(reader, "num_record_batches"):
            yield from reader


def _open(source: "pa.MemoryMappedFile") -> Any:
    """Open an Arrow file: a stream, as `datasets` writes, or a file with an index."""
    import pyarrow as pa

    has_index = source.read(6) == b"ARROW1"
    source.seek(0)
    return pa.ipc.open_file(source) if has_index else pa.ipc.open_stream(source)


def _batches(job: RowsJob) -> "Iterator[pa.RecordBatch]":
    columns = [name for name in (job.audio, job.speaker, job.text) if name]
    if job.path.lower().endswith(".parquet"):
        file = _parquet(Path(job.path))
        yield from file.iter_batches(
            batch_size=ROWS_AT_A_TIME, row_groups=[job.group], columns=columns, use_threads=False
        )
        return
    for batch in _arrow(Path(job.path)):
        # A damaged file may have places outside of its own memory, which only this check finds.
        batch.validate(full=True)
        chosen = batch.select(columns)
        for first in range(0, chosen.num_rows, ROWS_AT_A_TIME):
            yield chosen.slice(first, ROWS_AT_A_TIME)


def _row(job: RowsJob, row: dict[str, Any]) -> list[Any]:
    """Store a row's audio; return where, the path that the row names, speaker, text, the type of a wrong text."""
    audio = row[job.audio]
    if not isinstance(audio, dict):
        audio = {"path" if isinstance(audio, str) else "bytes": audio}
    data, named = audio.get("bytes"), audio.get("path")
    stored = None
    if isinstance(data, bytes) and data:
        digest = audio_digest(data)
        stored = f"{job.target}/{digest[:2]}/{digest}"
        store_audio(Path(job.folder), stored, data)
    speaker, text = (row[name] if name else None for name in (job.speaker, job.text))
    return [
        stored,
        named if isinstance(named, str) else None,
        speaker if isinstance(speaker, str | int | None) else str(speaker)[:200],
        text[:_LONGEST_TEXT] if isinstance(text, str) else None,
        "" if isinstance(text, str | None) else type(text).__name__,
    ]


if __name__ == "__main__":
    main()
