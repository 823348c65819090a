"""Growth of the time of the mixing alone with length, measured and in theory.

Mixing is everything that a mechanism computes except its projections: the linear maps from width to width that compute
queries and keys. Their time grows with T for every mechanism and would hide the rest. They are not subtracted, which
would add their noise to the result: they are computed once beforehand, and their outputs are replayed while the clock
runs. Narrower linear maps, such as the dense synthesizer's, compute weights and are part of the mixing.
"""

import itertools
import math
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from inattention import attention
from inattention.attention import AttentionMechanism
from inattention.attention.ops.projections import split_heads
from inattention.attention.rows import Row
from inattention.timing.config import Mode, TimingConfig
from inattention.timing.measure import Task, quartiles, take_turns

# Largest memory of a mechanism with a map of (heads, T, T) while it is built and run, in such maps.
MAPS_AT_ONCE = 5


@dataclass(frozen=True)
class MixingExponent:
    """Growth of the mixing time of one row: about T to the power of `exponent`.

    Attributes:
        row: the row.
        lengths: numbers of frames at which it was timed; lengths whose maps do not fit the memory are skipped.
        seconds: median time at each length.
        exponent: median over rounds of the slope of log time over log length.
        exponent_low: its lower quartile.
        exponent_high: its upper quartile.
        theory: the same slope for the operations on its card, without projections; None if there are none.
        cost: cost of inference from the card, projections included.
        projections: number of projections that were skipped.
    """

    row: str
    lengths: tuple[int, ...]
    seconds: tuple[float, ...]
    exponent: float
    exponent_low: float
    exponent_high: float
    theory: float | None
    cost: str
    projections: int


def fit_exponent(lengths: Sequence[float], costs: Sequence[float]) -> float:
    """Return b of cost = a T^b, fitted by least squares over logarithms.

    >>> round(fit_exponent([10, 20, 40], [3 * 10**1.5, 3 * 20**1.5, 3 * 40**1.5]), 6)
    1.5
    """
    x = [math.log(length) for length in lengths]
    y = [math.log(cost) for cost in costs]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    covariance = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return covariance / sum((a - mean_x) ** 2 for a in x)


def measure_exponent(
    row: Row, config: TimingConfig, after_round: Callable[[int], None] | None = None
) -> MixingExponent | None:
    """Time the mixing of a row at all lengths, which take turns, and fit its exponent.

    Args:
        row: the row.
        config: sizes, `exponent_lengths`, rounds and seconds.
        after_round: called with the number of each finished round.

    Returns:
        The fit; None if fewer than two lengths fit the memory.
    """
    lengths = [length for length in sorted(set(config.exponent_lengths)) if fits(row, length, config)]
    if len(lengths) < 2:
        return None
    tasks, projections = {}, 0
    with ExitStack() as stack:
        for length in lengths:
            task, mechanism = mixing_task(row, length, config)
            projections = stack.enter_context(projections_replayed(mechanism, task))
            tasks[str(length)] = task
        taken = take_turns(
            tasks,
            rounds=config.rounds,
            seconds=config.seconds,
            threads=config.threads,
            seed=config.seed,
            after_round=after_round,
        )
    by_round = zip(*(taken[str(length)] for length in lengths), strict=True)
    exponent = quartiles([fit_exponent(lengths, seconds) for seconds in by_round])
    return MixingExponent(
        row.name,
        tuple(lengths),
        tuple(quartiles(taken[str(length)]).median for length in lengths),
        exponent.median,
        exponent.low,
        exponent.high,
        theoretical_exponent(row, lengths, config, projections),
        attention.card(row.mechanism).inference_cost,
        projections,
    )


def theoretical_exponent(row: Row, lengths: Sequence[int], config: TimingConfig, projections: int = 0) -> float | None:
    """Return the exponent of the operations on a row's card.

    Args:
        row: the row.
        lengths: numbers of frames.
        config: sizes.
        projections: number of projections to subtract.

    Returns:
        The exponent; None if no operations are left.
    """
    flops = [
        attention.card(row.mechanism).flops(length, config.width, config.heads, **row.options)
        - 2 * projections * length * config.width**2
        for length in lengths
    ]
    return fit_exponent(lengths, flops) if min(flops) > 0 else None


def mixing_task(row: Row, length: int, config: TimingConfig, mode: Mode = "forward") -> tuple[Task, AttentionMechanism]:
    """Build a mechanism for one length, and a task that calls it, projections included.

    Args:
        row: the mechanism and its options.
        length: number of frames, without padding.
        config: sizes, device and seed.
        mode: ``forward`` in evaluation mode, or ``train``: forward and backward.
    """
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        mechanism = attention.build(
            row.mechanism, width=config.width, heads=config.heads, max_length=length, **row.options
        )
        hidden, values = torch.randn(2, 1, length, config.width).to(config.device)
    mechanism = mechanism.train(mode == "train").to(config.device)

    def forward() -> Tensor:
        # As the encoder passes them: heads are slices of the width.
        return mechanism(hidden, split_heads(values, config.heads))

    def evaluate() -> Tensor:
        with torch.inference_mode():
            return forward()

    def train() -> None:
        forward().sum().backward()

    if mode == "train":
        hidden.requires_grad_()
        values.requires_grad_()
    return (train if mode == "train" else evaluate), mechanism


@contextmanager
def projections_replayed(mechanism: AttentionMechanism, task: Task) -> Generator[int]:
    """Replace the projections of a mechanism by their recorded outputs.

    Args:
        mechanism: the mechanism; its ``nn.Linear`` modules from width to width are its projections.
        task: calls the mechanism, on the same input each time.

    Yields:
        Number of projections that one run of the task computes.
    """
    results: dict[nn.Linear, list[Tensor]] = {
        module: []
        for module in mechanism.modules()
        if isinstance(module, nn.Linear) and module.in_features == module.out_features == mechanism.width
    }

    def record(projection: nn.Module, _: object, output: Tensor) -> None:
        assert isinstance(projection, nn.Linear)
        results[projection].append(output)

    hooks = [projection.register_forward_hook(record) for projection in results]
    task()
    for hook in hooks:
        hook.remove()
    try:
        for projection, outputs in results.items():
            projection.__dict__["forward"] = _replay(outputs)  # an attribute of the instance precedes the method
        yield sum(map(len, results.values()))
    finally:
        for projection in results:
            projection.__dict__.pop("forward", None)


def _replay(outputs: list[Tensor]) -> Callable[[Tensor], Tensor]:
    """Return a function that returns the recorded outputs in turn, again and again."""
    turn = itertools.cycle(outputs)
    return lambda _: next(turn)


def fits(row: Row, length: int, config: TimingConfig) -> bool:
    """Return whether a mechanism for this length fits the memory, estimated from its card.

    The estimate concerns only mechanisms that are built for a maximum length and grow with its square.
    """
    growth = theoretical_exponent(row, (length, 2 * length), config)
    if not attention.card(row.mechanism).needs_max_length or growth is None or growth < 1.9:
        return True
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return MAPS_AT_ONCE * 4 * config.heads * length**2 < free
