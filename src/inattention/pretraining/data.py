"""What Lightning reads: the endless training batches from the place where the run stands, and the held-out split."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import lightning as L
from torch.utils.data import DataLoader

from inattention.pretraining.batches import EndlessBatches
from inattention.pretraining.engine import Pretraining
from inattention.pretraining.examples import HELD_OUT, Batch, split
from inattention.seeding import derive_seed

if TYPE_CHECKING:
    from inattention.pretraining.run import Run


class InPieces:
    """Gives the batches of a loader in pieces, one after the other."""

    def __init__(self, loader: DataLoader, pieces: int) -> None:
        self.loader = loader
        self.pieces = pieces

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.loader:
            yield from split(batch, self.pieces)


class PretrainingData(L.LightningDataModule):
    """The two splits of a run. Samplers are made when training starts, when it is known which process this is."""

    def __init__(self, run: "Run") -> None:
        super().__init__()
        self.run = run
        self.examples = run.examples()

    def train_dataloader(self) -> "DataLoader | InPieces":
        """Batches from the checkpoint's place on; the dataset draws masks, and the loader nothing."""
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
        return loader if settings.accumulate == 1 else InPieces(loader, settings.accumulate)

    def val_dataloader(self) -> DataLoader:
        """The held-out split with one draw of masks, which never changes; each process reads its share."""
        trainer = self.trainer
        assert trainer is not None
        items = self.run.held_out(draws=1)
        # All processes go through the model equally often, as it may be spread over them.
        items += [(HELD_OUT, 0, [])] * (-len(items) % trainer.world_size)
        items = items[trainer.global_rank :: trainer.world_size]
        return DataLoader(self.examples, sampler=items, batch_size=None, num_workers=self.run.training.workers)
