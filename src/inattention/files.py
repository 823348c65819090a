"""Files that are complete or absent, and folders that one process works in.

Everything is written under a temporary name beside its place, then renamed.
"""

import json
import os
import shutil
from collections.abc import Callable, Collection, Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from inattention.main_guard import end_if_run_again

LOCK = ".lock"
_MARK = ".writing-"  # in the temporary names, `.NAME.writing-PROCESS`


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Yield a temporary path beside `path`, which takes its place at the end of the `with` block.

    Nothing is replaced if the block raises. Large files are written this way, others by the functions below.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "numbers.txt"
    >>> with replacing(path) as temporary, temporary.open("w") as file:
    ...     _ = file.write("1 2 3")
    >>> path.read_text()
    '1 2 3'
    """
    temporary = path.with_name(f".{path.name}{_MARK}{os.getpid()}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, all or nothing."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a text file, all or nothing."""
    write_bytes(path, content.encode())


def write_json(path: Path, data: Any) -> None:
    """Write indented JSON, all or nothing."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def once(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the JSON content of a file, after writing it if it does not exist.

    Args:
        path: the file.
        make: returns the content; it is called only if there is no file.
    """
    if not path.exists():
        write_json(path, make())
    return json.loads(path.read_text(encoding="utf-8"))


def write_lines(path: Path, rows: Iterable[Any]) -> None:
    """Write rows as JSON lines, all or nothing."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def check_writable(folder: Path) -> None:
    """Raise if files could not be written to a folder, which need not exist; nothing is created.

    Raises:
        ValueError: with the path that is in the way.
    """
    place = folder.absolute()
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    path = os.fsencode(place).decode(errors="backslashreplace")
    if not place.is_dir():
        raise ValueError(f"{folder} cannot be made a folder for the results: {path} is not a folder; choose another")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ValueError(f"{path} cannot be written: Permission denied; grant it, or choose another folder")


@contextmanager
def folder_for(folder: Path, *, worthless: Collection[str]) -> Generator[None]:
    """Create a folder, and remove it again if the block is refused (ValueError) before it holds anything of worth.

    Args:
        folder: the folder; its parents are created too.
        worthless: names in it that may be removed.
    """
    missing = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except ValueError:
        if missing and all(path.name in worthless for path in folder.iterdir()):
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):  # not empty: another process uses it
                for path in missing[1:]:
                    path.rmdir()
        raise


def remove_temporaries(folder: Path) -> None:
    """Remove what killed processes left in a folder and below it; no other process may write there."""
    for path in folder.rglob(f".*{_MARK}*"):
        path.unlink(missing_ok=True)


@contextmanager
def folder_lock(
    folder: Path, refused: type[Exception] = ValueError, *, name: str = LOCK, message: str = ""
) -> Generator[None]:
    """Hold the lock of a folder, which the system releases when the process ends, however it ends.

    Args:
        folder: An existing folder.
        refused: Type of the error if another process holds the lock.
        name: The lock's file, which stays.
        message: Text of that error; by default it names the folder and asks to wait, or to choose another.

    Raises:
        refused: Another process holds the lock.
        OSError: The folder cannot be written.
    """
    from filelock import FileLock, Timeout

    end_if_run_again()
    lock = FileLock(folder / name)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        default = f"another run is working in {folder}; wait for it, or choose another folder"
        raise refused(message or default) from None
    try:
        yield
    finally:
        lock.release()
