"""What Lightning drives: optimiser and schedule, the loss of a step, checkpoints, and the curve of the held-out loss.

Every step's randomness is drawn from a seed of its own (master seed, step, process), and the order of batches from
the place in the corpus. So a checkpoint needs no random state, and a run that was killed ends in the same bits.
"""

import os
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from inattention.attention import AttentionMechanism
from inattention.files import write_json, write_lines
from inattention.pretraining.config import PretrainingConfig
from inattention.pretraining.devices import optimiser_state_by_model_order, spread
from inattention.pretraining.examples import Batch
from inattention.pretraining.objective import MaskedAcousticModel, processes, share_of_mean, sums_everywhere
from inattention.pretraining.stopping import RunDiverged, RunStopped, StopRequests
from inattention.seeding import derive_seed

CHECKPOINT, CHECKPOINT_BEFORE = "checkpoint.ckpt", "checkpoint-before.ckpt"
CURVE = "curve.jsonl"
SNAPSHOTS = "snapshots"


def make_optimiser(module: nn.Module, config: PretrainingConfig) -> Optimizer:
    """Make the optimiser by name; biases and norms do not decay, and mechanisms may have a rate of their own."""
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
    """Give the learning rate of a step as a share of the highest: linear warm-up, then linear decay to zero.

    >>> [rate_at(s, PretrainingConfig(steps=10, warmup=0.2)) for s in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    warmup = round(config.warmup * config.steps)
    if step < warmup:
        return (step + 1) / warmup
    return max(0.0, (config.steps - step) / max(1, config.steps - warmup))


class Pretraining(L.LightningModule):
    """The masked acoustic model as Lightning trains it, or any other that gives a summed error and a count of cells."""

    def __init__(self, model: nn.Module, config: PretrainingConfig, seed: int) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.seed = seed
        self.position = (0, 0)
        self.skipped: dict[str, str] = {}
        self._held_out = [0.0, 0.0]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Optimiser and schedule; the rate changes at every step."""
        optimiser = make_optimiser(self.model, self.config)
        schedule = LambdaLR(optimiser, lambda step: rate_at(step, self.config))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_model(self) -> None:
        """Under FSDP, leave each process its part of the weights."""
        spread(self.model, self.trainer.strategy)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Start the step's own random stream, which all pieces of a batch draw from."""
        if not batch.piece:
            torch.manual_seed(derive_seed(self.seed, "step", self.global_step, self.global_rank))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The mean absolute error over the masked cells of all processes, and what mechanisms want kept small."""
        self.skipped.update(batch.skipped)
        error, cells = self.model(batch)
        everywhere, bad = sums_everywhere((batch.cells, not bool(error.isfinite())), self.device)
        if bad:  # all processes know, so that none waits for the others
            raise RunDiverged(sorted({cut for ids in _from_all(batch.ids) for cut in ids}))
        if batch.piece == batch.pieces - 1:
            number, offset = batch.position
            self.position = (number, offset + 1)
        self.log("train/l1", error.detach() / max(cells, 1), prog_bar=True, batch_size=len(batch.ids) or 1)
        loss = share_of_mean(error, everywhere, batch.pieces)
        besides = self.model.auxiliary_loss() if isinstance(self.model, MaskedAcousticModel) else None
        return loss if besides is None else loss + besides

    def on_validation_epoch_start(self) -> None:
        """Start counting."""
        self._held_out = [0.0, 0.0]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a held-out batch's error."""
        error, cells = self.model(batch)
        self._held_out[0] += float(error)
        self._held_out[1] += cells

    def on_validation_epoch_end(self) -> None:
        """The held-out loss: a mean over all masked cells of all processes."""
        error, cells = sums_everywhere(self._held_out, self.device)
        self.log("held_out/l1", error / max(cells, 1.0), prog_bar=True, rank_zero_only=True)

    def on_train_end(self) -> None:
        """Bring together what any process could not use."""
        self.skipped = self._skipped_anywhere()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Where in the corpus to go on, and what could not be used so far."""
        checkpoint["position"] = list(self.position)
        checkpoint["skipped"] = self._skipped_anywhere()
        if not isinstance(self.trainer.strategy, ModelParallelStrategy):
            checkpoint["optimizer_states"] = [
                optimiser_state_by_model_order(state, self, optimiser)
                for state, optimiser in zip(checkpoint["optimizer_states"], self.trainer.optimizers, strict=True)
            ]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on where the checkpoint was written, in pieces of today's number."""
        number, offset = checkpoint["position"]
        self.position = (number, offset)
        self.skipped = dict(checkpoint["skipped"])
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        for counts in (progress["total"], progress["current"]):
            shift = checkpoint["global_step"] * self.config.accumulate - counts["ready"]
            for name in ("ready", "started", "processed", "completed"):
                counts[name] += shift

    def _skipped_anywhere(self) -> dict[str, str]:
        return {cut: reason for skipped in _from_all(self.skipped) for cut, reason in sorted(skipped.items())}


def _from_all(mine: Any) -> list[Any]:
    """Give every process what each has."""
    if processes() == 1:
        return [mine]
    everyone: list[Any] = [None] * processes()
    dist.all_gather_object(everyone, mine)
    return everyone


class Curve(Callback):
    """The held-out loss against steps and against seconds of training, kept in ``curve.jsonl``.

    Seconds are those spent in training steps: preparing batches counts, validation and checkpoints do not. Beside
    them stand the seconds of processor time, which other work on the machine hardly changes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.points: list[dict[str, float]] = []
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        self._since: tuple[float, float] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Travel with the checkpoint."""
        return {"points": self.points, "seconds": self.seconds, "cpu_seconds": self.cpu_seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.points = list(state_dict["points"])
        self.seconds, self.cpu_seconds = state_dict["seconds"], state_dict["cpu_seconds"]

    def stop(self) -> None:
        """Leave out what follows."""
        if self._since is not None:
            self.seconds += time.perf_counter() - self._since[0]
            self.cpu_seconds += time.process_time() - self._since[1]
            self._since = None

    def go(self) -> None:
        """Count from here."""
        self._since = (time.perf_counter(), time.process_time())

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin."""
        self.go()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Validation does not count."""
        self.stop()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note a point, and write the curve."""
        point = {
            "step": trainer.global_step,
            "held_out_l1": float(trainer.callback_metrics["held_out/l1"]),
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(self.cpu_seconds, 3),
        }
        self.points = [p for p in self.points if p["step"] < point["step"]] + [point]
        if trainer.is_global_zero:
            write_lines(self.folder / CURVE, self.points)
        if trainer.state.fn == "fit":
            self.go()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End."""
        self.stop()


class Checkpoints(Callback):
    """A checkpoint every few minutes and when asked to stop: whole or not at all, and the one before is kept."""

    def __init__(self, folder: Path, config: PretrainingConfig, curve: Curve, stop: StopRequests) -> None:
        self.folder = folder
        self.stop = stop
        self.seconds = config.checkpoint_minutes * 60
        self.interval = config.validation_interval
        self.curve = curve
        self._last = time.monotonic()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take signals back from Lightning, which gives them up again at the end."""
        self.stop.listen()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time; where a validation follows, after it, so that no point of the curve is lost."""
        if batch.piece == batch.pieces - 1 and trainer.global_step % self.interval:
            self.save_if_due(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save if it is time."""
        self.save_if_due(trainer)

    def save_if_due(self, trainer: L.Trainer) -> None:
        """Save after enough minutes, or when asked to stop; all processes decide alike."""
        if trainer.strategy.reduce_boolean_decision(self.stop.received is not None, all=False):
            self.save(trainer)
            raise RunStopped(
                f"stopped by {self.stop.received or 'another process'} after step {trainer.global_step}; "
                "the same command goes on"
            )
        if trainer.strategy.broadcast(time.monotonic() - self._last >= self.seconds):
            self.save(trainer)

    def save(self, trainer: L.Trainer) -> None:
        """Write under a temporary name, then put it in its place."""
        self.curve.stop()
        temporary = self.folder / f".{CHECKPOINT}.writing"
        try:
            trainer.save_checkpoint(temporary, weights_only=False)
        except OSError:
            temporary.unlink(missing_ok=True)  # on a full disk, room for what is to be saved elsewhere
            raise
        if trainer.is_global_zero:
            if (self.folder / CHECKPOINT).exists():
                os.replace(self.folder / CHECKPOINT, self.folder / CHECKPOINT_BEFORE)
            os.replace(temporary, self.folder / CHECKPOINT)
        self._last = time.monotonic()
        self.curve.go()


class Snapshots(Callback):
    """Whole models kept on the way, each as `AudioTransformer.from_pretrained` takes it."""

    def __init__(self, folder: Path, config: PretrainingConfig, curve: Curve) -> None:
        self.folder = folder / SNAPSHOTS
        self.steps = config.snapshot_steps
        self.curve = curve

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the model if it is time. Where a stopped run goes on from before it, the same bits are written again."""
        model = pl_module.model
        if trainer.global_step not in self.steps or batch.piece < batch.pieces - 1 or not trainer.is_global_zero:
            return
        assert isinstance(model, MaskedAcousticModel)
        self.curve.stop()
        place = self.folder / f"step-{trainer.global_step:06d}"
        place.mkdir(parents=True, exist_ok=True)
        model.encoder.save_pretrained(place)
        write_json(place / "outcome.json", {"steps": trainer.global_step})
        self.curve.go()


class Progress(TQDMProgressBar):
    """One bar for the run, with the two losses.

    Args:
        title: what it is called.
        refresh_rate: steps between its updates.
    """

    def __init__(self, title: str, refresh_rate: int) -> None:
        super().__init__(refresh_rate)
        self.title = title

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """Leave out the loggers' version."""
        metrics: dict[str, Any] = dict(super().get_metrics(trainer, pl_module))
        metrics.pop("v_num", None)
        return metrics

    def init_train_tqdm(self) -> Any:
        """Name the bar."""
        bar = super().init_train_tqdm()
        bar.set_description(self.title)
        return bar

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count steps, not the pieces of their batches."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, trainer.global_step - 1)

    def on_train_epoch_start(self, trainer: L.Trainer, *_: Any) -> None:
        """There is one pass without end, so no epoch to announce."""
        self.train_progress_bar.reset(trainer.max_steps)
        self.train_progress_bar.initial = trainer.global_step

    def init_validation_tqdm(self) -> Any:
        """No second bar: validation is short."""
        return Tqdm(disable=True)
