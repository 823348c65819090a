"""Kill a study twice in mid-run, and run it to its end: `python tests/kill_studies.py CORPUS FOLDER`.

Libraries are imported once: each attempt, and each worker of it, is forked.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from inattention.pretraining import module  # noqa: F401  # so that workers need not import it
from inattention.probing.run import probe  # noqa: F401
from inattention.study.execution.run import run_study
from small_studies import SMALL, quick_workers

KILLS = 2
OUTCOMES_BEFORE_A_KILL = 2
SECONDS = 120


def start(corpus: Path, folder: Path) -> int:
    """Start or resume the study in a forked process, and return its id."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.setpgid(0, 0)  # its workers are in its group
        failures = run_study(replace(SMALL, corpus=corpus), folder, jobs=2).failures
        print(*failures, sep="\n", file=sys.stderr, flush=True)
        code = len(failures)
    finally:
        os._exit(code)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"no {what} in {SECONDS} s"
        time.sleep(0.02)


def outcomes(folder: Path) -> int:
    return len(list(folder.glob("steps/*/outcome.json")))


def is_alive(group: int) -> bool:
    """Return whether a process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def main(corpus: Path, folder: Path) -> None:
    torch.set_num_threads(1)
    quick_workers()
    for _ in range(KILLS):
        before = outcomes(folder)
        child = start(corpus, folder)
        wait_for(lambda before=before: outcomes(folder) >= before + OUTCOMES_BEFORE_A_KILL, "outcome")
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, "the study ended before it was killed"
        wait_for(lambda child=child: not is_alive(child), "end of the workers, which see that the study is gone")
    _, status = os.waitpid(start(corpus, folder), 0)
    assert os.waitstatus_to_exitcode(status) == 0


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
