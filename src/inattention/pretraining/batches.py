"""Batches of like lengths without end, in an order that depends on the seed alone, from any place on."""

from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from torch.utils.data import Sampler

if TYPE_CHECKING:
    from lhotse import CutSet


CUTS_LOOKED_AT = 10_000  # for the borders of the buckets


class EndlessBatches(Sampler):
    """Passes over a corpus, one after the other, each in its own order: yields (pass, offset, cuts).

    Buckets hold equally many cuts, not equally many seconds: batches are of so many cuts, and the bucket of each is
    drawn at random, so that with equal seconds the short utterances would be left for the end of every pass.

    A batch is drawn for all processes together, and each takes its share of the cuts: two processes with half the
    batch each see what one would see.

    Args:
        cuts: a lazy CutSet.
        batch_size: cuts a batch, over all processes.
        count: how many cuts there are, about; it sets the number of length buckets.
        seed: of the order.
        start: (pass, offset) of the first batch.
        rank: which process this is.
        processes: how many there are.
    """

    def __init__(
        self,
        cuts: "CutSet",
        *,
        batch_size: int,
        count: int,
        seed: int,
        start: tuple[int, int] = (0, 0),
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.cuts = cuts
        self.batch_size = batch_size
        self.buckets = max(2, min(30, count // (4 * batch_size)))
        self.seed = seed
        self.start = start
        self.rank = rank
        self.processes = processes

    def __iter__(self) -> Iterator[tuple[int, int, list]]:
        number, skip = self.start
        while True:
            empty = True
            for offset, cuts in enumerate(self._one_pass(number)):
                empty = False
                if offset >= skip:
                    yield number, offset, list(cuts)[self.rank :: self.processes]
            if empty:
                raise ValueError("the corpus has no cuts to train on")
            number, skip = number + 1, 0

    @cached_property
    def _bins(self) -> list[float]:
        """Durations, in seconds, between buckets of equally many cuts, by the corpus's first cuts."""
        durations = [cut.duration for cut in islice(self.cuts, CUTS_LOOKED_AT)]
        if not durations:
            return [1.0]
        shares = np.arange(1, self.buckets) / self.buckets
        return sorted({float(border) for border in np.quantile(durations, shares)})

    def _one_pass(self, number: int) -> Iterator["CutSet"]:
        from lhotse.dataset import DynamicBucketingSampler

        sampler = DynamicBucketingSampler(
            self.cuts,
            max_cuts=self.batch_size,
            duration_bins=self._bins,
            shuffle=True,
            seed=self.seed,
            rank=0,
            world_size=1,
        )
        sampler.set_epoch(number)
        return iter(sampler)
