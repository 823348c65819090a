"""Every number of a conversion, as one record. It imports nothing heavy, so that the command line can show it."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from inattention.probing.config import ProbeConfig


@dataclass(frozen=True, kw_only=True)
class ConversionConfig:
    """How an encoder is converted to input-independent attention, and what is measured of it.

    Attributes:
        maps: ``per-layer``, each layer its own derived maps; ``shared``, their mean over layers for all.
        utterances: of the training split, that maps are derived from.
        held_out: of the dev split, that they are compared on.
        crop_steps: steps that utterances are cut to for it; if left out, what half of the training split reaches.
        steps: of distillation; 0 for none.
        batch_size: utterances a step of distillation.
        learning_rate: of distillation, at its highest.
        probed: probe the encoder before, right after and after distillation, and its untrained copy.
        probes: the probes.
        timing_rounds: how often forward passes are timed.
        threads: threads of PyTorch while they are timed.
        seed: of every choice.
    """

    maps: Literal["per-layer", "shared"] = "per-layer"
    utterances: int = 300
    held_out: int = 100
    crop_steps: int | None = None
    steps: int = 1000
    batch_size: int = 24
    learning_rate: float = 1e-3
    probed: bool = True
    probes: ProbeConfig = field(default_factory=ProbeConfig)
    timing_rounds: int = 9
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.maps not in ("per-layer", "shared"):
            raise ValueError(f"maps must be 'per-layer' or 'shared', not {self.maps!r}")
        if min(self.utterances, self.held_out, self.batch_size, self.timing_rounds, self.threads) < 1:
            raise ValueError("utterances, held_out, batch_size, timing_rounds and threads must be at least 1")
        if self.steps < 0 or self.learning_rate <= 0:
            raise ValueError("steps must not be negative, and learning_rate above 0")

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data for JSON."""
        return {**asdict(self), "probes": self.probes.to_dict()}
