"""Kill a pre-training run repeatedly and check that it ends in the same bits: `python tests/kill_runs.py 20`.

Each attempt is a process that runs the real command until SIGKILL, at a random moment or while a checkpoint is written.
Libraries are imported once, and every attempt is forked from this process.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from inattention import cli
from inattention.pretraining import callbacks, data, module, run  # noqa: F401  # so that attempts need not import them
from speech import make_corpus

WRITING = ".checkpoint.ckpt.writing"


@dataclass
class Tally:
    """Counts of kills and of finished runs."""

    kills: int = 0
    kills_in_a_checkpoint_write: int = 0
    kills_before_the_first_checkpoint: int = 0
    runs: int = 0
    runs_identical_to_the_undisturbed: int = 0


def words(corpus: Path, out: Path) -> list[str]:
    settings = {
        "--corpus": corpus, "--out": out, "--model.width": 24, "--model.feed-forward": 48, "--model.layers": 2,
        "--model.max-length": 48, "--model.dropout": 0.1, "--training.steps": 40, "--training.batch-size": 5,
        "--training.validate-every": 7, "--training.held-out-draws": 1, "--training.checkpoint-minutes": 0,
        "--training.accelerator": "cpu",
    }  # fmt: skip
    return ["pretrain", *(str(word) for pair in settings.items() for word in pair)]


def start(corpus: Path, out: Path) -> int:
    """Start the command in a forked process, and return its id."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        log = os.open(out.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        code = cli.main(words(corpus, out))
    finally:
        os._exit(code)


def ended(child: int, seconds: float, file: Path | None = None) -> int | None:
    """Wait for a time, or until a file appears; return the exit code if the process has ended by itself."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if file is not None and file.exists():
            return None
        time.sleep(0.0005 if file is not None else 0.005)
    return None


def kill_runs(kills: int, folder: Path, seed: int = 0) -> Tally:
    """Kill a number of times, over as many runs as needed, and compare each finished run with an undisturbed one."""
    torch.set_num_threads(1)
    draw = random.Random(seed)
    corpus = make_corpus(folder / "tones").folder
    started = time.monotonic()
    assert ended(start(corpus, folder / "whole"), 600) == 0, (folder / "whole.log").read_text()
    whole = (folder / "whole" / "model.safetensors").read_bytes()
    seconds = time.monotonic() - started
    tally = Tally()
    while tally.kills < kills:
        out = folder / f"killed-{tally.runs}"
        while True:
            child = start(corpus, out)
            if tally.kills == kills:
                code = ended(child, 600)
            else:
                code = ended(child, draw.uniform(0.2, 0.7) * seconds)
                if code is None and draw.random() < 0.5:
                    code = ended(child, seconds, out / WRITING)
            if code is not None:
                assert code == 0, out.with_suffix(".log").read_text()
                break
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            tally.kills += 1
            tally.kills_in_a_checkpoint_write += (out / WRITING).exists()
            tally.kills_before_the_first_checkpoint += not (out / "checkpoint.ckpt").exists()
        tally.runs += 1
        tally.runs_identical_to_the_undisturbed += (out / "model.safetensors").read_bytes() == whole
    return tally


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        result = kill_runs(options.kills, Path(place), options.seed)
    print(json.dumps(asdict(result), indent=2))
    sys.exit(result.runs != result.runs_identical_to_the_undisturbed)
