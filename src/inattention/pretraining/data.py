"""The data loaders of a run: endless training batches from any position in the corpus, and the held-out batches."""

from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import lightning as L
import numpy as np
from torch.utils.data import DataLoader, Sampler

from inattention.pretraining.examples import HELD_OUT, Batch, split
from inattention.pretraining.manifest import Run
from inattention.pretraining.module import Pretraining
from inattention.seeding import derive_seed

if TYPE_CHECKING:
    from lhotse import CutSet

BUCKET_SAMPLE = 10_000  # cuts whose durations set the bucket limits


class EndlessBatches(Sampler):
    """Batches of cuts of similar length, epoch after epoch, each epoch in its own order: (epoch, offset, cuts).

    Buckets hold equal numbers of cuts, not equal durations: a batch has a fixed number of cuts and its bucket is drawn
    at random, so with equal durations the short utterances would be left over at the end of every epoch.

    A batch is drawn for all processes together and each takes its share of the cuts: two processes with half the
    batch each see what one process would see.

    Args:
        cuts: a lazy CutSet.
        batch_size: cuts per batch, over all processes.
        count: approximate number of cuts, which sets the number of length buckets.
        seed: seed of the order.
        start: (epoch, offset) of the first batch.
        rank: index of this process.
        processes: number of processes.
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
        epoch, skip = self.start
        while True:
            empty = True
            for offset, cuts in enumerate(self._one_epoch(epoch)):
                empty = False
                if offset >= skip:
                    yield epoch, offset, list(cuts)[self.rank :: self.processes]
            if empty:
                raise ValueError("the corpus has no cuts to train on")
            epoch, skip = epoch + 1, 0

    @cached_property
    def _bucket_limits(self) -> list[float]:
        """Durations in seconds that split the corpus's first cuts into buckets of equal size."""
        durations = [cut.duration for cut in islice(self.cuts, BUCKET_SAMPLE)]
        if not durations:
            return [1.0]
        shares = np.arange(1, self.buckets) / self.buckets
        return sorted({float(limit) for limit in np.quantile(durations, shares)})

    def _one_epoch(self, epoch: int) -> Iterator["CutSet"]:
        from lhotse.dataset import DynamicBucketingSampler

        sampler = DynamicBucketingSampler(
            self.cuts,
            max_cuts=self.batch_size,
            duration_bins=self._bucket_limits,
            shuffle=True,
            seed=self.seed,
            rank=0,
            world_size=1,
        )
        sampler.set_epoch(epoch)
        return iter(sampler)


class MicroBatches:
    """The batches of a loader, each split into micro-batches."""

    def __init__(self, loader: DataLoader, count: int) -> None:
        self.loader = loader
        self.count = count

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.loader:
            yield from split(batch, self.count)


class PretrainingData(L.LightningDataModule):
    """The train and dev splits of a run. Loaders are made once training starts, when the process's rank is known."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self.examples = run.examples()

    def train_dataloader(self) -> "DataLoader | MicroBatches":
        """Return training batches from the checkpoint's position on; only the dataset draws random numbers."""
        trainer, settings, corpus = self.trainer, self.run.training, self.run.corpus
        assert trainer is not None
        module = trainer.lightning_module
        assert isinstance(module, Pretraining)
        batches = EndlessBatches(
            corpus.cuts("train"),
            batch_size=settings.batch_size,
            count=corpus.info["splits"]["train"]["cuts"],
            seed=derive_seed(self.run.seed, "order") % 2**31,
            start=module.position,
            rank=trainer.global_rank,
            processes=trainer.world_size,
        )
        loader = DataLoader(self.examples, sampler=batches, batch_size=None, num_workers=settings.workers)
        return loader if settings.accumulate == 1 else MicroBatches(loader, settings.accumulate)

    def val_dataloader(self) -> DataLoader:
        """Return this process's share of the utterances measured during training, with one fixed draw of masks.

        The main process prepares them and keeps their features: worker processes would start anew for each measurement.
        """
        trainer = self.trainer
        assert trainer is not None
        items = self.run.validation()
        # Equal numbers of forward passes in all processes, as the model may be sharded over them.
        items += [(HELD_OUT, 0, [])] * (-len(items) % trainer.world_size)
        items = items[trainer.global_rank :: trainer.world_size]
        return DataLoader(self.examples, sampler=items, batch_size=None)
