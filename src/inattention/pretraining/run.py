"""Pre-training in a folder: the same call starts a run, resumes it, or returns the outcome of a finished one.

config.json, model.safetensors   the trained encoder, loaded by `AudioTransformer.from_pretrained`
run.json                         the manifest: model, hyperparameters, corpus, seed, versions (`RunManifest`)
outcome.json                     held-out loss with its baseline, steps, seconds, skipped cuts (`PretrainingOutcome`)
curve.jsonl                      held-out loss against steps and seconds
checkpoint.ckpt                  where to resume
snapshots/step-000200/, ...      the encoder during training, if requested
logs/                            CSV and TensorBoard
"""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from inattention.files import LOCK, folder_for, folder_lock, write_json
from inattention.pretraining.config import PretrainingConfig
from inattention.pretraining.held_out import measure_held_out
from inattention.pretraining.manifest import MANIFEST, Run, claim, read_object
from inattention.pretraining.objective import MaskedAcousticModel
from inattention.pretraining.stopping import RunError, is_first_process, writing
from inattention.pretraining.training import TrainingFacts, check_machine, check_names, fit

OUTCOME = "outcome.json"


@dataclass(frozen=True, kw_only=True)
class PretrainingOutcome:
    """The contents of ``outcome.json``: how a run ended.

    Attributes:
        steps: optimizer steps.
        parameters: number of parameters of the encoder.
        attention_parameters: of those, the attention mechanisms' own.
        held_out_l1: mean absolute error over the masked bins of the dev split.
        mean_l1: the same for predicting each dimension's mean over the utterance.
        held_out_cells: number of masked bins that both are averaged over.
        held_out_utterances: number of utterances that these are from; 0 if an older version did not count them.
        seconds: wall-clock time of training.
        cpu_seconds: processor time of training.
        skipped: reason for each cut that could not be used, by id.
    """

    steps: int
    parameters: int
    attention_parameters: int
    held_out_l1: float
    mean_l1: float
    held_out_cells: int
    seconds: float
    cpu_seconds: float
    skipped: Mapping[str, str]
    held_out_utterances: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = OUTCOME) -> "PretrainingOutcome":
        """Read an outcome from JSON data.

        Args:
            data: the contents of ``outcome.json``.
            where: the file, for error messages.

        Raises:
            RunError: if a field is missing.
        """
        names = [field.name for field in fields(cls)]
        missing = [field.name for field in fields(cls) if field.default is MISSING and field.name not in data]
        if missing:
            raise RunError(f"{where} is no outcome of a pre-training run: {', '.join(missing)} is missing")
        return cls(**{name: data[name] for name in names if name in data})

    @classmethod
    def read(cls, folder: Path) -> "PretrainingOutcome":
        """Read the outcome of a finished run.

        Raises:
            FileNotFoundError: if the run has not finished.
            RunError: if the file is damaged.
        """
        path = folder / OUTCOME
        return cls.from_dict(read_object(path), str(path))


def pretrain(run: Run, folder: str | Path, *, progress: bool = True) -> PretrainingOutcome | None:
    """Pre-train an encoder in a folder, or resume where an earlier call stopped; a finished run is not repeated.

    Args:
        run: model, settings, corpus and seed.
        folder: where all files of the run are written.
        progress: show a progress bar.

    Returns:
        The outcome; None in all processes but the first, where several train together.

    Raises:
        ValueError: if no run can work with these settings.
        RunError: if it cannot on this machine, the folder holds another run, or another process is training in it.
        RunStopped: after SIGTERM or SIGINT, once a checkpoint is written.
        RunDiverged: if the loss becomes NaN or infinite; ``diverged.json`` names the step and the batch's cuts.
    """
    check_run(run.training, run.model.max_length)
    folder = Path(folder)
    first = is_first_process()
    with (
        writing(folder),
        folder_for(folder, worthless=(LOCK, MANIFEST, "logs") if first else ()),
        folder_lock(folder, RunError) if first else nullcontext(),
    ):
        return _pretrain(run, folder, progress=progress)


def check_run(training: PretrainingConfig, max_length: int) -> None:
    """Check settings before a corpus is opened or a folder made.

    Args:
        training: the settings.
        max_length: the longest input of the encoder, in frames.

    Raises:
        ValueError: if no run can work with them, here or anywhere.
    """
    training.check(max_length)
    check_names(training)
    check_machine(training)


def forget(folder: Path) -> None:
    """Remove what a run would be resumed or returned from, so that the next call trains it from its first step."""
    from inattention.pretraining.callbacks import CHECKPOINT, CHECKPOINT_BEFORE, CURVE

    for name in (OUTCOME, CHECKPOINT, CHECKPOINT_BEFORE, CURVE, MANIFEST):
        (folder / name).unlink(missing_ok=True)


def _pretrain(run: Run, folder: Path, *, progress: bool) -> PretrainingOutcome | None:
    claim(folder, run.manifest().to_dict())
    if (folder / OUTCOME).exists():
        return PretrainingOutcome.read(folder) if is_first_process() else None
    model, facts = run.fresh_model(), TrainingFacts()
    if run.training.steps:
        trained, facts = fit(run, model, folder, progress=progress)
        assert isinstance(trained, MaskedAcousticModel)
        model = trained
        if not is_first_process():
            return None
    loss = measure_held_out(run, model)
    outcome = PretrainingOutcome(
        steps=run.training.steps,
        parameters=sum(p.numel() for p in model.encoder.parameters()),
        attention_parameters=sum(p.numel() for p in model.encoder.encoder.mechanisms.parameters()),
        held_out_l1=loss.l1,
        mean_l1=loss.mean_l1,
        held_out_cells=loss.bins,
        held_out_utterances=loss.utterances,
        seconds=round(facts.seconds, 3),
        cpu_seconds=round(facts.cpu_seconds, 3),
        skipped=facts.skipped,
    )
    model.encoder.save_pretrained(folder)
    write_json(folder / OUTCOME, outcome.to_dict())
    return outcome
