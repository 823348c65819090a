"""Ending a run early without losing anything: signals wait for the end of a step, and a folder has one owner."""

import fcntl
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


class RunStopped(Exception):
    """A run that ended early on request, after a checkpoint; the same call goes on."""


class RunDiverged(Exception):
    """A run whose loss is no longer a number."""


class RunError(ValueError):
    """A run that cannot be started or gone on with, and what to do."""


class StopRequests:
    """Notes SIGTERM (a scheduler) and SIGINT (Ctrl-C) until the step under way has ended.

    A second Ctrl-C does not wait. Outside the main thread, where no signals can be caught, nothing is noted.
    """

    def __init__(self) -> None:
        self.received: str | None = None

    @contextmanager
    def noted(self) -> Generator[None]:
        """Note signals while the block runs."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received == "SIGINT" and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number).name


@contextmanager
def owned(folder: Path) -> Generator[None]:
    """Be the only run in a folder; the system lets go when the process ends, however it ends.

    Raises:
        RunError: if another run is in it.
    """
    with open(folder / ".lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"another run is working in {folder}; wait for it, or choose another folder") from None
        yield
