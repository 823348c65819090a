"""`longformer`: a sliding window, dilated in some heads, and a few global frames (Beltagy et al. 2020, section 3.1).

The first g frames are global: they attend to every frame, and every frame attends to them. Any other query i attends to
j where |i - j| <= w, in dilated heads where |i - j| <= w s and (i - j) mod s = 0 for a dilation of s. Global frames
look with projections of their own, started as copies of the others; where *they* are looked at, the common ones serve.

Departures from the origin: the values of global queries have no projection of their own, since values belong to the
layer; w counts the frames on one side (the origin's window is 2 w); global frames are the first ones, the place of the
origin's classification token, as speech has no frames that a task singles out. The origin dilates two of its heads in
upper layers; with layers that share their weights, the same sixth of the heads is dilated in all of them.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from inattention.attention.base import AttentionMechanism, Card, Drawing, Reach
from inattention.attention.ops.padding import full_mask, masked_softmax, softmax_over_valid, zero_invalid
from inattention.attention.ops.precision import products, unrounded, wide
from inattention.attention.ops.projections import projection, split_heads
from inattention.attention.ops.sparse_patterns import or_itself
from inattention.attention.ops.windows import attend, attention_flops, dilated_window_attention, window_flops
from inattention.attention.registry import register


def _dilated_heads(heads: int, dilated: int | None) -> int:
    return heads // 6 if dilated is None else dilated


def _flops(
    time: int,
    width: int,
    heads: int,
    *,
    window: int = 0,
    dilation: int = 2,
    dilated_heads: int | None = None,
    global_steps: int = 1,
    global_projections: bool = True,
) -> int:
    window = window or math.isqrt(time)
    dilated = _dilated_heads(heads, dilated_heads)
    first = min(global_steps, time)
    total = 4 * time * width**2 + attention_flops(first, time, width)
    if global_projections:  # scores are products of the input's width, not of a head's
        total += 4 * first * width**2 + 2 * first * time * width * (heads - 1)
    rest = time - first
    if rest:
        total += window_flops(rest, window, (heads - dilated) * width // heads, 1, first)
        total += window_flops(rest, window, dilated * width // heads, dilation, first)
    return total


@register(
    Card(
        name="longformer",
        label="Longformer",
        family="sparse",
        citation="Beltagy et al. 2020, Longformer: The Long-Document Transformer",
        options={
            "window": "w, how many frames a query sees on either side; 0 for floor(sqrt(max_length))",
            "dilation": "s, the frames from one key to the next in dilated heads",
            "dilated_heads": "how many heads, the last ones, are dilated; none for a sixth of them",
            "global_steps": "g, how many frames, the first ones, see all and are seen by all",
            "global_projections": "global frames look with query and key projections of their own, as in the origin",
        },
        variants={"window": {"dilated_heads": 0, "global_steps": 0}},
        fields=("NLP",),
        training_cost="O(T (w + g) d H)",
        inference_cost="O(T (w + g) d H)",
        flops=_flops,
        drawing=Drawing(mask=True, heads={0: "window", -1: "dilated"}, options={"window": 3}),
    )
)
class Longformer(AttentionMechanism):
    """Softmax(q·k / sqrt d) over a window, dilated in some heads, and a few global frames.

    >>> attention = Longformer(width=8, heads=2, window=1, dilated_heads=1)
    >>> hidden, valid = torch.randn(1, 7, 8), torch.ones(1, 7, dtype=torch.bool)
    >>> attention.weights(hidden, valid)[0, :, 4].gt(0).int().tolist()
    [[1, 0, 0, 1, 1, 1, 0], [1, 0, 1, 0, 1, 0, 1]]
    """

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        max_length: int | None = None,
        window: int = 0,
        dilation: int = 2,
        dilated_heads: int | None = None,
        global_steps: int = 1,
        global_projections: bool = True,
    ) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        self.dilated_heads = _dilated_heads(heads, dilated_heads)
        if window < 0:
            raise ValueError(f"window must be 0 (for floor(sqrt(max_length))) or more, not {window}")
        if not window and max_length is None:
            raise ValueError("window is 0, that is floor(sqrt(max_length)); give window or max_length")
        if dilation < 1:
            raise ValueError(f"dilation must be at least 1 frame, not {dilation}")
        if not 0 <= self.dilated_heads <= heads:
            raise ValueError(f"dilated_heads must be from 0 to {heads}, the number of heads, not {dilated_heads}")
        if global_steps < 0:
            raise ValueError(f"global_steps must be 0 or more, not {global_steps}")
        self.window = window or math.isqrt(max_length or 0)
        self.dilation = dilation
        self.global_steps = global_steps
        self.query = projection(width, width)
        self.key = projection(width, width)
        if global_steps and global_projections:
            self.global_query = projection(width, width)
            self.global_key = projection(width, width)
            self.global_query.load_state_dict(self.query.state_dict())
            self.global_key.load_state_dict(self.key.state_dict())
        else:
            self.global_query = self.global_key = None

    def receptive_field(self) -> Reach | None:
        """Return the reach of the widest window; None with global frames."""
        if self.global_steps:
            return None
        reach = self.window * (self.dilation if self.dilated_heads else 1)
        return Reach(reach, reach)

    @property
    def unlimited_by(self) -> str:
        """Global frames."""
        return "global frames, which see all others (global_steps)"

    def allowed(self, time: int) -> Bool[Tensor, "heads time time"]:
        """Return the heads' patterns, dense: window, dilated window, global frames."""
        frames = torch.arange(time)
        offset = frames[:, None] - frames
        plain = offset.abs() <= self.window
        dilated = (offset.abs() <= self.window * self.dilation) & (offset % self.dilation == 0)
        heads = torch.stack([plain] * (self.heads - self.dilated_heads) + [dilated] * self.dilated_heads)
        return heads | (frames < self.global_steps) | (frames[:, None] < self.global_steps)

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch heads time time"]:
        """Return the softmax of q·k / sqrt d over the pattern's real keys; global frames have their own projections."""
        hidden = zero_invalid(hidden, valid)
        query, key = split_heads(self.query(hidden), self.heads), split_heads(self.key(hidden), self.heads)
        scores = products(query, key)
        if self.global_query is not None and self.global_key is not None:
            query = split_heads(self.global_query(hidden), self.heads)[:, :, : self.global_steps]
            key = split_heads(self.global_key(hidden), self.heads)
            scores = torch.cat([products(query, key), scores[:, :, self.global_steps :]], 2)
        allowed = self.allowed(hidden.shape[1]).to(hidden.device) & full_mask(valid, hidden)[:, None, None, :]
        return masked_softmax(scores / math.sqrt(self.head_dim), or_itself(allowed))

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Average the values without a (time, time) tensor: the global frames, then windows over the others."""
        hidden, values = zero_invalid(hidden, valid), zero_invalid(values, valid).transpose(1, 2)
        query, key = (linear(hidden).unflatten(-1, (self.heads, -1)) for linear in (self.query, self.key))
        time = hidden.shape[1]
        first = min(self.global_steps, time)
        parts = []
        if first:
            parts.append(self._average_globally(query, key, values, valid, hidden))
        if first < time:
            parts.append(self._windows(query, key, values, valid, first))
        return torch.cat(parts, 1).transpose(1, 2)

    def _average_globally(
        self, query: Tensor, key: Tensor, values: Tensor, valid: Tensor | None, hidden: Tensor
    ) -> Tensor:
        """Average the values for the global frames.

        With projections of their own, few queries need no key for every frame: for k = W h + b, q·k = (W'q)·h + q·b.
        """
        if self.global_query is None or self.global_key is None:
            return attend(query[:, : self.global_steps], key, values, None if valid is None else valid[:, None, :])
        query = split_heads(self.global_query(hidden[:, : self.global_steps]), self.heads)
        weight, bias = (wide(x).unflatten(0, (self.heads, -1)) for x in (self.global_key.weight, self.global_key.bias))
        with unrounded(query):
            query, hidden = wide(query), wide(hidden)
            sought = query @ weight  # batch heads queries width
            scores = (sought.flatten(1, 2) @ hidden.transpose(1, 2)).unflatten(1, sought.shape[1:3])
            scores = (scores + query @ bias[:, :, None]) / math.sqrt(self.head_dim)
        weights = softmax_over_valid(scores, valid)
        return (weights.to(values.dtype) @ values.transpose(1, 2)).transpose(1, 2)

    def _windows(self, query: Tensor, key: Tensor, values: Tensor, valid: Tensor | None, first: int) -> Tensor:
        """Average the values within windows over the frames that are not global, the global ones added to each."""
        plain = self.heads - self.dilated_heads
        parts = []
        for heads, dilation in ((slice(0, plain), 1), (slice(plain, self.heads), self.dilation)):
            if heads.start == heads.stop:
                continue
            q, k, v = (x[:, :, heads] for x in (query, key, values))
            shared = (k[:, :first], v[:, :first], None if valid is None else valid[:, :first]) if first else None
            rest = (x[:, first:] for x in (q, k, v))
            mask = None if valid is None else valid[:, first:]
            parts.append(dilated_window_attention(*rest, mask, self.window, dilation, shared))
        return torch.cat(parts, 2)
