"""A pre-training run in a folder: started, gone on with, or found finished, by the same call.

config.json, model.safetensors   the trained encoder, as `AudioTransformer.from_pretrained` takes it
run.json                         model, settings, corpus, seed, versions: all that the outcome depends on
outcome.json                     held-out loss with its baselines, steps, seconds, what was skipped
curve.jsonl                      the held-out loss against steps and seconds
checkpoint.ckpt                  where to go on
snapshots/step-000200/, ...      the encoder on the way, if asked for
logs/                            CSV and TensorBoard
"""

import json
import logging
import sys
import warnings
import zipfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from inattention import attention
from inattention.audio.reader import AudioError
from inattention.corpora.core.corpus import Corpus
from inattention.corpora.core.stored_features import stored_features
from inattention.files import folder_lock, write_json
from inattention.model.config import AudioTransformerConfig
from inattention.pretraining.config import PretrainingConfig
from inattention.pretraining.examples import HELD_OUT, Batch, Example, MaskedExamples, target_size
from inattention.pretraining.floor import NeighbourRegression
from inattention.pretraining.objective import MaskedAcousticModel, mean_baseline
from inattention.pretraining.stopping import RunDiverged, RunError, StopRequests, is_first_process, writing
from inattention.provenance import provenance
from inattention.seeding import derive_seed

if TYPE_CHECKING:
    from lightning.pytorch.strategies import Strategy


RUN, OUTCOME = "run.json", "outcome.json"
PASSES_FOR_FLOOR = 50


@dataclass(frozen=True)
class Run:
    """All that a pre-training run's outcome depends on."""

    model: AudioTransformerConfig
    training: PretrainingConfig
    corpus: Corpus
    seed: int = 0

    def account(self) -> dict[str, Any]:
        """Give it as plain data; a file that the attention starts from counts by its content.

        Raises:
            ValueError: if there is no such file.
        """
        account = {
            "model": self.model.to_dict(),
            "training": self.training.hyperparameters(),
            "corpus": {"name": self.corpus.info["name"], "key": self.corpus.key},
            "seed": self.seed,
        }
        files = attention.digests(self.model.attention, self.model.attention_options)
        return {**account, "files": files} if files else account

    def examples(self) -> MaskedExamples:
        """Make the masked examples of this run.

        Raises:
            CorpusError: if stored features are to be used and there are none.
        """
        features = self.model.features
        return MaskedExamples(
            features,
            self.training,
            max_length=self.model.max_length,
            seed=derive_seed(self.seed, "data"),
            stored=stored_features(self.corpus, features) if self.training.stored_features else None,
        )

    def held_out(self, draws: int) -> list[tuple[str, int, list]]:
        """List the held-out batches, as `MaskedExamples` takes them: several draws of masks, the same at every call."""
        size = self.training.batch_size
        cuts = sorted(self.corpus.cuts("dev"), key=lambda cut: (cut.duration, cut.id))
        return [(HELD_OUT, draw, cuts[i : i + size]) for draw in range(draws) for i in range(0, len(cuts), size)]

    def fresh_model(self) -> MaskedAcousticModel:
        """Make the model as it is before training; the same for the same seed."""
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed(self.seed, "model"))
            return MaskedAcousticModel(self.model, target_size(self.training, self.model.features))


def pretrain(run: Run, folder: str | Path, *, progress: bool = True) -> dict[str, Any]:
    """Pre-train an encoder in a folder, or go on where a killed run stopped; a finished run is not done again.

    Args:
        run: model, settings, corpus and seed.
        folder: where everything is kept.
        progress: show a progress bar.

    Returns:
        What ``outcome.json`` holds.

    Raises:
        RunError: if the folder holds a run with other settings, or another process is at work in it.
        RunStopped: if SIGTERM or SIGINT asked for an end, after a checkpoint.
        RunDiverged: if the loss is no longer a number; ``diverged.json`` names the step and the batch's cuts.
    """
    folder = Path(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with writing(folder), folder_lock(folder, RunError) if is_first_process() else nullcontext():
        return _pretrain(run, folder, progress=progress)


def _pretrain(run: Run, folder: Path, *, progress: bool) -> dict[str, Any]:
    claim(folder, run.account())
    if (folder / OUTCOME).exists():
        return json.loads((folder / OUTCOME).read_text(encoding="utf-8")) if is_first_process() else {}
    model = run.fresh_model()
    facts: dict[str, Any] = {"seconds": 0.0, "cpu_seconds": 0.0, "skipped": {}}
    if run.training.steps:
        trained, facts = fit(run, model, folder, progress=progress)
        assert isinstance(trained, MaskedAcousticModel)
        model = trained
        if not is_first_process():
            return {}
    outcome = {
        "steps": run.training.steps,
        "parameters": sum(p.numel() for p in model.encoder.parameters()),
        "attention_parameters": sum(p.numel() for p in model.encoder.encoder.mechanisms.parameters()),
        **measure_held_out(run, model),
        "seconds": round(facts["seconds"], 3),
        "cpu_seconds": round(facts["cpu_seconds"], 3),
        "skipped": facts["skipped"],
    }
    model.encoder.save_pretrained(folder)
    write_json(folder / OUTCOME, outcome)
    return outcome


@torch.no_grad()
def measure_held_out(run: Run, model: nn.Module) -> dict[str, float]:
    """Measure the held-out loss of a model and of predicting the mean: absolute error a masked cell.

    Args:
        run: whose held-out batches are used.
        model: for a `Batch`, gives a summed error and the number of cells that it is over.
    """
    device = next(model.parameters()).device
    model.eval()
    error = baseline = cells = 0.0
    examples = run.examples()
    for item in run.held_out(run.training.held_out_draws):
        batch = examples[item]
        batch = batch._replace(**{name: getattr(batch, name).to(device) for name in Batch._fields[:4]})
        got, count = model(batch)
        error, cells = error + float(got), cells + count
        baseline += mean_baseline(batch)[0]
    return {"held_out_l1": error / max(cells, 1), "mean_l1": baseline / max(cells, 1), "held_out_cells": int(cells)}


def neighbour_floor(run: Run) -> dict[str, float]:
    """Measure the masked loss of a linear regression on the neighbours, fitted on the training split."""
    examples = run.examples()

    def training() -> Iterator[Example]:
        for number in range(PASSES_FOR_FLOOR):
            for cut in run.corpus.cuts("train"):  # ty: ignore[not-iterable]
                with suppress(AudioError):
                    yield examples.example(cut, HELD_OUT, draw=run.training.held_out_draws + number)

    regression = NeighbourRegression(groups=run.training.masking.span_steps).fit(training())
    error = cells = 0.0
    for item in run.held_out(run.training.held_out_draws):
        got, count = regression.error(examples[item])
        error, cells = error + got, cells + count
    return {"neighbour_l1": error / max(cells, 1)}


def fit(
    run: Run, model: nn.Module, folder: Path, *, progress: bool, title: str = "pre-training"
) -> tuple[nn.Module, dict[str, Any]]:
    """Train with Lightning; give the trained model, and how it went.

    Args:
        run: settings, corpus and seed.
        model: for a `Batch`, gives a summed error and the number of cells that it is over. It is trained in place;
            under FSDP it must be the run's own.
        folder: where checkpoints, curve and logs are kept; a checkpoint that stands there is gone on from.
        progress: show a progress bar.
        title: what the bar calls it.

    Returns:
        The model in one piece (under FSDP another object than was given), and ``seconds`` and ``cpu_seconds`` of
        training with the cuts that were ``skipped``.

    Raises:
        RunStopped: if SIGTERM or SIGINT asked for an end, after a checkpoint.
        RunDiverged: if the loss is no longer a number.
    """
    with _quiet():
        import lightning as L
        from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

        from inattention.pretraining.data import PretrainingData
        from inattention.pretraining.devices import CheckpointFile, placement
        from inattention.pretraining.engine import Checkpoints, Curve, Pretraining, Progress, Snapshots

        settings = run.training
        module = Pretraining(model, settings, run.seed)
        curve = Curve(folder)
        stop = StopRequests()
        trainer = L.Trainer(
            max_steps=settings.steps,
            max_epochs=-1,
            accelerator=settings.accelerator,
            **placement(settings),
            precision=settings.precision,  # ty: ignore[invalid-argument-type]
            gradient_clip_val=settings.clip,
            accumulate_grad_batches=settings.accumulate,
            val_check_interval=settings.validation_interval * settings.accumulate,  # counted in pieces of batches
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=progress,
            log_every_n_steps=max(1, min(50, settings.steps // 20)),
            callbacks=[curve, Checkpoints(folder, settings, curve, stop)]
            + ([Snapshots(folder, settings, curve)] if settings.snapshots else [])
            + ([Progress(title, refresh_rate=5)] if progress else []),
            plugins=[CheckpointFile()],
            logger=[
                CSVLogger(folder / "logs", name="csv"),  # each start writes a version of its own
                TensorBoardLogger(folder / "logs", name="tensorboard", version=""),
            ],
        )
        try:
            with stop.noted():
                trainer.fit(
                    module,
                    datamodule=PretrainingData(run),
                    ckpt_path=usable_checkpoint(folder),
                    weights_only=True,
                )
        except RunDiverged as error:
            (ids,) = error.args
            if trainer.is_global_zero:
                write_json(folder / "diverged.json", {"step": trainer.global_step, "cuts": list(ids)})
            raise RunDiverged(
                f"the loss is not a number at step {trainer.global_step}; {folder}/diverged.json names the cuts. "
                "Lower the learning rate, or look at those cuts; the run goes on from its last checkpoint"
            ) from None
        return _whole(run, model, trainer.strategy), {
            "seconds": curve.seconds,
            "cpu_seconds": curve.cpu_seconds,
            "skipped": module.skipped,
        }


def _whole(run: Run, model: nn.Module, strategy: "Strategy") -> nn.Module:
    """Give the trained model in one piece; all processes take part in putting it together."""
    from lightning.pytorch.strategies import ModelParallelStrategy

    if not isinstance(strategy, ModelParallelStrategy):
        return model
    state = strategy.lightning_module_state_dict()
    model = run.fresh_model()
    if state:
        model.load_state_dict({name.removeprefix("model."): tensor for name, tensor in state.items()})
    return model


def usable_checkpoint(folder: Path) -> Path | None:
    """Find where to go on: the last checkpoint or, if it is damaged, the one before, which is said."""
    from inattention.pretraining.engine import CHECKPOINT, CHECKPOINT_BEFORE

    damaged = False
    for name in (CHECKPOINT, CHECKPOINT_BEFORE):
        path = folder / name
        if not path.exists():
            continue
        try:
            _check_whole(path)
        except Exception as error:  # a damaged file fails in as many ways as it can be damaged
            print(f"{path} is damaged and left out ({type(error).__name__})", file=sys.stderr)
            damaged = True
        else:
            return path
    if damaged:
        print(f"no checkpoint in {folder} is whole: the run starts from its first step", file=sys.stderr)
    return None


def _check_whole(path: Path) -> None:
    """Read a checkpoint through.

    Raises:
        ValueError: if its checksums do not match; what else a damaged file raises, it raises.
    """
    with zipfile.ZipFile(path) as archive:
        bad = archive.testzip()
    if bad is not None:
        raise ValueError(f"{bad} does not match its checksum")
    torch.load(path, map_location="meta", weights_only=True)


def claim(folder: Path, account: dict[str, Any]) -> None:
    """Write what a run is, or check that the folder holds this very run.

    Raises:
        RunError: if it holds another.
    """
    path = folder / RUN
    if path.exists():
        known = json.loads(path.read_text(encoding="utf-8"))
        parts = account.keys() | known.keys() - {"provenance"}
        differing = sorted(part for part in parts if known.get(part) != json.loads(json.dumps(account.get(part))))
        if differing:
            raise RunError(
                f"{folder} holds a run with another {' and another '.join(differing)} ({path}); choose another folder, "
                "or remove this one to start anew"
            )
        return
    if is_first_process():
        write_json(path, {**account, "provenance": provenance()})


@contextmanager
def _quiet() -> Generator[None]:
    """Keep Lightning's remarks about the machine, and warnings that have been looked into, off the screen."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        for message in (
            ".*LeafSpec.*",  # torch's, at every fit
            ".*does not have many workers.*",  # features are cheap and kept
            ".*eager.*",  # lhotse's, about small CutSets
        ):
            warnings.filterwarnings("ignore", message=message)
        yield
