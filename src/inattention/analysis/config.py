"""The settings of an analysis: the command line's flags and the record beside its results."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class AnalysisConfig:
    """What is looked at.

    Attributes:
        split: of the corpus.
        utterances: a seeded choice of so many among those long enough; 0 for all.
        crop_steps: steps that each is cut to; 0 for what half of the utterances reach, at most 128.
        singles: single maps that are kept for t-SNE; the atlas shows as many as its size allows.
        seed: of the choice of utterances, crops and single maps, and of t-SNE.
        layer: whose maps are laid out by t-SNE and drawn before and after; 1 is the first, 0 the last.
        components: of PCA.
        perplexity: of t-SNE.
        snapshots: models of the same run at earlier steps, for heads by category over training; if left out, those
            that pre-training kept in the model's folder (``pretrain --training.snapshots``).
    """

    split: str = "dev"
    utterances: int = 200
    crop_steps: int = 0
    singles: int = 32
    seed: int = 0
    layer: int = 0
    components: int = 50
    perplexity: float = 30.0
    snapshots: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        for name in ("utterances", "crop_steps", "layer"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, not {getattr(self, name)}")
        if self.singles < 1 or self.components < 2 or not self.perplexity > 0:
            raise ValueError("singles must be at least 1, components at least 2, and perplexity above 0")

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {**asdict(self), "snapshots": [str(path) for path in self.snapshots]}
