"""One worker process: a fresh interpreter (`python -m MODULE`) that answers each line of JSON with one of its own.

A fresh interpreter and not a fork: this process may hold torch's threads, which a fork would not survive, and a worker
may itself fork.
"""

import json
import os
import subprocess
import sys
from typing import Any

# Numerical libraries start threads of their own unless told not to.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def cores() -> int:
    """How many processes can work at once here."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start(module: str, *, quiet: bool = False) -> "subprocess.Popen[bytes]":
    """Start a worker.

    Args:
        module: What it runs.
        quiet: Drop what it says on stderr.

    Raises:
        OSError: No process can be started.
    """
    return subprocess.Popen(
        # -P: a stranger's files in the current folder must not be taken for ours.
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if quiet else None,
        env=os.environ | _ONE_THREAD,
        start_new_session=True,  # an interrupt from the keyboard is for this process, which then ends its workers
    )


def ask(process: "subprocess.Popen[bytes]", job: dict[str, Any]) -> dict[str, Any] | None:
    """Put one job to a worker; None if it has ended in place of an answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(job).encode() + b"\n")
        process.stdin.flush()
        answer = process.stdout.readline()
    except BrokenPipeError:
        return None
    return json.loads(answer) if answer else None
