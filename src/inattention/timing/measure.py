"""Measurement of times side by side: tasks take turns, round after round, and are compared within a round.

A machine slows down and recovers while it is being measured. Two tasks of the same round meet nearly the same machine,
so ratios are computed round by round. Times and ratios are reported as median and quartiles over rounds, which describe
the variation of rounds; for a confidence interval of a ratio see `inattention.comparison.time_ratio`.
"""

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from torch.utils.benchmark import Timer

# A turn repeats its task for at least this long, so that the cost of reading the clock does not matter.
TURN_SECONDS = 0.02

Task = Callable[[], object]


class Quartiles(NamedTuple):
    """Median and quartiles of repeated measurements.

    Attributes:
        median: second quartile.
        low: first quartile.
        high: third quartile.
    """

    median: float
    low: float
    high: float


def take_turns(
    tasks: Mapping[str, Task],
    *,
    rounds: int,
    seconds: float = 0.0,
    threads: int = 1,
    seed: int = 0,
    after_round: Callable[[int], None] | None = None,
) -> dict[str, list[float]]:
    """Time tasks in rounds: in each round every task has one turn, in a new random order.

    Args:
        tasks: tasks by name. A turn runs its task at least once before the clock starts.
        rounds: smallest number of rounds.
        seconds: rounds are added until this much time has passed.
        threads: number of threads of PyTorch while a task runs.
        seed: of the orders.
        after_round: called with the number of each finished round.

    Returns:
        Time of each task in seconds, one number per round.
    """
    timers = {name: Timer("task()", globals={"task": task}, num_threads=threads) for name, task in tasks.items()}
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    shuffle = random.Random(seed).shuffle
    start, done = time.monotonic(), 0
    while done < rounds or time.monotonic() - start < seconds:
        turns = list(timers)
        shuffle(turns)
        for name in turns:
            taken[name].append(timers[name].blocked_autorange(min_run_time=TURN_SECONDS).median)
        done += 1
        if after_round:
            after_round(done)
    return taken


def quartiles(values: Sequence[float]) -> Quartiles:
    """Return median and quartiles.

    >>> quartiles([4.0, 1.0, 2.0, 3.0, 5.0])
    Quartiles(median=3.0, low=2.0, high=4.0)
    """
    if len(values) == 1:
        return Quartiles(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Quartiles(median, low, high)


def ratio_quartiles(values: Sequence[float], reference: Sequence[float]) -> Quartiles:
    """Return median and quartiles of the ratios within each round.

    Args:
        values: one number per round.
        reference: one number for each of the same rounds.

    >>> ratio_quartiles([2.0, 20.0, 200.0], [1.0, 10.0, 100.0])
    Quartiles(median=2.0, low=2.0, high=2.0)
    """
    return quartiles([value / other for value, other in zip(values, reference, strict=True)])
