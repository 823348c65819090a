"""`qk`: softmax(Q K' / sqrt d), the attention that all others are compared with (Vaswani et al. 2017; paper, eq. 1)."""

import math

from jaxtyping import Bool, Float
from torch import Tensor

from inattention.attention.base import AttentionMechanism, Card
from inattention.attention.ops.fused import fused_attention
from inattention.attention.ops.padding import softmax_over_valid, zero_invalid
from inattention.attention.ops.projections import Start, projection, split_heads, start_projection
from inattention.attention.registry import register


@register(
    Card(
        name="qk",
        label="Baseline (QK)",
        family="query-key",
        citation="Vaswani et al. 2017, Attention Is All You Need",
        options={
            "start": "'normal', N(0, 0.02), or 'identity', near the identity: frames first attend to frames like them",
            "gain": "factor of the identity that the identity start adds",
        },
        variants={"identity": {"start": "identity"}},
        fields=("Speech", "CV", "NLP"),
        training_cost="O(T² d H)",
        inference_cost="O(T² d H)",
        flops=lambda time, width, heads, **options: 4 * time * width**2 + 4 * time**2 * width,
    )
)
class QueryKey(AttentionMechanism):
    """Attention by the scaled products of queries and keys; the fast way is PyTorch's fused kernel.

    >>> import torch
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
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch heads time time"]:
        """Return the softmax over real keys of q·k / sqrt d."""
        query, key = self._project(hidden, valid)
        scores = query @ key.transpose(-1, -2) / math.sqrt(self.head_dim)
        return softmax_over_valid(scores, valid)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Average the values by fused attention, which forms no (time, time) tensor."""
        return fused_attention(*self._project(hidden, valid), values, valid)

    def _project(self, hidden: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        hidden = zero_invalid(hidden, valid)
        return split_heads(self.query(hidden), self.heads), split_heads(self.key(hidden), self.heads)
