"""Endings of commands: its exit status, and one line on stderr in place of a traceback."""

import contextlib
import difflib
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from inattention import progress
from inattention.cli.terminal.parsing import USAGE
from inattention.text import printable

FAILED = 1
RESUMABLE = ("study", "corpus", "pretrain", "extract", "convert", "measure")
_ROOT = Path(__file__).parents[2]
_DEBUG = "INATTENTION_DEBUG"


def ended(name: str, words: Sequence[str], command: Callable[[], int]) -> int:
    """Run a command, and return its exit status whatever happens.

    Args:
        name: of the command, for messages; may be empty.
        words: the words after it.
        command: returns the exit status.
    """
    _prepare()
    try:
        status = _status_of(command)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        _drop_output()
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt as interrupt:
        status = _stopped_by(interrupt.args[0] if interrupt.args else signal.SIGINT)
        again = "; run the same command again to resume" if name.partition(" ")[0] in RESUMABLE else ""
        return _complain(name, f"stopped{again}", status)
    except Exception as error:
        if os.environ.get(_DEBUG):
            raise
        message, status = _explained(error)
        return _complain(name, message + nearest_path(message, words), status)


def nearest_path(message: str, words: Sequence[str]) -> str:
    """Return the end of a message that suggests an existing path for one that the message and the command name.

    Args:
        message: the message.
        words: the words of the command.
    """
    outputs = {second for first, second in pairwise(words) if first == "--out"}  # need not exist
    words = [word for word in words if word not in outputs and not word.startswith("--out=")]
    named = (word.partition("=")[2] if word.startswith("--") else word for word in words)
    for path in map(Path, filter(None, named)):
        if os.path.lexists(path) or not (str(path) in message or str(path.absolute()) in message):
            continue
        with contextlib.suppress(OSError):
            if close := difflib.get_close_matches(path.name, os.listdir(path.parent), n=1):
                return f"\nperhaps {printable(str(path.with_name(close[0])))}?"
    return ""


def _status_of(command: Callable[[], int]) -> int:
    try:
        with progress.hidden(False):
            return command()
    except SystemExit:  # after help, or a mistake in an option
        sys.stdout.flush()
        raise


def _prepare() -> None:
    """Make output printable on any terminal, and keep the progress bars of libraries out of files."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names of files may hold bytes that are not valid text, and terminals may lack characters.
            stream.reconfigure(errors="backslashreplace")
    if not sys.stderr.isatty():
        for variable in ("TQDM_DISABLE", "HF_HUB_DISABLE_PROGRESS_BARS"):
            os.environ.setdefault(variable, "1")


def _explained(error: Exception) -> tuple[str, int]:
    """Return the message of an error, and the exit status."""
    if isinstance(error, OSError):
        return _of_system(error), FAILED
    if isinstance(error, ValueError):  # an input that cannot be used: all of our errors that say so are ValueErrors
        return str(error), USAGE
    from inattention.pretraining.stopping import RunDiverged, RunStopped
    from inattention.study.execution.executor import WorkerLost

    if isinstance(error, RunStopped):
        return str(error), _stopped_by(error.signal)
    if isinstance(error, RunDiverged | WorkerLost):
        return str(error), FAILED
    if isinstance(error, MemoryError):
        return "out of memory; smaller batches or fewer jobs need less", FAILED
    places = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    ours = [f"{path.relative_to(_ROOT)}:{line}" for path, line in places if path.is_relative_to(_ROOT)]
    what = " ".join(f"unexpected {type(error).__name__}: {error}".split())
    advice = f"This is a fault of inattention; {_DEBUG}=1 prints its traceback"
    return f"{what}\nin {', '.join(reversed(ours))}\n{advice}", FAILED


def _stopped_by(number: int) -> int:
    """Return the exit status after a signal: that of shells for Ctrl-C; a scheduler's signal leaves the work undone."""
    return 128 + number if number == signal.SIGINT else USAGE


def _of_system(error: OSError) -> str:
    """Return a message of the operating system with the file that it is about."""
    if error.strerror is None:
        return str(error) or type(error).__name__
    return f"{os.fsdecode(error.filename)}: {error.strerror}" if error.filename is not None else error.strerror


def _complain(name: str, message: str, status: int) -> int:
    try:
        print(f"inattention{' ' + name if name else ''}: {message}", file=sys.stderr)
    except BrokenPipeError:
        _drop_output()
    return status


def _drop_output() -> None:
    """Let nothing be written any more: the reader of the output has ended, and Python flushes at its exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
        except (OSError, ValueError):
            continue
