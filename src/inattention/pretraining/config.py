"""Settings of a pre-training run: command line, presets and saved records are all made from them."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

# Precisions by name, with Lightning's names; the short ones are those of earlier versions. Models with weights in
# another type ("bf16-true", "64-true") cannot be saved as what they are here, an encoder in float32.
PRECISIONS = {
    "32-true": "32-true",
    "bf16-mixed": "bf16-mixed",
    "16-mixed": "16-mixed",
    "32": "32-true",
    "bf16": "bf16-mixed",
    "16": "16-mixed",
}


@dataclass(frozen=True, kw_only=True)
class MaskingConfig:
    """Which frames are masked, and what replaces them.

    The authors' settings (``span_steps=1, start_every=3, before_deltas=False``) leak: the neighbours of a masked frame
    are never masked, and their deltas determine it linearly.

    Attributes:
        proportion: of an utterance's frames; at least one span is masked.
        span_steps: consecutive frames masked together; spans do not overlap.
        start_every: spans start at frames 0, n, 2n, ...; 1 for anywhere.
        before_deltas: compute deltas from the masked bands, so that they contain nothing of the masked frames.
        zeroed: share of utterances whose masked frames become zero (the mean).
        replaced: share of utterances whose masked frames become other frames of the utterance; in the rest they stay.
    """

    proportion: float = 0.15
    span_steps: int = 2
    start_every: int = 1
    before_deltas: bool = True
    zeroed: float = 0.8
    replaced: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.proportion < 1:
            raise ValueError(f"masking proportion must lie between 0 and 1, not {self.proportion}")
        if self.span_steps < 1 or self.start_every < 1:
            raise ValueError("span_steps and start_every must be at least 1")
        if self.start_every > 1 and self.span_steps > self.start_every:
            raise ValueError(f"spans of {self.span_steps} frames that start every {self.start_every} would overlap")
        if self.zeroed < 0 or self.replaced < 0 or self.zeroed + self.replaced > 1:
            raise ValueError("zeroed and replaced are shares of utterances: neither below 0, together at most 1")

    def check(self, max_length: int) -> None:
        """Raise ValueError if no input of up to ``max_length`` frames has room for two places of a span."""
        if math.isnan(self.zeroed) or math.isnan(self.replaced):
            raise ValueError("training.masking.zeroed and replaced must be numbers, not nan")
        if self.span_steps + self.start_every > max_length:
            raise ValueError(
                f"training.masking: no input has room for two places of a span: with span_steps={self.span_steps} and "
                f"start_every={self.start_every} it needs {self.span_steps + self.start_every} frames, and "
                f"model.max_length is {max_length}"
            )

    def hyperparameters(self) -> dict[str, Any]:
        """Return all settings, under names that never change (see `PretrainingConfig.hyperparameters`)."""
        return {
            "proportion": self.proportion,
            "span_steps": self.span_steps,
            "start_every": self.start_every,
            "before_deltas": self.before_deltas,
            "zeroed": self.zeroed,
            "replaced": self.replaced,
        }


@dataclass(frozen=True, kw_only=True)
class PretrainingConfig:
    """Settings of pre-training.

    Attributes:
        steps: optimizer steps.
        batch_size: utterances per step, over all devices together.
        optimiser: ``adamw`` or ``lamb``.
        learning_rate: peak, reached after the warm-up.
        attention_rate: learning rate of the attention mechanism's own parameters (maps, query and key projections),
            in units of ``learning_rate``.
        warmup: share of the steps over which the rate rises linearly; it then falls linearly to zero.
        weight_decay: of parameters with two dimensions and more.
        epsilon: of the optimizer.
        betas: of the optimizer.
        clip: maximum norm of the gradient.
        target: ``log-mel``, the normalised static bands; ``input``, the input features with their deltas; ``linear``,
            the authors' linear spectrogram in dB.
        masking: which frames are masked, and what replaces them.
        validate_every: steps between measurements of the held-out loss; 0 for fifty over the run, but at least ten
            steps. Each measures as many held-out utterances as keep validation below a tenth of the time.
        held_out_draws: masks drawn for each held-out utterance.
        checkpoint_minutes: time between checkpoints.
        accumulate: micro-batches per step and process, for batches that do not fit in memory; the step is that of the
            whole batch.
        snapshots: models saved during training at equal distances, in ``snapshots/``.
        snapshots_at: steps after which a model is saved, too; those from the last step on are ignored.
        workers: processes that prepare batches; 0 prepares them in the main process.
        stored_features: read the features stored by ``inattention corpus features`` instead of computing them from
            audio; the numbers are the same.
        cache_megabytes: features kept in memory, for each process that prepares batches.
        precision: ``32-true``; ``bf16-mixed``, products in bfloat16 and weights, logits and sums in float32; or
            ``16-mixed``, the same in float16, on GPUs alone.
        accelerator: Lightning's ``accelerator``: ``auto``, ``cpu``, ``gpu``, ...
        devices: processes on each machine; under torchrun, its number is used.
        nodes: machines; under torchrun, its number is used.
        strategy: how several processes share the work: ``ddp`` (the default), each with a whole model; ``fsdp``, each
            with a part of the weights, for models that do not fit on one device; or the name of a Lightning strategy.
    """

    steps: int = 20_000
    batch_size: int = 24
    optimiser: Literal["adamw", "lamb"] = "adamw"
    learning_rate: float = 1e-3
    attention_rate: float = 1.0
    warmup: float = 0.1
    weight_decay: float = 0.01
    epsilon: float = 1e-9
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 10.0
    target: Literal["log-mel", "input", "linear"] = "log-mel"
    masking: MaskingConfig = field(default_factory=MaskingConfig)
    validate_every: int = 0
    held_out_draws: int = 4
    checkpoint_minutes: float = 2.0
    accumulate: int = 1
    snapshots: int = 0
    snapshots_at: tuple[int, ...] = ()
    workers: int = 0
    stored_features: bool = False
    cache_megabytes: int = 1024
    precision: str = "32-true"
    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"

    def __post_init__(self) -> None:
        if self.steps < 0 or self.batch_size < 1 or self.held_out_draws < 1:
            raise ValueError("steps must not be negative; batch_size and held_out_draws must be at least 1")
        if min(self.accumulate, self.devices, self.nodes) < 1:
            raise ValueError("accumulate, devices and nodes must be at least 1")
        if self.stored_features and self.target == "linear":
            raise ValueError("stored features hold log-mel frames; the target 'linear' is computed from audio")
        self._check_snapshots()
        if self.strategy == "fsdp" and self.optimiser == "lamb":
            raise ValueError("fsdp trains with adamw: LAMB needs the norms of whole weights")
        if self.attention_rate <= 0:
            raise ValueError("attention_rate must be above 0")
        if self.learning_rate <= 0 or not 0 <= self.warmup <= 1:
            raise ValueError("learning_rate must be above 0, and warmup a share of the steps")
        if self.optimiser not in ("adamw", "lamb"):
            raise ValueError(f"optimiser must be 'adamw' or 'lamb', not {self.optimiser!r}")
        if self.target not in ("log-mel", "input", "linear"):
            raise ValueError(f"target must be 'log-mel', 'input' or 'linear', not {self.target!r}")

    def check(self, max_length: int) -> None:
        """Raise where no run with these settings can work, before time is spent on data.

        These checks are no part of the constructor, as settings are also read from the results of failed runs.

        Args:
            max_length: the longest input of the encoder, in frames.

        Raises:
            ValueError: naming the setting, with the values that are possible.
        """
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"training.precision must be 32-true, bf16-mixed or 16-mixed (on GPUs alone), not {self.precision!r}"
            )
        for name in ("learning_rate", "attention_rate", "weight_decay", "epsilon", "clip", "checkpoint_minutes"):
            if math.isnan(getattr(self, name)):
                raise ValueError(f"training.{name} must be a number, not nan")
        if max(self.learning_rate, self.attention_rate, self.weight_decay) == math.inf:
            raise ValueError("training.learning_rate, attention_rate and weight_decay must be finite")
        if not 0 < self.epsilon < math.inf:
            raise ValueError(f"training.epsilon must be a number above 0, not {self.epsilon}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"training.betas must lie in [0, 1), not {self.betas[0]} and {self.betas[1]}")
        if min(self.workers, self.validate_every) < 0:
            raise ValueError("training.workers and validate_every must not be negative")
        self.masking.check(max_length)

    def _check_snapshots(self) -> None:
        if self.snapshots < 0 or min(self.snapshots_at, default=1) < 1:
            raise ValueError("snapshots must not be negative, and snapshots_at must be steps from 1 on")
        if (self.snapshots or self.snapshots_at) and self.strategy == "fsdp":
            raise ValueError("there are no snapshots with fsdp, which has no whole model during training")

    @property
    def snapshot_steps(self) -> tuple[int, ...]:
        """Steps after which a snapshot is saved: evenly spaced between the first and the last, and those given."""
        even = {round(self.steps * n / (self.snapshots + 1)) for n in range(1, self.snapshots + 1)} - {0}
        return tuple(sorted(even | {step for step in self.snapshots_at if step < self.steps}))

    @property
    def validation_interval(self) -> int:
        """Steps between measurements of the held-out loss."""
        return self.validate_every or max(1, self.steps // 50, min(10, self.steps))

    @property
    def validation_utterances(self) -> int:
        """Held-out utterances that each measurement during training uses at most.

        They are a tenth of those trained on since the last one. An utterance without gradients takes no longer than one
        with them, so validation takes less than a tenth of the time of training, on any machine: nothing is timed,
        which would make runs differ.
        """
        return max(1, self.batch_size * self.validation_interval // 10)

    def hyperparameters(self) -> dict[str, Any]:
        """Return the settings that decide the numbers of a run, under names that never change.

        They are written to run.json and enter the fingerprints of a study's jobs. The names are part of those file
        formats: if a field of this class is renamed, the name here stays. Where a run was computed (devices, nodes),
        and how it was saved or split up (checkpoints, micro-batches, caches), changes its numbers in the last digits
        at most, so these settings are not included.
        """
        named: dict[str, Any] = {
            "steps": self.steps,
            "batch_size": self.batch_size,
            "optimiser": self.optimiser,
            "learning_rate": self.learning_rate,
            "warmup": self.warmup,
            "weight_decay": self.weight_decay,
            "epsilon": self.epsilon,
            "betas": list(self.betas),
            "clip": self.clip,
            "target": self.target,
            "masking": self.masking.hyperparameters(),
            "validate_every": self.validate_every,
            "held_out_draws": self.held_out_draws,
            "precision": self.precision,
        }
        if self.attention_rate != 1:  # runs written before this setting existed do not name it
            named["attention_rate"] = self.attention_rate
        return named


def snapshot_path(step: int) -> str:
    """Return the folder of a snapshot, relative to its run's.

    >>> snapshot_path(200)
    'snapshots/step-000200'
    """
    return f"snapshots/step-{step:06d}"
