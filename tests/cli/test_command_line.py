"""The command line as a person meets it: quick help, clear mistakes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from inattention.cli import main


def inattention(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inattention.cli", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=300)


COMMANDS = (
    *("study", "mechanisms", "corpus", "corpus prepare espeak", "pretrain", "probe", "extract", "time", "analyze"),
    "convert",
)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_there_at_once_and_loads_nothing_heavy(command: str) -> None:
    probe = (
        "import sys, runpy; sys.argv = ['inattention'] + sys.argv[1:]\n"
        "try: runpy.run_module('inattention.cli', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'lightning', 'lhotse', 'sklearn', 'scipy', 'matplotlib', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    started = time.process_time(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", probe, *command.split(), "--help"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout
    assert time.perf_counter() - started[1] < 5  # under a second on an idle machine; tests may run on a busy one


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["studdy"], "perhaps 'study'"),
        (["corpus", "prepare", "espaek"], "perhaps 'espeak'"),
        (["study", "--preset", "smok"], "choose from smoke, short, laptop, desktop, paper"),
        (["study", "--only", "patternd", "--out", "study"], "perhaps 'patterned'"),
        (["study", "--only", "qk@identiy", "--out", "study"], "perhaps 'identity'"),
        (["study", "--repeated", "qk@identiy", "--out", "study"], "perhaps 'identity'"),
        (["study", "--learning-rates", "qk=fast", "--out", "study"], "NAME=RATE"),
        (["corpus", "show", "nowhere"], "inattention corpus prepare espeak"),
        (["pretrain", "--corpus", "nowhere", "--out", "run"], "no prepared corpus"),
        (["probe", "nowhere", "--corpus", "nowhere"], "no prepared corpus"),
    ],
)
def test_a_mistake_gets_one_clear_line(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    complaint = capsys.readouterr().err
    assert says in complaint
    assert len(complaint.strip().splitlines()) <= 3
    assert not list(tmp_path.iterdir())  # a refused command leaves nothing


def test_a_process_that_made_a_mistake_ends_with_its_status_and_without_a_traceback() -> None:
    done = inattention("studdy")
    assert done.returncode == 2
    assert "perhaps 'study'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mistyped_flag_is_answered_with_the_nearest() -> None:
    done = inattention("corpus", "prepare", "espeak", "--voice", "3")
    assert done.returncode == 2
    assert "--voices" in done.stderr + done.stdout
