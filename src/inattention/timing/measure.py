"""Times taken side by side: all tasks take turns, round after round, and are compared within their round.

A machine slows down and recovers while it is being measured. Two tasks of the same round meet about the same
machine, so ratios are taken round by round; what is reported of times and ratios alike is the median and the
quartiles over rounds.
"""

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from torch.utils.benchmark import Timer

# A turn repeats its task until it has taken this long, so that the clock's own cost does not count.
TURN_SECONDS = 0.02

Task = Callable[[], object]


class Spread(NamedTuple):
    """Median and quartiles of repeated measurements."""

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
    """Time tasks in rounds: in each, every task has one turn, in an order drawn afresh.

    Args:
        tasks: what is timed, by name. A turn runs its task at least once before the clock starts.
        rounds: how many rounds at the least.
        seconds: rounds are added until so much time has gone by.
        threads: threads of PyTorch while a task runs.
        seed: of the orders.
        after_round: called with the number of each round that ends.

    Returns:
        For each task its seconds in each round.
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


def spread(values: Sequence[float]) -> Spread:
    """Give median and quartiles.

    >>> spread([4.0, 1.0, 2.0, 3.0, 5.0])
    Spread(median=3.0, low=2.0, high=4.0)
    """
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def ratio(values: Sequence[float], reference: Sequence[float]) -> Spread:
    """Give the spread of ratios taken round by round.

    >>> ratio([2.0, 20.0, 200.0], [1.0, 10.0, 100.0])
    Spread(median=2.0, low=2.0, high=2.0)
    """
    return spread([value / other for value, other in zip(values, reference, strict=True)])
