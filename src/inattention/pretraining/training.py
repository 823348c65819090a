"""The training of one run with Lightning: build the trainer, resume from a checkpoint, return the trained model."""

import logging
import sys
import warnings
import zipfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from inattention.files import write_json
from inattention.pretraining.config import PretrainingConfig
from inattention.pretraining.manifest import Run
from inattention.pretraining.stopping import RunDiverged, RunError, StopRequests

if TYPE_CHECKING:
    from lightning import Trainer
    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.strategies import Strategy

DIVERGED = "diverged.json"


@dataclass(frozen=True)
class TrainingFacts:
    """Steps and time that training took.

    Attributes:
        seconds: wall-clock time spent in optimizer steps.
        cpu_seconds: processor time spent in optimizer steps.
        skipped: reason for each cut that could not be used, by id.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    skipped: Mapping[str, str] = field(default_factory=dict)


def fit(
    run: Run, model: nn.Module, folder: Path, *, progress: bool, title: str = "pre-training"
) -> tuple[nn.Module, TrainingFacts]:
    """Train a model, from the folder's last checkpoint if it has one.

    Args:
        run: settings, corpus and seed.
        model: maps a `Batch` to a summed error and the number of bins it is summed over. It is trained in place; under
            FSDP it must be the run's own.
        folder: where checkpoints, curve and logs are written.
        progress: show a progress bar.
        title: description of the bar.

    Returns:
        The whole model (under FSDP not the object passed in) and what its training took.

    Raises:
        RunStopped: after SIGTERM or SIGINT, once a checkpoint is written.
        RunDiverged: if the loss becomes NaN or infinite.
    """
    with _quiet():
        from inattention.pretraining.callbacks import Checkpoints, Curve, Progress, Snapshots
        from inattention.pretraining.data import PretrainingData
        from inattention.pretraining.module import Pretraining

        settings = run.training
        module = Pretraining(model, settings, run.seed)
        curve = Curve(folder)
        stop = StopRequests()
        callbacks: list[Callback] = [curve, Checkpoints(folder, settings, curve, stop)]
        if settings.snapshot_steps:
            callbacks.append(Snapshots(folder, settings, curve))
        if progress:
            callbacks.append(Progress(title, refresh_rate=5))
        trainer = make_trainer(settings, folder, callbacks)
        try:
            with stop.noted():
                trainer.fit(
                    module,
                    datamodule=PretrainingData(run),
                    ckpt_path=usable_checkpoint(folder),
                    weights_only=True,
                )
        except RunDiverged as error:
            raise _reported(error, trainer, folder) from None
        facts = TrainingFacts(curve.seconds, curve.cpu_seconds, module.skipped)
        return _whole(run, model, trainer.strategy), facts


def make_trainer(settings: PretrainingConfig, folder: Path, callbacks: "list[Callback]") -> "Trainer":
    """Return Lightning's trainer for a run; it counts micro-batches where an optimizer step has several."""
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    try:
        return _trainer(settings, folder, callbacks)
    except (ValueError, MisconfigurationException) as error:  # names that Lightning does not know, and no such device
        raise RunError(f"accelerator, strategy, precision or devices: {str(error).splitlines()[0]}") from error


def _trainer(settings: PretrainingConfig, folder: Path, callbacks: "list[Callback]") -> "Trainer":
    import lightning as L
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

    from inattention.pretraining.devices import CheckpointFile, placement

    return L.Trainer(
        max_steps=settings.steps,
        max_epochs=-1,
        accelerator=settings.accelerator,
        **placement(settings),
        precision=settings.precision,  # ty: ignore[invalid-argument-type]
        gradient_clip_val=settings.clip,
        accumulate_grad_batches=settings.accumulate,
        val_check_interval=settings.validation_interval * settings.accumulate,  # counted in micro-batches
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        log_every_n_steps=max(1, min(50, settings.steps // 20)),
        callbacks=callbacks,
        plugins=[CheckpointFile()],
        logger=[
            CSVLogger(folder / "logs", name="csv"),  # each start writes a new version
            TensorBoardLogger(folder / "logs", name="tensorboard", version=""),
        ],
    )


def _reported(error: RunDiverged, trainer: "Trainer", folder: Path) -> RunDiverged:
    """Write ``diverged.json``, and return the error with a message for the user."""
    (ids,) = error.args
    if trainer.is_global_zero:
        write_json(folder / DIVERGED, {"step": trainer.global_step, "cuts": list(ids)})
    return RunDiverged(
        f"the loss is not a number at step {trainer.global_step}; {folder}/{DIVERGED} names the cuts. "
        "Lower the learning rate, or inspect those cuts; the run resumes from its last checkpoint"
    )


def _whole(run: Run, model: nn.Module, strategy: "Strategy") -> nn.Module:
    """Return the trained model in one piece; under FSDP all processes take part in gathering it."""
    from lightning.pytorch.strategies import ModelParallelStrategy

    if not isinstance(strategy, ModelParallelStrategy):
        return model
    state = strategy.lightning_module_state_dict()
    model = run.fresh_model()
    if state:
        model.load_state_dict({name.removeprefix("model."): tensor for name, tensor in state.items()})
    return model


def usable_checkpoint(folder: Path) -> Path | None:
    """Return the last checkpoint that is intact, or None; damaged ones are reported on stderr."""
    from inattention.pretraining.callbacks import CHECKPOINT, CHECKPOINT_BEFORE

    damaged = False
    for name in (CHECKPOINT, CHECKPOINT_BEFORE):
        path = folder / name
        if not path.exists():
            continue
        try:
            _check_intact(path)
        except Exception as error:  # torch and zipfile raise many types for damaged files
            print(f"{path} is damaged and skipped ({type(error).__name__})", file=sys.stderr)
            damaged = True
        else:
            return path
    if damaged:
        print(f"{folder} has no intact checkpoint: the run starts from its first step", file=sys.stderr)
    return None


def _check_intact(path: Path) -> None:
    """Read a whole checkpoint.

    Raises:
        ValueError: if a checksum does not match. Other damage raises whatever the readers raise.
    """
    with zipfile.ZipFile(path) as archive:
        bad = archive.testzip()
    if bad is not None:
        raise ValueError(f"{bad} does not match its checksum")
    torch.load(path, map_location="meta", weights_only=True)


@contextmanager
def _quiet() -> Generator[None]:
    """Silence Lightning's notes about the machine, and warnings that do not apply here."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        for message in (
            ".*LeafSpec.*",  # PyTorch's, at every fit
            ".*does not have many workers.*",  # features are cheap to compute and cached
            ".*eager.*",  # lhotse's, about small CutSets
        ):
            warnings.filterwarnings("ignore", message=message)
        yield
