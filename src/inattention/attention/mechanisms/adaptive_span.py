"""`adaptive-span`: query-key attention in which each head learns how far it attends (Sukhbaatar et al. 2019).

    A(i, j) = m(|i - j|) exp(s(i, j)) / sum over valid k of m(|i - k|) exp(s(i, k)),    s(i, j) = q_i . k_j / sqrt d
    m(x) = min(max((ramp + z - x) / ramp, 0), 1)

with a learned span z a head, from 0 to `max_span`. Their model is causal and adds relative
positions to s; here a head looks both ways, and s is that of `qk`, which this becomes when z spans the whole input.

Their loss adds a small multiple of the mean span, and so does pre-training here: see `AdaptiveSpan.auxiliary_loss`. z
is learned as a part of `max_span`, so that optimizers move it by many frames at a time. Outside of 0 to 1 that part is
clamped, but its gradient from the weights passes, so that a span that has shrunk to nothing can grow again.

The fast way goes over blocks of queries, with fused attention over the keys that the widest head of a group reaches;
log m is added to the scores. Heads form groups of about equal reach, at most twice as far as needed.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from inattention.attention.base import Card, Drawing, Reach
from inattention.attention.ops.cache import CachesInEvaluation
from inattention.attention.ops.padding import masked_softmax, zero_invalid
from inattention.attention.ops.precision import fused_attention, products, scaled_dot_product
from inattention.attention.ops.projections import projection, split_heads
from inattention.attention.registry import register

DEFAULT_MAX_SPAN = 1024

# Queries that share a stretch of keys: of 32 to 512, with 64 the fastest or nearly so on CPU for any span.
BLOCK = 64


@dataclass(frozen=True)
class _Group:
    """Heads that are computed together: how far they reach, and log m for a block of queries (None where m is 1)."""

    heads: tuple[int, ...]
    reach: int
    bias: Tensor | None


def _reach(span: float, ramp: int, time: int) -> int:
    """Return the distance of the furthest frame with m > 0."""
    return min(math.ceil(span + ramp) - 1, time - 1)


def _flops(time: int, width: int, heads: int, *, span: float = 0.0, ramp: int = 32, **options: object) -> float:
    reach, block = _reach(span, ramp, time), time if span >= time - 1 else BLOCK
    starts = range(0, time, block)
    keys = sum((min(time, i + block) - i) * (min(time, i + block + reach) - max(0, i - reach)) for i in starts)
    return 4 * time * width**2 + 4 * keys * width


@register(
    Card(
        name="adaptive-span",
        label="Adaptive span",
        family="query-key",
        citation="Sukhbaatar et al. 2019, Adaptive Attention Span in Transformers",
        options={
            "span": "z at the start, in frames; the authors start at 0, where a head sees its ramp",
            "ramp": "frames over which a head's weights fade out",
            "max_span": "the largest z, in frames; None for max_length, or 1024 without one",
            "price": "what a frame of the mean span adds to the loss in training; as for the authors' small models",
        },
        fields=("NLP",),
        training_cost="O(T (z + R) d H), z the span and R the ramp",
        inference_cost="O(T (z + R) d H)",
        flops=_flops,
        drawing=Drawing(options={"ramp": 12}),
    )
)
class AdaptiveSpan(CachesInEvaluation):
    """Query-key attention with a learned soft span for each head.

    >>> attention = AdaptiveSpan(width=8, heads=2, ramp=2)
    >>> hidden, valid = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
    >>> attention.weights(hidden, valid).count_nonzero(dim=-1)[0, 0].tolist()
    [2, 3, 3, 3, 2]

    Raises:
        ValueError: for a ramp under 1, a max_span under 1, a span beyond it, or a negative price.
    """

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        max_length: int | None = None,
        span: float = 0.0,
        ramp: int = 32,
        max_span: int | None = None,
        price: float = 2e-6,
    ) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        self.max_span = max_span if max_span is not None else max_length or DEFAULT_MAX_SPAN
        if ramp < 1 or self.max_span < 1:
            raise ValueError(f"ramp ({ramp}) and max_span ({self.max_span}) must be at least 1 frame")
        if not 0 <= span <= self.max_span:
            raise ValueError(f"span must be 0 to {self.max_span} (max_span), not {span}")
        if not price >= 0:
            raise ValueError(f"price must be 0 or more, not {price}")
        self.ramp = ramp
        self.price = price
        self.query = projection(width, width)
        self.key = projection(width, width)
        self.part = nn.Parameter(torch.full((heads,), span / self.max_span))

    def spans(self) -> Float[Tensor, " heads"]:
        """Return each head's z in frames."""
        return self.max_span * self.part.clamp(0, 1)

    def receptive_field(self) -> Reach:
        """Return the reach of the head with the largest span."""
        reach = max(math.ceil(span + self.ramp) - 1 for span in self.spans().tolist())
        return Reach(reach, reach)

    def auxiliary_loss(self) -> Float[Tensor, ""] | None:
        """Return the mean span in frames times its price; None at no price."""
        return self.price * self.spans().mean() if self.price else None

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch heads time time"]:
        """Return the softmax over real keys of the scaled products plus log m."""
        query, key = self._project(hidden, valid)
        time = hidden.shape[1]
        frames = torch.arange(time, device=hidden.device)
        bias = self._log_mask(frames - frames[:, None])
        scores = products(query, key) / math.sqrt(self.head_dim) + bias
        reached = bias > float("-inf")
        return masked_softmax(scores, reached if valid is None else valid[:, None, None, :] & reached)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Average the values by fused attention, blocks of queries with the keys in reach."""
        query, key = self._project(hidden, valid)
        values = zero_invalid(values, valid)
        time = hidden.shape[1]
        groups = self.cached(time, lambda: self._groups(time))
        if len(groups) == 1:
            return self._attend(groups[0], query, key, values, valid)
        parts = [self._attend(g, *(x[:, list(g.heads)] for x in (query, key, values)), valid) for g in groups]
        order = torch.tensor([head for g in groups for head in g.heads], device=values.device)
        return torch.cat(parts, 1)[:, order.argsort()]

    def _attend(self, group: _Group, query: Tensor, key: Tensor, values: Tensor, valid: Tensor | None) -> Tensor:
        if group.bias is None:
            return fused_attention(query, key, values, valid)
        time, reach = query.shape[2], group.reach
        parts = []
        for start in range(0, time, BLOCK):
            stop = min(time, start + BLOCK)
            first, last = max(0, start - reach), min(time, stop + reach)
            left = first - (start - reach)
            bias = group.bias[:, : stop - start, left : left + last - first][None]
            if valid is not None:
                # A query may attend to itself even at padding, where its value is zero, so that its row is finite.
                frames = torch.arange(first, last, device=valid.device)
                itself = frames == torch.arange(start, stop, device=valid.device)[:, None]
                bias = torch.where((valid[:, None, first:last] | itself)[:, None], bias, float("-inf"))
            near = slice(first, last)
            parts.append(scaled_dot_product(query[:, :, start:stop], key[:, :, near], values[:, :, near], bias))
        return torch.cat(parts, 2)

    def _groups(self, time: int) -> list[_Group]:
        """Group heads whose reach has as many binary digits, and those that see all frames alike."""
        spans = self.spans().tolist()
        members: dict[int | None, list[int]] = {}
        for head, span in enumerate(spans):
            # In training a span gets its gradient through log m even where that is 0 everywhere.
            alike = span >= time - 1 and not self.training
            members.setdefault(None if alike else _reach(span, self.ramp, time).bit_length(), []).append(head)
        groups = []
        for size, heads in members.items():
            reach = max(_reach(spans[head], self.ramp, time) for head in heads)
            bias = None
            if size is not None:
                keys = torch.arange(-reach, BLOCK + reach, device=self.part.device)
                bias = self._log_mask(keys - torch.arange(BLOCK, device=self.part.device)[:, None])[heads]
            groups.append(_Group(tuple(heads), reach, bias))
        return groups

    def _log_mask(self, offset: Tensor) -> Float[Tensor, "heads queries keys"]:
        """Return log m for j - i; -inf beyond the ramp."""
        part = self.part + (self.part.clamp(0, 1) - self.part).detach()  # clamped, with its gradient
        mask = (1 + (self.max_span * part[:, None, None] - offset.abs()) / self.ramp).clamp(max=1)
        seen = mask > 0
        return mask.where(seen, 1.0).log().masked_fill(~seen, float("-inf"))

    def _project(self, hidden: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        hidden = zero_invalid(hidden, valid)
        return split_heads(self.query(hidden), self.heads), split_heads(self.key(hidden), self.heads)
