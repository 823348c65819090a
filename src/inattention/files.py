"""Writing files so that each is whole or not there: under a temporary name beside it, then renamed.

And having a folder to oneself meanwhile.
"""

import fcntl
import json
import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    temporary = path.with_name(f".{path.name}.writing-{os.getpid()}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    """Write a text file, whole or not at all."""
    write_bytes(path, content.encode())


def write_json(path: Path, data: Any) -> None:
    """Write JSON, whole or not at all."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def write_lines(path: Path, rows: Iterable[Any]) -> None:
    """Write rows as JSON lines, whole or not at all."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


@contextmanager
def owned(folder: Path, refused: type[Exception] = ValueError) -> Generator[None]:
    """Be the only one at work in a folder; the system lets go when the process ends, however it ends.

    Args:
        folder: the folder.
        refused: the kind of error that tells of another.

    Raises:
        refused: if another process is at work in it.
        OSError: if it cannot be written.
    """
    with open(folder / ".lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise refused(f"another run is working in {folder}; wait for it, or choose another folder") from None
        yield
