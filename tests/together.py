"""Script for torchrun: several pre-training commands, one after the other, in the same two processes.

Importing the libraries takes longer than training here, so it is done once. The commands are the real ones; faults are
injected between two steps of some of them.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from inattention import cli
from inattention.pretraining.examples import Batch
from inattention.pretraining.module import Pretraining
from inattention.pretraining.objective import MaskedAcousticModel

RANK = int(os.environ.get("RANK", "0"))
STOPPED_AT = 4
TESTS = Path(__file__).parent


def torchrun(*words: str) -> str:
    """Run two processes, and return their output."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([*sys.path, str(TESTS)])}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *words]
    process = subprocess.Popen(launch, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        output, _ = process.communicate(timeout=600)
    finally:
        process.terminate()  # torchrun ends its workers
        process.wait(60)
    assert process.returncode == 0, output
    return output


def small(corpus: Path, out: Path, *more: str) -> list[str]:
    """Return the arguments of a run that takes a second."""
    settings = {
        "--model.width": 24, "--model.feed-forward": 48, "--model.layers": 2, "--model.max-length": 48,
        "--training.steps": 8, "--training.batch-size": 5, "--training.validate-every": 3,
        "--training.held-out-draws": 1, "--training.checkpoint-minutes": 0, "--training.accelerator": "cpu",
    }  # fmt: skip
    words = [str(word) for pair in settings.items() for word in pair]
    return ["pretrain", "--corpus", str(corpus), "--out", str(out), *words, *more]


def main(corpus: Path, folder: Path) -> None:
    """Run all commands whose results the tests check."""
    torch.set_num_threads(1)
    codes = {}

    def run(name: str, *more: str) -> None:
        codes.setdefault(name, []).append(cli.main(small(corpus, folder / name, *more)))

    run("whole")
    with_sigterm(lambda: run("stopped"))
    run("stopped")
    with_sigterm(lambda: run("begun"))
    run("accumulated", "--training.accumulate", "2")
    separate = ("--model.no-share-layers",)
    with_sigterm(lambda: run("sharded", *separate, "--training.strategy", "fsdp"))
    run("sharded", *separate, "--training.strategy", "fsdp")
    with_sigterm(lambda: run("gathered", *separate, "--training.strategy", "fsdp"))
    with_sigterm(lambda: run("spread", *separate))
    run("spread", *separate, "--training.strategy", "fsdp")
    with_nan(lambda: run("diverged"))
    (folder / f"codes-{RANK}.json").write_text(json.dumps(codes))


def with_sigterm(call: Callable[[], None]) -> None:
    """Send a signal to one of the processes in the middle of a run."""
    start = Pretraining.on_train_batch_start

    def signalled(self: Pretraining, batch: Batch, batch_idx: int) -> None:
        if RANK == 1 and self.global_step == STOPPED_AT:
            os.kill(os.getpid(), signal.SIGTERM)
        start(self, batch, batch_idx)

    Pretraining.on_train_batch_start = signalled
    try:
        call()
    finally:
        Pretraining.on_train_batch_start = start


def with_nan(call: Callable[[], None]) -> None:
    """Make the loss of one of the processes NaN."""
    forward = MaskedAcousticModel.forward

    def diverging(self: MaskedAcousticModel, batch: Batch) -> tuple[torch.Tensor, int]:
        error, bins = forward(self, batch)
        return (error * float("nan") if RANK == 1 and torch.is_grad_enabled() else error), bins

    MaskedAcousticModel.forward = diverging
    try:
        call()
    finally:
        MaskedAcousticModel.forward = forward


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
