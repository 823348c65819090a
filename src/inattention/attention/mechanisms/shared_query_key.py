"""`shared-qk`: softmax(Q Q' / sqrt d), one projection for queries and keys (Kitaev et al. 2020; paper, section 4.1)."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from inattention.attention.base import AttentionMechanism, Card
from inattention.attention.ops.padding import full_mask, masked_softmax, softmax_over_valid, zero_invalid
from inattention.attention.ops.precision import fused_attention, products, scaled_dot_product
from inattention.attention.ops.projections import Start, projection, split_heads, start_projection
from inattention.attention.registry import register

Form = Literal["plain", "reformer"]


@register(
    Card(
        name="shared-qk",
        label="Baseline (Q)",
        family="query-key",
        citation="Kitaev et al. 2020, Reformer: The Efficient Transformer",
        options={
            "start": "'normal', N(0, 0.02), or 'identity', near the identity: frames first attend to frames like them",
            "gain": "factor of the identity that the identity start adds",
            "form": "'plain', as the paper ran it, or 'reformer': keys of unit length, self only if alone",
        },
        variants={"identity": {"start": "identity"}, "reformer": {"form": "reformer"}},
        fields=("CV", "NLP"),
        training_cost="O(T² d H)",
        inference_cost="O(T² d H)",
        flops=lambda time, width, heads, **options: 2 * time * width**2 + 4 * time**2 * width,
        shares_qk=True,
    )
)
class SharedQueryKey(AttentionMechanism):
    """Attention by the scaled products of queries with one another.

    >>> attention = SharedQueryKey(width=8, heads=2)
    >>> hidden, valid = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
    >>> attention.weights(hidden, valid).shape
    torch.Size([1, 2, 5, 5])
    """

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        max_length: int | None = None,
        start: Start = "normal",
        gain: float = 1.0,
        form: Form = "plain",
    ) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        if form not in ("plain", "reformer"):
            raise ValueError(f"form must be 'plain' or 'reformer', not {form!r}")
        self.form = form
        self.query = projection(width, width)
        start_projection(self.query, start, gain)

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch heads time time"]:
        """Return the softmax over real keys of q·q / sqrt d."""
        query, key = self._project(hidden, valid)
        scores = products(query, key) / math.sqrt(self.head_dim)
        if self.form == "plain":
            return softmax_over_valid(scores, valid)
        return masked_softmax(scores, _others(full_mask(valid, hidden)))

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Average the values by fused attention."""
        query, key = self._project(hidden, valid)
        if self.form == "plain":
            return fused_attention(query, key, values, valid)
        mask = full_mask(valid, hidden)
        # A row without any key (one of padding) would be NaN; it attends to itself, whose value is zero.
        itself = torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
        allowed = _others(mask) | itself & ~mask[:, None, :, None]
        return scaled_dot_product(query, key, zero_invalid(values, valid), allowed)

    def _project(self, hidden: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        query = split_heads(self.query(zero_invalid(hidden, valid)), self.heads)
        # Queries keep their length in Reformer's form, so only the direction of a key counts.
        return query, (F.normalize(query, dim=-1) * math.sqrt(self.head_dim) if self.form == "reformer" else query)


def _others(valid: Bool[Tensor, "batch time"]) -> Bool[Tensor, "batch 1 time time"]:
    """Return the keys of Reformer's queries: all real frames but their own, or that one if it is the only one."""
    itself = torch.eye(valid.shape[1], dtype=torch.bool, device=valid.device)
    alone = valid.sum(-1) <= 1
    return (valid[:, None, :] & (~itself | alone[:, None, None]))[:, None]
