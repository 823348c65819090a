"""How commands end: quietly behind `head`, with one line after Ctrl-C, without tracebacks, with documented statuses."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from inattention.cli import COMMANDS, main
from inattention.cli.terminal.endings import ended, nearest_path
from inattention.pretraining.stopping import RunDiverged, RunStopped
from inattention.study.execution.executor import WorkerLost


def status_and_message(command: Callable[[], int], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = ended("study", [], command)
    return status, capsys.readouterr().err


def raising(error: BaseException) -> Callable[[], int]:
    def command() -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ValueError("width must be above 0"), 2, "inattention study: width must be above 0\n"),
        (OSError(28, "No space left on device", "out/x"), 1, "inattention study: out/x: No space left on device\n"),
        (RunDiverged("the loss is NaN"), 1, "inattention study: the loss is NaN\n"),
        (WorkerLost("a worker ended"), 1, "inattention study: a worker ended\n"),
        (KeyboardInterrupt(), 130, "inattention study: stopped; run the same command again to resume\n"),
        (KeyboardInterrupt(signal.SIGTERM), 2, "inattention study: stopped; run the same command again to resume\n"),
        (RunStopped("stopped after step 3"), 2, "inattention study: stopped after step 3\n"),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_an_error_is_one_line_and_a_status(
    error: BaseException, status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_and_message(raising(error), capsys) == (status, message)


def test_a_fault_of_ours_is_three_lines_with_the_places(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("INATTENTION_DEBUG", raising=False)
    status, message = status_and_message(raising(KeyError("x")), capsys)
    assert status == 1
    assert "Traceback" not in message
    what, where, advice = message.splitlines()
    assert what == "inattention study: unexpected KeyError: 'x'"
    assert "cli/terminal/endings.py:" in where
    assert "INATTENTION_DEBUG=1" in advice
    monkeypatch.setenv("INATTENTION_DEBUG", "1")
    with pytest.raises(KeyError):
        ended("study", [], raising(KeyError("x")))


def test_an_existing_path_is_suggested_for_a_misspelt_one(tmp_path: Path) -> None:
    (tmp_path / "corpora").mkdir()
    wrong = str(tmp_path / "corpra")
    assert nearest_path(f"no corpus in {wrong}", ["mel", "--corpus", wrong]) == f"\nperhaps {tmp_path / 'corpora'}?"
    assert nearest_path(f"no corpus in {wrong}", [f"--corpus={wrong}"]) == f"\nperhaps {tmp_path / 'corpora'}?"
    assert nearest_path("something else", ["--corpus", wrong]) == ""
    assert nearest_path(f"nothing to put into {wrong}", ["--out", wrong]) == ""  # an output need not exist
    assert nearest_path(f"nothing to put into {wrong}", [f"--out={wrong}"]) == ""


PRINTING = ("mechanisms", "mechanisms --json", "study --help", "pretrain --help", "corpus prepare folder --help")


@pytest.mark.slow
@pytest.mark.parametrize("command", [*PRINTING, "", "corpus"])
def test_a_reader_that_ends_early_is_no_error(command: str) -> None:
    words = [sys.executable, "-m", "inattention", *command.split()]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()  # as `head` does, but before the first line
        assert process.stderr.read() == b""
    assert process.returncode == 128 + signal.SIGPIPE


def test_ctrl_c_is_one_line(tmp_path: Path) -> None:
    # Where tests run in the background of a script, Ctrl-C is ignored, and what they start inherits that.
    start = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from inattention import cli; "
    words = ("corpus", "prepare", "espeak", "--hours", "5", "--voices", "40", "--workers", "1", "--out", "espeak")
    process = subprocess.Popen(
        [sys.executable, "-c", f"{start}raise SystemExit(cli.main())", *words], stderr=subprocess.PIPE, cwd=tmp_path
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".espeak*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert said.decode() == "inattention corpus prepare: stopped; run the same command again to resume\n"
    assert process.returncode == 130


def test_names_that_are_no_text_are_printed(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/speech\xff"
    command = [sys.executable, "-m", "inattention", "corpus", "show", name]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 2
    assert b"no prepared corpus in" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.slow
def test_output_that_cannot_be_written_is_one_line() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "inattention", "mechanisms"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "inattention mechanisms: No space left on device\n"


def test_every_command_says_what_it_is_for() -> None:
    assert all((command.__doc__ or "").splitlines()[0].endswith(".") for command in COMMANDS.values())
    assert main(["corpus"]) == 0
