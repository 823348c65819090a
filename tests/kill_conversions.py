"""Kill conversions at chosen operations on files, and check that they end in the same bits.

`python tests/kill_conversions.py MODEL RECORDINGS 12 [--stages]`: each attempt is a process that kills itself with
SIGKILL before it opens, renames or removes a file in its output folder for the n-th time; the numbers n are spread over
all of them. Libraries are imported once, and every attempt is forked from this process.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from inattention.cli.convert import open_speech
from inattention.conversion.frontier import convert_in_stages
from inattention.conversion.trained import distillation
from inattention.conversion.trained.config import TrainedConversionConfig
from inattention.conversion.trained.convert import convert_trained

EVENTS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir")
CONFIG = TrainedConversionConfig(steps=4, held_out=3, start_windows=2, examples=6, accumulate=2, learning_rate=1e-3)
STAGED = replace(CONFIG, order="least-dependent", until="error=9", until_lines=2)


def attempt(model: str, recordings: Path, out: Path, kill_at: int, *, stages: bool) -> tuple[int, list[str]]:
    """Convert in a forked process that kills itself; return its status and the files it was about to change."""
    names = out.with_suffix(".events")
    child = os.fork()
    if not child:
        code = 70
        try:
            _kill_at(kill_at, out, os.open(names, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
            log = os.open(out.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            convert, config = (convert_in_stages, STAGED) if stages else (convert_trained, CONFIG)
            convert(model, open_speech(recordings, None), out, config, device="cpu", progress=False)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), names.read_text(encoding="utf-8").splitlines()


def _kill_at(number: int, out: Path, log: int) -> None:
    """Kill this process at its n-th operation on a file in a folder; 0: never. All are logged."""
    count = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal count
        if event not in EVENTS or not isinstance(arguments[0], str | os.PathLike):
            return
        path = os.fspath(arguments[0])
        if not isinstance(path, str) or not path.startswith(f"{out}{os.sep}"):
            return
        count += 1
        os.write(log, f"{event} {os.path.relpath(path, out)}\n".encode())
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def outcome(out: Path) -> tuple[bytes, dict]:
    """Return the weights and the record of a conversion, without times."""
    record = json.loads((out / "conversion.json").read_text(encoding="utf-8"))
    for timed in (*record["curve"], *record.get("stages", ())):
        del timed["seconds"]
    assert (out / "conversion.html").exists()
    assert not list(out.rglob("*.writing-*"))
    return (out / "model.safetensors").read_bytes(), record


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("recordings", type=Path)
    parser.add_argument("kills", type=int, nargs="?", default=12)
    parser.add_argument("--stages", action="store_true", help="convert layer by layer")
    options = parser.parse_args()
    torch.set_num_threads(1)
    distillation.CHECKPOINT_SECONDS = 0.0
    killed: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place:
        code, events = attempt(options.model, options.recordings, Path(place, "whole"), 0, stages=options.stages)
        assert code == 0, Path(place, "whole.log").read_text(encoding="utf-8")
        whole = outcome(Path(place, "whole"))
        for number in np.linspace(1, len(events), options.kills).round().astype(int).tolist():
            out = Path(place, f"killed-{number}")
            code, before = attempt(options.model, options.recordings, out, number, stages=options.stages)
            assert code == -signal.SIGKILL, (number, code)
            killed[before[-1].partition(f"-{os.getpid()}")[0]] += 1
            code, _ = attempt(options.model, options.recordings, out, 0, stages=options.stages)
            assert code == 0, out.with_suffix(".log").read_text(encoding="utf-8")
            assert outcome(out) == whole, f"another outcome after a kill at {before[-1]}"
    print(json.dumps({"operations": len(events), "killed_before": list(killed)}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
