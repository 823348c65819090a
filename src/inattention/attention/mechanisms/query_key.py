"""`qk`: softmax(Q K' / sqrt d), the attention that all others are compared with (Vaswani et al. 2017; paper, eq. 1)."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from inattention.attention.base import AttentionMechanism, Card
from inattention.attention.ops.padding import masked_softmax, projection, split_heads, zero_invalid
from inattention.attention.registry import register

Start = Literal["normal", "identity"]


def start_projection(linear: nn.Linear, start: Start, gain: float) -> None:
    """Start a query or key projection.

    ``normal`` leaves BERT's N(0, 0.02). ``identity`` adds the identity times ``gain``, so that a head compares its own
    slice of two steps and each step first looks at itself and its like ("mimetic" initialisation, Trockman and
    Kolter 2023).

    Raises:
        ValueError: for any other start.
    """
    if start not in ("normal", "identity"):
        raise ValueError(f"start must be 'normal' or 'identity', not {start!r}")
    if start == "identity":
        with torch.no_grad():
            linear.weight.add_(gain * torch.eye(*linear.weight.shape))


@register(
    Card(
        name="qk",
        label="Baseline (QK)",
        family="query-key",
        citation="Vaswani et al. 2017, Attention Is All You Need",
        options={
            "start": "'normal', N(0, 0.02), or 'identity', near the identity: each step first looks at its like",
            "gain": "how much of the identity the identity start puts in",
        },
        variants={"identity": {"start": "identity"}},
        fields=("Speech", "CV", "NLP"),
        training_cost="O(T² d H)",
        inference_cost="O(T² d H)",
        flops=lambda time, width, heads, **options: 4 * time * width**2 + 4 * time**2 * width,
    )
)
class QueryKey(AttentionMechanism):
    """Attention by the scaled products of queries and keys; the fast way is PyTorch's fused attention.

    >>> attention = QueryKey(width=8, heads=2)
    >>> hidden, valid = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
    >>> attention.weights(hidden, valid).shape
    torch.Size([1, 2, 5, 5])
    """

    def __init__(
        self, *, width: int, heads: int, max_length: int | None = None, start: Start = "normal", gain: float = 1.0
    ) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        self.query = projection(width, width)
        self.key = projection(width, width)
        start_projection(self.query, start, gain)
        start_projection(self.key, start, gain)

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch heads time time"]:
        """Softmax over valid keys of q·k / sqrt d."""
        query, key = self._project(hidden, valid)
        scores = query @ key.transpose(-1, -2) / math.sqrt(self.head_dim)
        return masked_softmax(scores, valid[:, None, None, :].expand_as(scores))

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """The same by fused attention, which forms no (time, time) tensor."""
        return fused(*self._project(hidden, valid), values, valid)

    def _project(self, hidden: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        hidden = zero_invalid(hidden, valid)
        return split_heads(self.query(hidden), self.heads), split_heads(self.key(hidden), self.heads)


def fused(
    query: Float[Tensor, "batch heads time head_dim"],
    key: Float[Tensor, "batch heads time head_dim"],
    values: Float[Tensor, "batch heads time head_dim"],
    valid: Bool[Tensor, "batch time"],
) -> Float[Tensor, "batch heads time head_dim"]:
    """PyTorch's fused attention over valid keys; without a mask where none is needed."""
    if bool(valid.all()):
        return F.scaled_dot_product_attention(query, key, values)
    # A row without any valid key would be NaN; it may look at every step, all of which are zeroed.
    allowed = valid | ~valid.any(-1, keepdim=True)
    return F.scaled_dot_product_attention(
        query, key, zero_invalid(values, valid), attn_mask=allowed[:, None, None, :].expand(-1, -1, query.shape[2], -1)
    )
