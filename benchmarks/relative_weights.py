"""Time of weights over j - i (`toeplitz@table`) by Fourier transforms and by dense maps, relative to fused attention.

Times are of the mixing of one layer alone, without its projections: in evaluation, where maps and transforms of the
table are cached, and of forward and backward in training. `qk` is PyTorch's fused attention, queries and keys given.
A second table compares transforms with banded products, where a table is zero outside of a band. The measurements
decide the constants of `inattention.attention.ops.correlation`.

    python benchmarks/relative_weights.py
    python benchmarks/relative_weights.py --lengths 1500 --widths 384 --rounds 21
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import torch
import torch.nn.functional as F
import tyro
from torch import Tensor
from tqdm import tqdm

from inattention.attention.mechanisms.toeplitz import Toeplitz
from inattention.attention.ops import correlation
from inattention.attention.ops.projections import split_heads
from inattention.files import write_json
from inattention.provenance import provenance
from inattention.text import aligned
from inattention.timing.machine import machine
from inattention.timing.measure import Task, quartiles, ratio_quartiles, take_turns

HEAD_DIM = 64
NEVER = 10**9


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure a table of weights over j - i by each method, side by side.

    Attributes:
        widths: features of a frame, in heads of 64.
        lengths: frames.
        batches: utterances at once.
        threads: threads of PyTorch.
        reaches: frames to either side of the bands.
        rounds: how often each method is measured.
        out: JSON file of all results.
    """

    widths: tuple[int, ...] = (384, 512)
    lengths: tuple[int, ...] = (100, 250, 500, 1000, 1500)
    batches: tuple[int, ...] = (1, 4)
    threads: tuple[int, ...] = (1, 2)
    reaches: tuple[int, ...] = (16, 64, 128, 250)
    rounds: int = 9
    out: Path = Path("runs/benchmarks/relative_weights.json")


def main(options: Options) -> None:
    options.out.parent.mkdir(parents=True, exist_ok=True)
    settings = list(product(options.threads, options.widths, options.batches, options.lengths))
    found = []
    for threads, width, batch, length in tqdm(settings, unit="setting"):
        tasks = {
            f"{method}, {'train' if train else 'forward'}": task(width, length, batch, method, train)
            for method, train in product(("transforms", "dense", "qk"), (False, True))
        }
        taken = take_turns(tasks, rounds=options.rounds, threads=threads)
        found.append({"threads": threads, "width": width, "batch": batch, "length": length, "seconds": taken})
    bands = list(bands_against_transforms(options))
    print(*(f"{name}: {value}" for name, value in machine("cpu", max(options.threads)).items()), sep="   ")
    print(table(found), "\n", band_table(bands), sep="\n")
    write_json(
        options.out,
        {
            "config": {**asdict(options), "out": str(options.out)},
            "dense": found,
            "bands": bands,
            "provenance": provenance(),
        },
    )
    print(f"written to {options.out}")


def task(width: int, length: int, batch: int, method: str, train: bool) -> Task:
    """Return a task that mixes one layer's values by a method: forward in evaluation, or forward and backward."""
    hidden = [torch.randn(batch, length, width, requires_grad=train) for _ in range(3)]
    mix = qk if method == "qk" else relative(width, length, NEVER if method == "dense" else 1, train)

    def forward() -> Tensor:
        heads = (split_heads(x, width // HEAD_DIM) for x in hidden)
        return mix(*heads).transpose(1, 2).flatten(2)

    def evaluate() -> Tensor:
        with torch.inference_mode():
            return forward()

    return (lambda: forward().sum().backward()) if train else evaluate


def qk(query: Tensor, key: Tensor, values: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(query, key, values)


def relative(width: int, length: int, transforms_from: int, train: bool) -> Callable[..., Tensor]:
    """Return the mixing by a table that uses transforms from a given length on."""
    mechanism = Toeplitz(width=width, heads=width // HEAD_DIM, max_length=length, form="table").train(train)

    def mix(_: Tensor, hidden: Tensor, values: Tensor) -> Tensor:
        vars(correlation).update(FROM_CACHED=transforms_from, FROM_COMPUTED=transforms_from)
        return mechanism(hidden.transpose(1, 2).flatten(2), values)

    return mix


def bands_against_transforms(options: Options) -> Iterator[dict]:
    """Yield the times of bands and of transforms, with the ratio of their operations."""
    width, length = options.widths[0], max(options.lengths)
    heads = width // HEAD_DIM
    for reach in options.reaches:
        table = torch.full((heads, 2 * length - 1), -200.0)
        table[:, length - 1 - reach : length + reach] = torch.randn(heads, 2 * reach + 1)
        tasks = {
            f"{name}, {'train' if train else 'forward'}": band_task(table, length, operations, train)
            for (name, operations), train in product((("bands", 1e9), ("transforms", 0.0)), (False, True))
        }
        taken = take_turns(tasks, rounds=options.rounds, threads=options.threads[0])
        operations = correlation.multiply_flops(length, ((-reach, reach),) * heads, HEAD_DIM)
        ratio = operations / correlation.correlation_flops(length, width)
        yield {"reach": reach, "length": length, "width": width, "operations": ratio, "seconds": taken}


def band_task(table: Tensor, length: int, operations: float, train: bool) -> Task:
    values = torch.randn(1, length, table.shape[0] * HEAD_DIM, requires_grad=train)
    logits = table.clone().requires_grad_(train)

    def prepared() -> correlation.Taps:
        vars(correlation).update(BAND_OPERATIONS=operations)
        return correlation.make_taps(logits, HEAD_DIM)

    taps = prepared()

    def forward(taps: correlation.Taps) -> Tensor:
        return correlation.average_correlated(taps, split_heads(values, len(table)), None).transpose(1, 2).flatten(2)

    return (lambda: forward(prepared()).sum().backward()) if train else (lambda: forward(taps))


def table(found: list[dict]) -> str:
    cells = [["threads", "width", "batch", "frames", "mode", "transforms ms", "of dense", "of qk"]]
    for it in found:
        for mode in ("forward", "train"):
            one, dense, fused = (it["seconds"][f"{method}, {mode}"] for method in ("transforms", "dense", "qk"))
            setting = [str(it[name]) for name in ("threads", "width", "batch", "length")]
            ratios = [f"{ratio_quartiles(one, other).median:.2f}" for other in (dense, fused)]
            cells.append([*setting, mode, f"{1e3 * quartiles(one).median:.1f}", *ratios])
    return aligned(cells)


def band_table(bands: list[dict]) -> str:
    cells = [["reach", "operations", "forward", "train"]]
    for it in bands:
        ratios = [
            f"{ratio_quartiles(it['seconds'][f'bands, {mode}'], it['seconds'][f'transforms, {mode}']).median:.2f}"
            for mode in ("forward", "train")
        ]
        cells.append([str(it["reach"]), f"{it['operations']:.1f}", *ratios])
    return f"bands relative to transforms, {bands[0]['length']} frames\n{aligned(cells)}" if bands else ""


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
