"""Settings of a conversion, without heavy imports so that the command line can show them."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from inattention.probing.config import ProbeConfig


@dataclass(frozen=True, kw_only=True)
class ConversionConfig:
    """Settings of a conversion to input-independent attention, and of what is measured.

    Attributes:
        maps: ``per-layer`` for maps of each layer; ``shared`` for their mean over layers in all of them.
        utterances: number of utterances of the training split that maps are derived from.
        held_out: number of utterances of the dev split that maps are compared on.
        crop_steps: number of frames of a crop; defaults to a length that half of the training split reaches.
        steps: number of optimizer steps of the distillation; 0 for none.
        batch_size: number of utterances per step of the distillation.
        learning_rate: peak learning rate of the distillation.
        probed: probe the untrained encoder, the teacher, and the student before and after distillation.
        probes: settings of the probes.
        timing_rounds: number of rounds in which forward passes are timed.
        threads: number of threads of PyTorch in these rounds.
        seed: of all random choices.
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
        """Return plain data for JSON."""
        return {**asdict(self), "probes": self.probes.to_dict()}
