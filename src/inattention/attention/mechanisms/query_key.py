"""`qk`: softmax(Q K' / sqrt d), the attention that all others are compared with (Vaswani et al. 2017; paper, eq. 1).

With `bias="toeplitz"` the weights are softmax(Q K' / sqrt d + log w(i, j)), where w are the weights over j - i that
`toeplitz` has (`inattention.attention.ops.gaussians`). As queries and keys start near zero, it starts near `toeplitz`
and may learn to look at the input: what it gains over `toeplitz` is what looking is worth.
"""

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from inattention.attention.base import Card
from inattention.attention.ops.cache import CachesInEvaluation
from inattention.attention.ops.gaussians import initial_gaussians, log_weights
from inattention.attention.ops.padding import softmax_over_valid, zero_invalid
from inattention.attention.ops.precision import fused_attention, products
from inattention.attention.ops.projections import Start, projection, split_heads, start_projection
from inattention.attention.registry import register

Bias = Literal["none", "toeplitz"]


@register(
    Card(
        name="qk",
        label="Baseline (QK)",
        family="query-key",
        citation="Vaswani et al. 2017, Attention Is All You Need",
        options={
            "start": "'normal', N(0, 0.02), or 'identity', near the identity: frames first attend to frames like them",
            "gain": "factor of the identity that the identity start adds",
            "bias": "'none', or 'toeplitz': the logarithm of the weights that `toeplitz` has is added to the logits, "
            "with learned offsets and widths",
            "floor": "of this bias: uniform weight of every key, relative to a Gaussian of height 1",
        },
        variants={"identity": {"start": "identity"}, "toeplitz": {"bias": "toeplitz"}},
        fields=("Speech", "CV", "NLP"),
        training_cost="O(T² d H)",
        inference_cost="O(T² d H)",
        flops=lambda time, width, heads, **options: 4 * time * width**2 + 4 * time**2 * width,
    )
)
class QueryKey(CachesInEvaluation):
    """Attention by the scaled products of queries and keys; the fast way is PyTorch's fused kernel.

    Raises:
        ValueError: for another start or bias, or a floor outside of (0, 1).

    >>> attention = QueryKey(width=8, heads=2)
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
        bias: Bias = "none",
        floor: float = 1e-5,
    ) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        if bias not in ("none", "toeplitz"):
            raise ValueError(f"bias must be 'none' or 'toeplitz', not {bias!r}")
        if not 0 < floor < 1:
            raise ValueError(f"floor must be between 0 and 1, not {floor}")
        self.query = projection(width, width)
        self.key = projection(width, width)
        start_projection(self.query, start, gain)
        start_projection(self.key, start, gain)
        self.bias: Bias = bias
        self.floor = floor
        if bias == "toeplitz":
            offset, gaussian_width = torch.tensor(initial_gaussians(heads)).unbind(1)
            self.offset = nn.Parameter(offset)
            self.log_width = nn.Parameter(gaussian_width.log())

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch heads time time"]:
        """Return the softmax over real keys of q·k / sqrt d and the bias."""
        query, key = self._project(hidden, valid)
        scores = products(query, key) / math.sqrt(self.head_dim)
        bias = self._bias(hidden.shape[1])
        return softmax_over_valid(scores if bias is None else scores + bias, valid)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Average the values by fused attention, which forms no (time, time) tensor but the bias."""
        return fused_attention(*self._project(hidden, valid), values, valid, self._bias(hidden.shape[1]))

    def _project(self, hidden: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        hidden = zero_invalid(hidden, valid)
        return split_heads(self.query(hidden), self.heads), split_heads(self.key(hidden), self.heads)

    def _bias(self, time: int) -> Float[Tensor, "heads time time"] | None:
        """Return what is added to the logits for inputs of ``time`` frames; None for nothing."""
        if self.bias == "none":
            return None
        with torch.autocast(self.offset.device.type, enabled=False):
            return self.cached(time, lambda: log_weights(self.offset, self.log_width.exp(), self.floor, time))
