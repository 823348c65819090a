"""Lightning callbacks of a run: the curve of the held-out loss, checkpoints, snapshots and the progress bar.

Lightning stores a callback's state in checkpoints under its class name: a renamed class would lose the state of runs
that are resumed.
"""

import os
import signal
import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from inattention.files import write_json, write_lines
from inattention.pretraining.config import PretrainingConfig, snapshot_path
from inattention.pretraining.objective import MaskedAcousticModel
from inattention.pretraining.stopping import RunStopped, StopRequests
from inattention.progress import Bar
from inattention.progress import bar as progress_bar

CHECKPOINT, CHECKPOINT_BEFORE = "checkpoint.ckpt", "checkpoint-before.ckpt"
CURVE = "curve.jsonl"


class Curve(Callback):
    """Records the held-out loss against steps and seconds of training in ``curve.jsonl``.

    The seconds cover optimizer steps and the preparation of batches, but not validation and checkpoints. Processor time
    is recorded too, as other work on the machine hardly changes it.

    Args:
        folder: folder of the run.

    Attributes:
        points: one per validation, with ``step``, ``held_out_l1``, the number of ``utterances`` that it rests on,
            ``seconds`` and ``cpu_seconds``.
        seconds: wall-clock time of training so far.
        cpu_seconds: processor time of training so far.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.points: list[dict[str, float]] = []
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        self._since: tuple[float, float] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the state for checkpoints."""
        return {"points": self.points, "seconds": self.seconds, "cpu_seconds": self.cpu_seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.points = list(state_dict["points"])
        self.seconds, self.cpu_seconds = state_dict["seconds"], state_dict["cpu_seconds"]

    def stop(self) -> None:
        """Stop the clocks."""
        if self._since is not None:
            self.seconds += time.perf_counter() - self._since[0]
            self.cpu_seconds += time.process_time() - self._since[1]
            self._since = None

    def go(self) -> None:
        """Start the clocks."""
        self._since = (time.perf_counter(), time.process_time())

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clocks."""
        self.go()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clocks during validation."""
        self.stop()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add a point and write the curve."""
        point = {
            "step": trainer.global_step,
            "held_out_l1": float(trainer.callback_metrics["held_out/l1"]),
            "utterances": int(trainer.callback_metrics["held_out/utterances"]),
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(self.cpu_seconds, 3),
        }
        self.points = [p for p in self.points if p["step"] < point["step"]] + [point]
        if trainer.is_global_zero:
            write_lines(self.folder / CURVE, self.points)
        if trainer.state.fn == "fit":
            self.go()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clocks."""
        self.stop()


class Checkpoints(Callback):
    """Writes a checkpoint every few minutes and on stop requests, atomically, and keeps the previous one.

    Args:
        folder: folder of the run.
        config: settings of the training.
        curve: its clocks are stopped while a checkpoint is written.
        stop: requests to stop.
    """

    def __init__(self, folder: Path, config: PretrainingConfig, curve: Curve, stop: StopRequests) -> None:
        self.folder = folder
        self.stop = stop
        self.seconds = config.checkpoint_minutes * 60
        self.interval = config.validation_interval
        self.curve = curve
        self._last = time.monotonic()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Install our signal handlers in place of Lightning's, which gives them back at the end."""
        self.stop.listen()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if due; if a validation follows, save after it instead, so that its point is in the checkpoint."""
        if batch.is_last and trainer.global_step % self.interval:
            self.save_if_due(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save if due."""
        self.save_if_due(trainer)

    def save_if_due(self, trainer: L.Trainer) -> None:
        """Save when enough time has passed or a stop is requested; all processes take the same decision.

        Raises:
            RunStopped: if a stop was requested in any process.
        """
        if trainer.strategy.reduce_boolean_decision(self.stop.received is not None, all=False):
            self.save(trainer)
            stopped = RunStopped(
                f"stopped by {self.stop.received or 'another process'} after step {trainer.global_step}; "
                "the same command resumes the run"
            )
            if self.stop.received is not None:
                stopped.signal = signal.Signals[self.stop.received]
            raise stopped
        if trainer.strategy.broadcast(time.monotonic() - self._last >= self.seconds):
            self.save(trainer)

    def save(self, trainer: L.Trainer) -> None:
        """Write a checkpoint under a temporary name, then rename it."""
        self.curve.stop()
        temporary = self.folder / f".{CHECKPOINT}.writing"
        try:
            trainer.save_checkpoint(temporary, weights_only=False)
        except OSError:
            temporary.unlink(missing_ok=True)  # frees space if the disk is full
            raise
        if trainer.is_global_zero:
            if (self.folder / CHECKPOINT).exists():
                os.replace(self.folder / CHECKPOINT, self.folder / CHECKPOINT_BEFORE)
            os.replace(temporary, self.folder / CHECKPOINT)
        self._last = time.monotonic()
        self.curve.go()


class Snapshots(Callback):
    """Saves whole models during training, each in a folder for `AudioTransformer.from_pretrained`.

    Args:
        folder: folder of the run.
        config: settings of the training.
        curve: its clocks are stopped while a model is written.
    """

    def __init__(self, folder: Path, config: PretrainingConfig, curve: Curve) -> None:
        self.folder = folder
        self.steps = config.snapshot_steps
        self.curve = curve

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save the model if due. A run resumed from an earlier step writes the same bits again."""
        model = pl_module.model
        if trainer.global_step not in self.steps or not batch.is_last or not trainer.is_global_zero:
            return
        assert isinstance(model, MaskedAcousticModel)
        self.curve.stop()
        folder = self.folder / snapshot_path(trainer.global_step)
        folder.mkdir(parents=True, exist_ok=True)
        model.encoder.save_pretrained(folder)
        write_json(folder / "outcome.json", {"steps": trainer.global_step})
        self.curve.go()


class Progress(Callback):
    """Shows optimizer steps, of the whole run, with training and held-out loss.

    Args:
        title: description of the bar.
        refresh_rate: steps between updates.
    """

    def __init__(self, title: str, refresh_rate: int) -> None:
        self.title = title
        self.refresh_rate = refresh_rate
        self._bar: Bar | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the bar, in the first process alone."""
        show = trainer.is_global_zero
        step = trainer.global_step
        self._bar = progress_bar(total=trainer.max_steps, desc=self.title, unit="step", show=show, initial=step)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count optimizer steps, not micro-batches."""
        step = trainer.global_step
        if self._bar is None or (step - self._bar.n < self.refresh_rate and step < trainer.max_steps):
            return
        metrics = trainer.progress_bar_metrics.items()
        self._bar.set_postfix_str(", ".join(f"{name}={value:.3f}" for name, value in metrics), refresh=False)
        self._bar.update(step - self._bar.n)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the bar after the run."""
        self._close()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Close the bar after an error, so that the error is printed below it."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
