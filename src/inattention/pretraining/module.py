"""The LightningModule of pre-training: optimizer, schedule, loss, and the state that checkpoints hold.

The randomness of each step is drawn from a seed of its own (run seed, step, process), and the order of batches follows
from the position in the corpus. Checkpoints therefore need no random state, and a run that was killed and resumed ends
in the same bits.
"""

from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from inattention.attention import AttentionMechanism
from inattention.pretraining.config import PretrainingConfig
from inattention.pretraining.devices import optimiser_state_by_model_order, shard
from inattention.pretraining.examples import Batch
from inattention.pretraining.objective import MaskedAcousticModel, processes, share_of_mean, sums_everywhere
from inattention.pretraining.stopping import RunDiverged
from inattention.seeding import derive_seed


def make_optimiser(module: nn.Module, config: PretrainingConfig) -> Optimizer:
    """Return the optimizer of a run.

    Biases and norms have no weight decay; attention mechanisms have ``config.attention_rate`` times the learning rate.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    groups = _by_decay(parameters, config)
    if config.attention_rate != 1:
        mechanisms = [it for it in module.modules() if isinstance(it, AttentionMechanism)]
        own = {id(parameter) for mechanism in mechanisms for parameter in mechanism.parameters()}
        groups = _by_decay([p for p in parameters if id(p) not in own], config)
        rate = config.attention_rate * config.learning_rate
        groups += [{**group, "lr": rate} for group in _by_decay([p for p in parameters if id(p) in own], config)]
    if config.optimiser == "lamb":
        from pytorch_optimizer import Lamb

        return Lamb(groups, lr=config.learning_rate, betas=config.betas, eps=config.epsilon)
    return AdamW(groups, lr=config.learning_rate, betas=config.betas, eps=config.epsilon)


def _by_decay(parameters: list[nn.Parameter], config: PretrainingConfig) -> list[dict[str, Any]]:
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def rate_at(step: int, config: PretrainingConfig) -> float:
    """Return the learning rate at a step relative to its peak: linear warm-up, then linear decay to zero.

    >>> [rate_at(s, PretrainingConfig(steps=10, warmup=0.2)) for s in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    warmup = round(config.warmup * config.steps)
    if step < warmup:
        return (step + 1) / warmup
    return max(0.0, (config.steps - step) / max(1, config.steps - warmup))


class Pretraining(L.LightningModule):
    """Trains a masked acoustic model, or any model that maps a `Batch` to a summed error and a number of bins.

    Args:
        model: the model.
        config: settings of the training.
        seed: the run's seed.

    Attributes:
        position: epoch and offset of the next batch.
        skipped: reason for each cut that could not be used, by id.
    """

    def __init__(self, model: nn.Module, config: PretrainingConfig, seed: int) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.seed = seed
        self.position = (0, 0)
        self.skipped: dict[str, str] = {}
        self._held_out = [0.0, 0.0, 0.0]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer, and a schedule that changes the rate at every step."""
        optimiser = make_optimiser(self.model, self.config)
        schedule = LambdaLR(optimiser, lambda step: rate_at(step, self.config))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_model(self) -> None:
        """Shard the model over processes under FSDP."""
        shard(self.model, self.trainer.strategy)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed the random stream of the step, which all its micro-batches draw from."""
        if batch.micro_batch == 0:
            torch.manual_seed(derive_seed(self.seed, "step", self.global_step, self.global_rank))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the mean absolute error over the masked bins of all processes, plus auxiliary losses."""
        self.skipped.update(batch.skipped)
        error, bins = self.model(batch)
        bins_of_all, bad = sums_everywhere((batch.masked_bins, not bool(error.isfinite())), self.device)
        if bad:  # summed over processes: all of them raise, so none waits for the others
            raise RunDiverged(sorted({cut for ids in _from_all(batch.ids) for cut in ids}))
        if batch.is_last:
            epoch, offset = batch.position
            self.position = (epoch, offset + 1)
        self.log("train/l1", error.detach() / max(bins, 1), prog_bar=True, batch_size=len(batch.ids) or 1)
        loss = share_of_mean(error, bins_of_all, batch.micro_batches)
        auxiliary = self.model.auxiliary_loss() if isinstance(self.model, MaskedAcousticModel) else None
        return loss if auxiliary is None else loss + auxiliary

    def on_validation_epoch_start(self) -> None:
        """Reset the held-out sums."""
        self._held_out = [0.0, 0.0, 0.0]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add the error of a held-out batch."""
        error, bins = self.model(batch)
        self._held_out[0] += float(error)
        self._held_out[1] += bins
        self._held_out[2] += len(batch.ids)

    def on_validation_epoch_end(self) -> None:
        """Log the held-out loss: the mean over all masked bins of all processes."""
        error, bins, utterances = sums_everywhere(self._held_out, self.device)
        self.log("held_out/l1", error / max(bins, 1.0), prog_bar=True, rank_zero_only=True)
        self.log("held_out/utterances", utterances, rank_zero_only=True)

    def on_train_end(self) -> None:
        """Merge the skipped cuts of all processes."""
        self.skipped = self._skipped_anywhere()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the position in the corpus and the cuts skipped so far."""
        checkpoint["position"] = list(self.position)
        checkpoint["skipped"] = self._skipped_anywhere()
        if not isinstance(self.trainer.strategy, ModelParallelStrategy):
            checkpoint["optimizer_states"] = [
                optimiser_state_by_model_order(state, self, optimiser)
                for state, optimiser in zip(checkpoint["optimizer_states"], self.trainer.optimizers, strict=True)
            ]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the position; batch counters are converted to the current number of micro-batches per step."""
        epoch, offset = checkpoint["position"]
        self.position = (epoch, offset)
        self.skipped = dict(checkpoint["skipped"])
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        for counts in (progress["total"], progress["current"]):
            shift = checkpoint["global_step"] * self.config.accumulate - counts["ready"]
            for name in ("ready", "started", "processed", "completed"):
                counts[name] += shift

    def _skipped_anywhere(self) -> dict[str, str]:
        return {cut: reason for skipped in _from_all(self.skipped) for cut, reason in sorted(skipped.items())}


def _from_all(own: Any) -> list[Any]:
    """Return the values of all processes, in every process."""
    if processes() == 1:
        return [own]
    gathered: list[Any] = [None] * processes()
    dist.all_gather_object(gathered, own)
    return gathered
