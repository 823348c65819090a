"""How the time of the mixing alone grows with length, beside what theory says.

Mixing is all that a mechanism does but its projections: the linear maps of a whole step to a whole step, width to
width, that make queries and keys. Their time grows with T for every mechanism and would hide the rest. They are not
subtracted, which would add their noise to the result: they are computed once beforehand, and while the clock runs
each hands out what it then gave. What remains is what a mechanism does with queries and keys once it has them.
Narrower maps, such as the dense synthesizer's, make weights and are part of the mixing.
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
from inattention.timing.measure import Task, spread, take_turns

# What a mechanism with a map of (heads, T, T) takes at most while it is built and run, in such maps.
MAPS_AT_ONCE = 5


@dataclass(frozen=True)
class MixingExponent:
    """How the mixing of one row grows: time is about T to the power of `exponent`.

    Attributes:
        row: the row.
        lengths: steps at which it was timed; lengths whose maps do not fit the memory are left out.
        seconds: median time at each.
        exponent: median over rounds of the slope of log time over log length.
        exponent_low: its lower quartile.
        exponent_high: its upper quartile.
        theory: the same slope for the operations on its card, projections left out; None if it has none.
        cost: the card's words for the cost of inference, projections included.
        projections: how many projections were left out.
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
    """Fit cost = a T^b by least squares over logarithms, and give b.

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
    """Time a row's mixing at all lengths, which take turns, and fit its exponent.

    Args:
        row: what to time.
        config: sizes, `exponent_lengths`, rounds and seconds.
        after_round: called with the number of each round that ends.

    Returns:
        The fit, or None where fewer than two lengths fit the memory.
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
    exponent = spread([fit_exponent(lengths, seconds) for seconds in by_round])
    return MixingExponent(
        row.name,
        tuple(lengths),
        tuple(spread(taken[str(length)]).median for length in lengths),
        exponent.median,
        exponent.low,
        exponent.high,
        theoretical_exponent(row, lengths, config, projections),
        attention.card(row.mechanism).inference_cost,
        projections,
    )


def theoretical_exponent(row: Row, lengths: Sequence[int], config: TimingConfig, projections: int = 0) -> float | None:
    """Fit the exponent of the operations on a row's card, without some projections; None if nothing is left."""
    flops = [
        attention.card(row.mechanism).flops(length, config.width, config.heads, **row.options)
        - 2 * projections * length * config.width**2
        for length in lengths
    ]
    return fit_exponent(lengths, flops) if min(flops) > 0 else None


def mixing_task(row: Row, length: int, config: TimingConfig, mode: Mode = "forward") -> tuple[Task, AttentionMechanism]:
    """Make one mechanism built for this very length, and a call of it, projections included.

    Args:
        row: the mechanism and its options.
        length: steps; all are valid.
        config: sizes, device and seed.
        mode: ``forward`` in evaluation, or ``train``: forward and backward.
    """
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        mechanism = attention.build(
            row.mechanism, width=config.width, heads=config.heads, max_length=length, **row.options
        )
        hidden, values = torch.randn(2, 1, length, config.width).to(config.device)
    mechanism = mechanism.train(mode == "train").to(config.device)

    def forward() -> Tensor:
        # As the encoder hands them over: heads are slices of the width.
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
    """While this lasts, the mechanism's projections give what they give in this task, without computing it.

    Args:
        mechanism: its ``nn.Linear`` modules from width to width are its projections.
        task: calls the mechanism, on the same input each time.

    Yields:
        How many projections one run of the task computes.
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
            projection.__dict__["forward"] = _replay(outputs)  # an instance's own stands before its class's
        yield sum(map(len, results.values()))
    finally:
        for projection in results:
            projection.__dict__.pop("forward", None)


def _replay(outputs: list[Tensor]) -> Callable[[Tensor], Tensor]:
    """Give recorded outputs in turn, over and over."""
    turn = itertools.cycle(outputs)
    return lambda _: next(turn)


def fits(row: Row, length: int, config: TimingConfig) -> bool:
    """Whether a mechanism of this length can be built without filling the memory, as far as its card tells.

    In question are only those that are made for a maximum length and grow with its square.
    """
    growth = theoretical_exponent(row, (length, 2 * length), config)
    if not attention.card(row.mechanism).needs_max_length or growth is None or growth < 1.9:
        return True
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return MAPS_AT_ONCE * 4 * config.heads * length**2 < free
