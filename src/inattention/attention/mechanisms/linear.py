"""`linear`: attention whose scores are inner products of features, so that it costs no T x T product.

Katharopoulos et al. 2020, Transformers are RNNs, equations 4 to 7, in the form that looks both ways. With
phi(x) = elu(x) + 1 + floor, over real keys j,

    A(i, j) = phi(q_i) . phi(k_j) / sum over k of phi(q_i) . phi(k_k)

and, since the products can be taken in any order,

    output_i = phi(q_i)' (sum over j of phi(k_j) v_j') / phi(q_i)' (sum over j of phi(k_j)):

two sums over time, of d x d and d numbers per head, serve all queries.

elu(x) + 1 is exp(x) below 0 and vanishes for very negative x: a query all of whose features vanish would have an empty
row. The authors add 1e-6 to the denominator, and rows sum to less than 1; here 1e-6 is added to each feature instead.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from inattention.attention.base import AttentionMechanism, Card
from inattention.attention.ops.padding import zero_invalid
from inattention.attention.ops.precision import products, wide
from inattention.attention.ops.projections import projection, split_heads
from inattention.attention.registry import register


def _flops(time: int, width: int, heads: int, **options: object) -> int:
    head_dim = width // heads
    return 4 * time * width**2 + 4 * time * width * head_dim + 2 * time * width


@register(
    Card(
        name="linear",
        label="Linear",
        family="linear",
        citation="Katharopoulos et al. 2020, Transformers are RNNs: Fast Autoregressive Transformers with Linear "
        "Attention",
        options={"floor": "added to each feature, so that no row of weights is empty"},
        fields=("CV", "Speech"),
        training_cost="O(T d² H)",
        inference_cost="O(T d² H)",
        flops=_flops,
    )
)
class Linear(AttentionMechanism):
    """Attention by positive features of queries and keys, at a cost linear in T.

    >>> attention = Linear(width=8, heads=2)
    >>> hidden, valid = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
    >>> attention.weights(hidden, valid).sum(-1).allclose(torch.ones(1, 2, 5))
    True

    Raises:
        ValueError: for a floor that is not positive.
    """

    def __init__(self, *, width: int, heads: int, max_length: int | None = None, floor: float = 1e-6) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        if not floor > 0:
            raise ValueError(f"floor must be above 0, not {floor}: without it rows of weights may be empty")
        self.floor = floor
        self.query = projection(width, width)
        self.key = projection(width, width)

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch heads time time"]:
        """Return the products of features, scaled to sum to 1 over real keys."""
        query, key = self._features(hidden, valid)
        rows = products(query, key)
        mass = rows.sum(-1, keepdim=True)
        return rows / mass.where(mass > 0, 1.0)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Average the values by two sums over time."""
        query, key = self._features(hidden, valid)
        with torch.autocast(values.device.type, enabled=False):
            clean = zero_invalid(values, valid).to(torch.promote_types(values.dtype, query.dtype))
            sums = key.transpose(-1, -2) @ clean
            mass = query @ key.sum(2)[..., None]
            return ((query @ sums) / mass.where(mass > 0, 1.0)).to(values.dtype)

    def _features(
        self, hidden: Tensor, valid: Tensor | None
    ) -> tuple[Float[Tensor, "batch heads time head_dim"], Float[Tensor, "batch heads time head_dim"]]:
        """Return features of queries and keys in float32 at least, as their sums run over all of time; 0 at padding."""
        hidden = zero_invalid(hidden, valid)
        query, key = (split_heads(it(hidden), self.heads) for it in (self.query, self.key))
        query, key = (F.elu(wide(it)) + (1 + self.floor) for it in (query, key))
        return query, zero_invalid(key, valid)
