"""Ending a run early without losing anything: signals wait for the end of a step, and a full disk is said."""

import errno
import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any


class RunStopped(Exception):
    """A run that ended early on request, after a checkpoint; the same call goes on."""


class RunDiverged(Exception):
    """A run whose loss is no longer a number."""


class RunError(ValueError):
    """A run that cannot be started or gone on with, and what to do."""


def is_first_process() -> bool:
    """Say whether this process is the one that writes, before Lightning has brought all together.

    torchrun numbers processes by RANK; those that Lightning starts itself have NODE_RANK and LOCAL_RANK.
    """
    if "RANK" in os.environ:
        return os.environ["RANK"] == "0"
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


class StopRequests:
    """Notes SIGTERM (a scheduler) and SIGINT (Ctrl-C) until the step under way has ended.

    A second Ctrl-C does not wait. Outside the main thread, where no signals can be caught, nothing is noted.
    """

    def __init__(self) -> None:
        self.received: str | None = None

    @contextmanager
    def noted(self) -> Generator[None]:
        """Note signals while the block runs."""
        before = self.listen()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def listen(self) -> dict[signal.Signals, Any]:
        """Note signals from now on, whoever noted them before, who is given back.

        Lightning puts its own handler of SIGTERM in the way, which speaks to the other processes in the middle of
        whatever they do, and waits for them for ever.
        """
        if threading.current_thread() is not threading.main_thread():
            return {}
        return {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received == "SIGINT" and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number).name


@contextmanager
def writing(folder: Path) -> Generator[None]:
    """Say in words that a folder cannot be written, whatever part of a run found out.

    Raises:
        RunError: if the disk is full, or the folder may not be written; the message says what to do.
    """
    try:
        yield
    except OSError as error:
        elsewhere = error.filename is not None and not Path(os.fsdecode(error.filename)).is_relative_to(folder)
        if error.errno not in _CANNOT_WRITE or elsewhere:
            raise
        raise RunError(
            f"{folder} cannot be written: {error.strerror}. What was saved before stands: "
            f"{_CANNOT_WRITE[error.errno]}, and give the same command again"
        ) from error


_CANNOT_WRITE = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room in the quota",
    errno.EFBIG: "allow larger files",
    errno.EROFS: "mount the disk for writing, or choose another folder",
    errno.EACCES: "allow writing there, or choose another folder",
    errno.EPERM: "allow writing there, or choose another folder",
}
