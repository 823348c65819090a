"""Early ends of a run: checkpoint and stop on signals, and report files that cannot be written."""

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
    """The run stopped on request, after a checkpoint; the same call resumes it.

    Attributes:
        signal: the signal that asked for it.
    """

    signal: int = signal.SIGTERM


class RunDiverged(Exception):
    """The loss became NaN or infinite."""


class RunError(ValueError):
    """The run cannot be started or resumed; the message says what to do."""


def is_first_process() -> bool:
    """Return whether this process is the one that writes; usable before Lightning has connected the processes.

    torchrun numbers processes by RANK; those that Lightning starts itself have NODE_RANK and LOCAL_RANK.
    """
    if "RANK" in os.environ:
        return os.environ["RANK"] == "0"
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


class StopRequests:
    """Records SIGTERM (from a scheduler) and SIGINT (Ctrl-C), so that the current step can end first.

    A second Ctrl-C interrupts at once. Outside the main thread, where signals cannot be caught, nothing is recorded.

    Attributes:
        received: name of the last signal, or None.
    """

    def __init__(self) -> None:
        self.received: str | None = None

    @contextmanager
    def noted(self) -> Generator[None]:
        """Record signals while the block runs."""
        before = self.listen()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def listen(self) -> dict[signal.Signals, Any]:
        """Install the handlers, and return those that were installed before.

        Lightning's own handler of SIGTERM has to be replaced: it communicates with the other processes in the middle
        of whatever they do, and waits for them forever.
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
    """Turn an OSError about a folder that cannot be written into a RunError, whatever code raised it.

    Raises:
        RunError: if the disk is full, or the folder may not be written; the message says what to do.
    """
    try:
        yield
    except OSError as error:
        elsewhere = error.filename is not None and not Path(os.fsdecode(error.filename)).is_relative_to(folder)
        if error.errno not in _REMEDIES or elsewhere:
            raise
        raise RunError(
            f"{folder} cannot be written: {error.strerror}. Earlier checkpoints are intact: "
            f"{_REMEDIES[error.errno]}, and run the same command again"
        ) from error


_REMEDIES = {
    errno.ENOSPC: "free space on the disk",
    errno.EDQUOT: "free space in the quota",
    errno.EFBIG: "allow larger files",
    errno.EROFS: "mount the disk for writing, or choose another folder",
    errno.EACCES: "grant write permission, or choose another folder",
    errno.EPERM: "grant write permission, or choose another folder",
}
