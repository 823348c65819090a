"""`l2-alsh`: P(k) = [k; |k|^2; |k|^4; ...; |k|^(2^m)], Q(q) = [q; 1/2; ...; 1/2], hashed into cells of a line.

Shrivastava and Li 2014; the paper cites it without running it. Keys are scaled by U / M first, queries to unit length;
U = .83, m = 3, r = 2.5. Then |Q(q) - P(k)|^2 = 1 + m/4 - 2 q.k + |k|^(2^(m+1)), whose last term is tiny: being near is
having a large product. So vectors are hashed to cells of a line, h(x) = floor((a.x + b) / r), b uniform in [0, r).

A query attends to K keys, so cells must become an order. Here it is by distance from the middle of the query's cell,

    score(i, j) = - sum over projections p of | (a_p . P(k_j) + b_p) / r - (h_p(Q(q_i)) + 1/2) |.

With one projection, keys in the query's own cell come before all others, as the hash has it, and queries of one cell
have the same keys. The order of (a.Q)(a.P), which the other hashes go by, would rank large products with P, and not
nearness, for which this P and Q are made.
"""

from functools import partial

from jaxtyping import Float, Int
from torch import Tensor

from inattention.attention.ops.hashing import HashedAttention, Hashes, Transform, flops, hash_card
from inattention.attention.registry import register


@register(
    hash_card(
        name="l2-alsh",
        label="L2-ALSH",
        citation="Shrivastava and Li 2014, Asymmetric LSH (ALSH) for Sublinear Time Maximum Inner Product Search "
        "(MIPS)",
        options={
            "limit": "U, the largest norm of keys after scaling",
            "terms": "m, how many powers of the norm are appended",
            "cell": "r, the width of a cell",
        },
        flops=partial(flops, labels=3),  # the number of cells in use, roughly
    )
)
class L2ALSH(HashedAttention):
    """Attention to the keys that L2-ALSH hashes nearest to the middle of the query's cell.

    >>> import torch
    >>> attention = L2ALSH(width=8, heads=2, keys=3)
    >>> hidden, valid = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
    >>> (attention.weights(hidden, valid) > 0).sum(-1).unique().tolist()
    [3]
    """

    binary = False

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        max_length: int | None = None,
        hashes: Hashes = "per-head",
        projections: int = 1,
        keys: int = 32,
        limit: float = 0.83,
        terms: int = 3,
        cell: float = 2.5,
    ) -> None:
        if not 0 < limit < 1 or terms < 1 or cell <= 0:
            raise ValueError(
                f"limit ({limit}) must be between 0 and 1, terms ({terms}) at least 1, and cell ({cell}) above 0"
            )
        # The offset b is the coefficient of a last 1, appended to both.
        super().__init__(
            appended=terms + 1,
            width=width,
            heads=heads,
            max_length=max_length,
            hashes=hashes,
            projections=projections,
            keys=keys,
        )
        self.limit = limit
        self.terms = terms
        self.cell = cell
        self.vectors[..., -1].uniform_(0, cell)

    def transform_key(self, norm: Tensor, largest: Tensor) -> Transform:
        """P(k) = [k; |k|^2; ...; |k|^(2^m)], k scaled by U / M first."""
        scale = self.limit / largest
        return Transform(scale, [*((scale * norm) ** (2**i) for i in range(1, self.terms + 1)), 1.0])

    def transform_query(self, norm: Tensor, largest: Tensor) -> Transform:
        """Q(q) = [q; 1/2; ...; 1/2], q of unit length."""
        return Transform(1 / norm, [*[0.5] * self.terms, 1.0])

    def label(self, projected: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """Return the query's cell."""
        return (projected / self.cell).floor().long()

    def closeness(self, label: Int[Tensor, "*#shape"], projected: Float[Tensor, "*#shape"]) -> Float[Tensor, "*#shape"]:
        """Return the negative distance of keys from the middle of the query's cell, in cells."""
        return -(projected / self.cell - (label + 0.5)).abs()
