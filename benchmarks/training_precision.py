"""Time of a training step in bfloat16 (`--training.precision bf16-mixed`) relative to float32.

A step is that of pre-training: forward, backward, clipped gradients, AdamW, on padded batches of random features. Rows
and precisions take turns, one step each a round, and ratios are taken within rounds. The time is the processor's, which
other programs of the machine lengthen less than the clock's; with one thread, both are the same on a quiet machine.

    python benchmarks/training_precision.py
    python benchmarks/training_precision.py --rows toeplitz --sizes laptop --rounds 21
"""

import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import torch
import tyro
from torch import nn
from tqdm import tqdm

from inattention.attention.rows import parse_row
from inattention.files import write_json
from inattention.model.config import AudioTransformerConfig
from inattention.pretraining.config import PretrainingConfig
from inattention.pretraining.examples import Batch, target_size
from inattention.pretraining.module import make_optimiser
from inattention.pretraining.objective import MaskedAcousticModel
from inattention.provenance import provenance
from inattention.study.planning.presets import preset
from inattention.text import aligned
from inattention.timing.machine import machine
from inattention.timing.measure import quartiles, ratio_quartiles

Size = Literal["paper", "laptop"]
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure training steps in float32 and in bfloat16, side by side.

    Attributes:
        rows: mechanisms with their options.
        sizes: paper (width 768, 12 heads, 6 layers; 500 frames) or laptop (that preset's model and batch).
        paper_batch: utterances per step at the paper's size.
        threads: threads of PyTorch.
        rounds: how often each step is measured.
        beside: what else runs on the machine, for the record.
        out: JSON file of all results.
    """

    rows: tuple[str, ...] = ("qk@identity", "toeplitz", "patterned", "synthesizer-random")
    sizes: tuple[Size, ...] = ("laptop", "paper")
    paper_batch: int = 2
    threads: int = 1
    rounds: int = 9
    beside: str = ""
    out: Path = Path("runs/benchmarks/training_precision.json")


def main(options: Options) -> None:
    options.out.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    load, started = os.getloadavg()[0], time.time()
    found = [measurement for size in options.sizes for measurement in measure(size, options)]
    print(*(f"{name}: {value}" for name, value in machine("cpu", options.threads).items()), sep="   ")
    print(table(found))
    beside = {"said": options.beside, "load_before": load, "load_after": os.getloadavg()[0]}
    content = {
        "config": {**asdict(options), "out": str(options.out)},
        "machine": machine("cpu", options.threads),
        "beside": beside,
    }
    content |= {"seconds": time.time() - started, "steps": found, "provenance": provenance()}
    write_json(options.out, content)
    print(f"written to {options.out}")


def measure(size: Size, options: Options) -> list[dict]:
    """Return the time of a step of each row and precision, one number a round, at one size."""
    model, training, frames = setting(size, options)
    steps = {row: step_of(row, model, training, frames) for row in options.rows}
    turns = [(row, precision) for row in options.rows for precision in PRECISIONS]
    taken: dict[tuple[str, str], list[float]] = {turn: [] for turn in turns}
    shuffle = random.Random(0).shuffle
    for done in tqdm(range(options.rounds + 1), desc=size, unit="round"):
        shuffle(turns)
        for row, precision in turns:
            before = time.process_time()
            steps[row](precision)
            if done:  # the first round warms up
                taken[row, precision].append(time.process_time() - before)
    return [
        {
            "size": size,
            "row": row,
            "batch": training.batch_size,
            "frames": frames,
            "seconds": {precision: taken[row, precision] for precision in PRECISIONS},
        }
        for row in options.rows
    ]


def setting(size: Size, options: Options) -> tuple[AudioTransformerConfig, PretrainingConfig, int]:
    """Return the encoder, the training and the frames of the longest utterance."""
    study = preset(size)
    batch = options.paper_batch if size == "paper" else study.training.batch_size
    training = replace(study.training, batch_size=batch, optimiser="adamw", target="log-mel")
    return study.model, training, min(500, study.model.max_length)


def step_of(row: str, model: AudioTransformerConfig, training: PretrainingConfig, frames: int) -> Callable[[str], None]:
    """Return a function that makes a training step in a precision."""
    parsed = parse_row(row)
    model = replace(model, attention=parsed.mechanism, attention_options=dict(parsed.options))
    torch.manual_seed(0)
    trained: nn.Module = MaskedAcousticModel(model, target_size(training, model.features)).train()
    optimiser, batch = make_optimiser(trained, training), made_batch(model, training, frames)

    def step(precision: str) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            error, bins = trained(batch)
        (error / bins).backward()
        nn.utils.clip_grad_norm_(trained.parameters(), training.clip)
        optimiser.step()
        optimiser.zero_grad()

    return step


def made_batch(model: AudioTransformerConfig, training: PretrainingConfig, frames: int) -> Batch:
    """Return utterances of random features, half to all of the frames long, with 15 % of them masked."""
    count, size = training.batch_size, target_size(training, model.features)
    lengths = torch.linspace(frames / 2, frames, count).round() if count > 1 else torch.tensor([frames])
    valid = torch.arange(frames) < lengths[:, None]
    masked = valid & (torch.rand(count, frames) < training.masking.proportion)
    features, target = torch.randn(count, frames, model.input_size), torch.randn(count, frames, size)
    return Batch(features, target, masked, valid, (0, 0), (), (), int(masked.sum()) * size)


def table(found: Sequence[Mapping]) -> str:
    """Return the steps per second of each row and the ratio of the times, medians with quartiles."""
    lines = [("size", "row", "float32 steps/s", "bfloat16 steps/s", "time, bfloat16 / float32")]
    for it in found:
        whole, mixed = (it["seconds"][precision] for precision in PRECISIONS)
        ratio = ratio_quartiles(mixed, whole)
        rates = [quartiles([1 / seconds for seconds in taken]) for taken in (whole, mixed)]
        texts = [f"{rate.median:.3g} ({rate.low:.3g}-{rate.high:.3g})" for rate in rates]
        lines.append((it["size"], it["row"], *texts, f"{ratio.median:.2f} ({ratio.low:.2f}-{ratio.high:.2f})"))
    return aligned(lines)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
