"""Settings of an analysis: the flags of the command line, recorded with the results."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class AnalysisConfig:
    """Settings of an analysis.

    Attributes:
        split: of the corpus.
        utterances: number of utterances, chosen at random among those that are long enough; 0 for all.
        crop_steps: number of frames of a crop; 0 for a length that half of the utterances reach, at most 128.
        singles: number of single maps for t-SNE; the atlas shows as many of them as its size allows.
        seed: of the choices of utterances, crops and single maps, and of t-SNE.
        layer: layer that is shown by t-SNE and before and after training; 1 is the first, 0 the last.
        components: number of components of PCA.
        perplexity: of t-SNE.
        snapshots: models of the same run at earlier steps, for heads by category over training; defaults to those that
            pre-training wrote to the folder of the model (``pretrain --training.snapshots``).
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
        """Return plain data for JSON."""
        return {**asdict(self), "snapshots": [str(path) for path in self.snapshots]}
