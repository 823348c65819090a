"""`synthesizer-dense-multihead`: a map per head, each row made from that head's slice of a frame (Tay et al. 2020).

    B_h = W2 ReLU(W1 x_h + b1) + b2,    A_h = softmax(B_h) over real keys

with x_h the head's slice of the layer's input, and one small network W1: head_dim -> bottleneck, W2: bottleneck ->
max_length for all heads, as the study's authors have it (paper, 3.4.1, "Dense + M").

A row of logits is the product of [ReLU(W1 x_h + b1), 1] with the rows of [W2, b2]: a query and keys, which are the
same for every input. So fused attention computes it and forms no (time, time) tensor.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from inattention.attention.base import AttentionMechanism, Card
from inattention.attention.mechanisms.synthesizer_dense import OPTIONS, RowNetwork, Start, row_logits
from inattention.attention.ops.padding import softmax_over_valid, zero_invalid
from inattention.attention.ops.precision import fused_attention
from inattention.attention.ops.projections import split_heads
from inattention.attention.registry import register


def _flops(time: int, width: int, heads: int, *, bottleneck: int = 16, **options: object) -> int:
    size = max(bottleneck + 1, width // heads)
    return 2 * time * width * bottleneck + 4 * time**2 * size * heads


@register(
    Card(
        name="synthesizer-dense-multihead",
        label="Syn. (Dense+M)",
        family="synthesizer",
        citation="Tay et al. 2020, Synthesizer: Rethinking Self-Attention in Transformer Models",
        options=OPTIONS,
        variants={"normal": {"start": "normal"}},
        fields=("NLP",),
        training_cost="O(T² d H + T d H b), b the bottleneck",
        inference_cost="O(T² d H + T d H b)",
        flops=_flops,
        needs_max_length=True,
    )
)
class MultiHeadDenseSynthesizer(AttentionMechanism):
    """A map per utterance and head, each row made from its own frame.

    >>> attention = MultiHeadDenseSynthesizer(width=8, heads=2, max_length=10)
    >>> hidden, valid = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
    >>> attention.weights(hidden, valid).shape
    torch.Size([1, 2, 5, 5])
    """

    def __init__(
        self, *, width: int, heads: int, max_length: int, bottleneck: int = 16, start: Start = "fan-in"
    ) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        self.rows = RowNetwork(self.head_dim, bottleneck, max_length, start)

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch heads time time"]:
        """Return the softmax over real keys of the rows that each head's slice of a frame makes."""
        logits = row_logits(self._features(hidden, valid), *self.rows.columns(hidden.shape[1]))
        return softmax_over_valid(logits, valid)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Average the values by fused attention with the columns of the second map as keys."""
        features = self._features(hidden, valid)
        weight, bias = self.rows.columns(hidden.shape[1])
        # The fused kernel wants queries, keys and values of one size; zeros change no product.
        size = max(features.shape[-1] + 1, self.head_dim)
        query = _pad(torch.cat([features, torch.ones_like(features[..., :1])], -1), size)
        key = _pad(torch.cat([weight, bias[:, None]], -1), size).to(query.dtype).expand_as(query)
        # It also divides by the root of that size, which the definition does not.
        return fused_attention(query * math.sqrt(size), key, _pad(values, size), valid)[..., : self.head_dim]

    def _features(self, hidden: Tensor, valid: Tensor | None) -> Float[Tensor, "batch heads time bottleneck"]:
        return self.rows(split_heads(zero_invalid(hidden, valid), self.heads))


def _pad(x: Float[Tensor, "*batch features"], size: int) -> Float[Tensor, "*batch size"]:
    return F.pad(x, (0, size - x.shape[-1])) if x.shape[-1] < size else x
