"""`simple-alsh`: P(k) = [k; 0; sqrt(1 - |k|^2)], Q(q) = [q; sqrt(1 - |q|^2); 0].

Neyshabur and Srebro 2015; paper, section 3.2.3. Both are divided by the largest norm first. Then P and Q are of unit
length, and P(k).Q(q) is q.k.
"""

from torch import Tensor

from inattention.attention.ops.hashing import HashedAttention, Hashes, Transform, hash_card
from inattention.attention.registry import register


@register(
    hash_card(
        name="simple-alsh",
        label="Simple ALSH",
        citation="Neyshabur and Srebro 2015, On Symmetric and Asymmetric LSHs for Inner Product Search",
    )
)
class SimpleALSH(HashedAttention):
    """Attention to the keys that Simple ALSH ranks highest.

    >>> import torch
    >>> attention = SimpleALSH(width=8, heads=2, keys=3)
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
    ) -> None:
        super().__init__(
            appended=2,
            width=width,
            heads=heads,
            max_length=max_length,
            hashes=hashes,
            projections=projections,
            keys=keys,
        )

    def transform_key(self, norm: Tensor, largest: Tensor) -> Transform:
        """P(k) = [k; 0; sqrt(1 - |k|^2)], k divided by M first."""
        return Transform(1 / largest, [0.0, (1 - (norm / largest) ** 2).clamp_min(0).sqrt()])

    def transform_query(self, norm: Tensor, largest: Tensor) -> Transform:
        """Q(q) = [q; sqrt(1 - |q|^2); 0], q divided by M first."""
        return Transform(1 / largest, [(1 - (norm / largest) ** 2).clamp_min(0).sqrt(), 0.0])
