"""The training of one run with Lightning: build the trainer, resume from a checkpoint, return the trained model."""

import importlib.util
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
from inattention.pretraining.config import PRECISIONS, PretrainingConfig
from inattention.pretraining.manifest import Run
from inattention.pretraining.stopping import RunDiverged, RunError, StopRequests

if TYPE_CHECKING:
    from lightning import Trainer
    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.strategies import Strategy

DIVERGED = "diverged.json"
_STRATEGIES = ("auto", "ddp", "fsdp")
_PACKAGES = {"deepspeed": "deepspeed", "xla": "torch_xla"}  # that strategies need, by a part of their names
# Whether this machine has an accelerator, by Lightning's names.
_ACCELERATORS = {
    "cpu": lambda: True,
    "cuda": torch.cuda.is_available,
    "gpu": lambda: torch.cuda.is_available() or torch.backends.mps.is_available(),
    "mps": torch.backends.mps.is_available,
    "tpu": lambda: importlib.util.find_spec("torch_xla") is not None,
}


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


def check_names(settings: PretrainingConfig) -> None:
    """Check the names of accelerator and strategy, without asking what this machine has.

    Raises:
        RunError: for an unknown name; the message lists the known ones.
    """
    if settings.accelerator not in (*_ACCELERATORS, "auto"):
        from lightning.pytorch.accelerators import AcceleratorRegistry

        known = sorted({*_ACCELERATORS, *AcceleratorRegistry.available_accelerators()})
        if settings.accelerator not in known:
            raise RunError(f"training.accelerator must be auto, {', '.join(known)}, not {settings.accelerator!r}")
    if settings.strategy not in _STRATEGIES:
        from lightning.pytorch.strategies import StrategyRegistry

        # Those that start processes as copies of this one cannot send the trained model back to it.
        copies = ("spawn", "fork", "notebook")
        usable = [name for name in StrategyRegistry.available_strategies() if not any(it in name for it in copies)]
        if settings.strategy not in usable:
            known = ", ".join(dict.fromkeys((*_STRATEGIES, *sorted(usable))))
            raise RunError(f"training.strategy must be one of {known}, not {settings.strategy!r}")


def check_machine(settings: PretrainingConfig) -> None:
    """Check that this machine has the accelerator that the settings ask for, with their precision and strategy.

    Raises:
        RunError: if not; the message says what the machine has.
    """
    usable = {name: has() for name, has in _ACCELERATORS.items()}
    if not usable.get(settings.accelerator, True):
        here = ", ".join(name for name, has in usable.items() if has)
        raise RunError(f"training.accelerator: this machine has no {settings.accelerator!r}; it has {here}")
    package = next((it for word, it in _PACKAGES.items() if word in settings.strategy), None)
    if package and importlib.util.find_spec(package) is None:
        raise RunError(f"training.strategy: {settings.strategy!r} needs the package {package}, which is not installed")
    on_cpu = settings.accelerator == "cpu" or (settings.accelerator == "auto" and not (usable["gpu"] or usable["tpu"]))
    if on_cpu and PRECISIONS[settings.precision] == "16-mixed":
        raise RunError(
            f"training.precision: {settings.precision!r} needs a GPU; on a CPU, choose bf16-mixed or 32-true"
        )


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
        precision=PRECISIONS[settings.precision],  # ty: ignore[invalid-argument-type]
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
