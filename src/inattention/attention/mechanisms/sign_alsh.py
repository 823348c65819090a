"""`sign-alsh`: P(k) = [k; 1/2 - |k|^2; 1/2 - |k|^4; ...; 1/2 - |k|^(2^m)], Q(q) = [q; 0; ...; 0].

Shrivastava and Li 2015; paper, section 3.2.1. Keys are scaled by U / M first, queries to unit length; U = .75, m = 2.
The authors' code scales the keys, but appends powers of the norms that they had before; ``norms="unscaled"`` does so.
"""

from typing import Literal

from torch import Tensor

from inattention.attention.ops.hashing import HashedAttention, Hashes, Transform, hash_card
from inattention.attention.registry import register

Norms = Literal["scaled", "unscaled"]


@register(
    hash_card(
        name="sign-alsh",
        label="Sign-ALSH",
        citation="Shrivastava and Li 2015, Improved Asymmetric Locality Sensitive Hashing (ALSH) for Maximum Inner "
        "Product Search (MIPS)",
        options={
            "limit": "U, the largest norm of keys after scaling",
            "terms": "m, how many powers of the norm are appended",
            "norms": "which norms are appended: 'scaled', or 'unscaled', as the authors' code does",
        },
        variants={"unscaled": {"norms": "unscaled"}, "as-run": {"hashes": "per-query", "norms": "unscaled"}},
    )
)
class SignALSH(HashedAttention):
    """Attention to the keys that Sign-ALSH ranks highest.

    >>> import torch
    >>> attention = SignALSH(width=8, heads=2, keys=3)
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
        limit: float = 0.75,
        terms: int = 2,
        norms: Norms = "scaled",
    ) -> None:
        if norms not in ("scaled", "unscaled"):
            raise ValueError(f"norms must be 'scaled' or 'unscaled', not {norms!r}")
        if not 0 < limit < 1 or terms < 1:
            raise ValueError(f"limit ({limit}) must be between 0 and 1, and terms ({terms}) at least 1")
        super().__init__(
            appended=terms,
            width=width,
            heads=heads,
            max_length=max_length,
            hashes=hashes,
            projections=projections,
            keys=keys,
        )
        self.limit = limit
        self.terms = terms
        self.norms = norms

    def transform_key(self, norm: Tensor, largest: Tensor) -> Transform:
        """P(k) = [k; 1/2 - |k|^2; ...; 1/2 - |k|^(2^m)], k scaled by U / M first."""
        appended = norm if self.norms == "unscaled" else norm * (self.limit / largest)
        return Transform(self.limit / largest, [0.5 - appended ** (2**i) for i in range(1, self.terms + 1)])

    def transform_query(self, norm: Tensor, largest: Tensor) -> Transform:
        """Q(q) = [q; 0; ...; 0], q of unit length."""
        return Transform(1 / norm, [0.0] * self.terms)
