"""`simple-lsh`: P(x) = Q(x) = [x; sqrt(1 - |x|^2)] (Neyshabur and Srebro 2015; paper, section 3.2.3).

In theory vectors are divided by the largest norm first. The authors' code brings each to unit length instead, which
leaves 0 to append; ``normalise="unit"`` does so.
"""

from typing import Literal

from torch import Tensor

from inattention.attention.ops.hashing import HashedAttention, Hashes, Transform, hash_card
from inattention.attention.registry import register

Normalise = Literal["largest", "unit"]


@register(
    hash_card(
        name="simple-lsh",
        label="Simple LSH",
        citation="Neyshabur and Srebro 2015, On Symmetric and Asymmetric LSHs for Inner Product Search",
        options={
            "normalise": "what the hash divides vectors by: 'largest', the largest norm, or 'unit', each one's own, as "
            "the authors' code does"
        },
        variants={"unit": {"normalise": "unit"}, "as-run": {"hashes": "per-query", "normalise": "unit"}},
    )
)
class SimpleLSH(HashedAttention):
    """Attention to the keys that Simple LSH ranks highest.

    >>> import torch
    >>> attention = SimpleLSH(width=8, heads=2, keys=3)
    >>> hidden, valid = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
    >>> (attention.weights(hidden, valid) > 0).sum(-1).unique().tolist()
    [3]
    """

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        max_length: int | None = None,
        hashes: Hashes = "per-head",
        projections: int = 1,
        keys: int = 32,
        normalise: Normalise = "largest",
    ) -> None:
        if normalise not in ("largest", "unit"):
            raise ValueError(f"normalise must be 'largest' or 'unit', not {normalise!r}")
        super().__init__(
            width=width, heads=heads, max_length=max_length, hashes=hashes, projections=projections, keys=keys
        )
        self.normalise = normalise

    def transform_key(self, norm: Tensor, largest: Tensor) -> Transform:
        """P(x) = [x; sqrt(1 - |x|^2)], x divided by M, or by |x|, first."""
        if self.normalise == "unit":
            return Transform(1 / norm, [0.0])
        return Transform(1 / largest, [(1 - (norm / largest) ** 2).clamp_min(0).sqrt()])

    def transform_query(self, norm: Tensor, largest: Tensor) -> Transform:
        """Q = P."""
        return self.transform_key(norm, largest)
