"""Attention over the keys that a fixed pattern allows: softmax(q·k / sqrt d), with a pattern for each head.

A pattern has one length, l. The mask is applied before the softmax: the paper's eq. 15 read literally, after it,
would leave rows that do not sum to 1. The authors' code takes l = floor(sqrt T) from the padded batch, so that an
utterance's pattern depends on its neighbours; here l is fixed, or taken from each utterance's number of
real frames.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from inattention.attention.base import AttentionMechanism, Reach
from inattention.attention.ops.padding import full_mask, masked_softmax, zero_invalid
from inattention.attention.ops.precision import products
from inattention.attention.ops.projections import projection


@dataclass(frozen=True)
class Pattern:
    """A pattern: the keys that a query may attend to, and the fast way to do it.

    Attributes:
        allowed: ``allowed(i, j, l)``: the definition, for indices of queries and keys that broadcast.
        attend: ``attend(query, key, values, valid, l)``: the fast way, on (batch, time, heads, head_dim), over real
            keys; a query that has none attends to itself.
        flops: ``flops(time, l, width)``: its operations for one utterance, ``width`` being that of all its heads.
        reach: ``reach(l)``: how far a query sees; None if there is no limit.
        named: what its queries attend to, for error messages.
    """

    allowed: Callable[[Tensor, Tensor, int], Tensor]
    attend: Callable[[Tensor, Tensor, Tensor, Tensor | None, int], Tensor]
    flops: Callable[[int, int, int], int]
    reach: Callable[[int], Reach | None] = lambda length: None
    named: str = "all frames of the input"


class SparseAttention(AttentionMechanism):
    """Attention over the keys that fixed patterns allow, with one projection for queries and keys as the paper has it.

    Args:
        width: features of a frame, over all heads.
        heads: how many heads share the width.
        max_length: the longest input in frames; only the default of ``length`` needs it.
        patterns: numbers of heads and their pattern, from the first head on.
        length: the patterns' l in frames; 0 for floor(sqrt(max_length)).
        per_utterance: l = floor(sqrt(real frames)) of each utterance instead.
        share: one projection for queries and keys.
        named: the name of ``length`` among the mechanism's options, for error messages.

    Raises:
        ValueError: for a negative length, one that is set twice, or none at all.
    """

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        max_length: int | None,
        patterns: tuple[tuple[int, Pattern], ...],
        length: int,
        per_utterance: bool,
        share: bool,
        named: str = "stride",
    ) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        if length < 0:
            raise ValueError(f"{named} must be 0 (for floor(sqrt(max_length))) or more, not {length}")
        if per_utterance and length:
            raise ValueError(f"per_utterance sets {named} for each utterance; {named} must be 0 with it, not {length}")
        if not per_utterance and not length and max_length is None:
            raise ValueError(f"{named} is 0, that is floor(sqrt(max_length)); set {named}, max_length or per_utterance")
        self.patterns = tuple((count, pattern) for count, pattern in patterns if count)
        self.length = length or math.isqrt(max_length or 0)
        self.per_utterance = per_utterance
        self.query = projection(width, width)
        self.key = None if share else projection(width, width)

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch heads time time"]:
        """Return the softmax of q·k / sqrt d over the real keys that the pattern allows; over itself without any."""
        query, key = self._project(hidden, valid)
        scores = products(query.transpose(1, 2), key.transpose(1, 2)) / math.sqrt(self.head_dim)
        mask = full_mask(valid, hidden)
        allowed = torch.stack([self.allowed(mask.shape[1], length) for length in self._lengths(mask)])
        allowed = or_itself(allowed.to(mask.device) & mask[:, None, None, :])
        return masked_softmax(scores, allowed)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Average the values without a (time, time) tensor: each pattern on its own heads, the fast way."""
        query, key = self._project(hidden, valid)
        values = zero_invalid(values, valid).transpose(1, 2)
        if valid is None or not self.per_utterance:
            length = max(1, math.isqrt(hidden.shape[1])) if self.per_utterance else self.length
            return self._mix(query, key, values, valid, length).transpose(1, 2)
        rows_of: dict[int, list[int]] = {}
        for row, length in enumerate(self._lengths(valid)):
            rows_of.setdefault(length, []).append(row)
        mixed = [self._mix(*(x[rows] for x in (query, key, values, valid)), length) for length, rows in rows_of.items()]
        order = torch.tensor([row for rows in rows_of.values() for row in rows], device=values.device)
        return torch.cat(mixed)[order.argsort()].transpose(1, 2)

    def receptive_field(self) -> Reach | None:
        """Return the reach of the furthest pattern; None for patterns whose length is that of the utterance."""
        reaches = [pattern.reach(self.length) for _, pattern in self.patterns]
        known = [it for it in reaches if it is not None]
        if self.per_utterance or len(known) < len(reaches):
            return None
        return Reach(max(it.back for it in known), max(it.ahead for it in known), math.lcm(*(it.grid for it in known)))

    @property
    def unlimited_by(self) -> str:
        """The pattern without a limit."""
        if self.per_utterance:
            return "a pattern that follows from the length of the input"
        return next((it.named for _, it in self.patterns if it.reach(self.length) is None), super().unlimited_by)

    def allowed(self, time: int, length: int) -> Bool[Tensor, "heads time time"]:
        """Return the heads' patterns, dense, for any l."""
        frames = torch.arange(time)
        return torch.stack(
            [
                pattern.allowed(frames[:, None], frames[None, :], length)
                for count, pattern in self.patterns
                for _ in range(count)
            ]
        )

    def extra_repr(self) -> str:  # noqa: D102 - as PyTorch has it
        return f"{super().extra_repr()}, l={'per utterance' if self.per_utterance else self.length}"

    def _project(self, hidden: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        hidden = zero_invalid(hidden, valid)
        query = self.query(hidden).unflatten(-1, (self.heads, -1))
        return query, query if self.key is None else self.key(hidden).unflatten(-1, (self.heads, -1))

    def _mix(self, query: Tensor, key: Tensor, values: Tensor, valid: Tensor | None, length: int) -> Tensor:
        counts = [count for count, _ in self.patterns]
        queries, pieces = query.split(counts, 2), values.split(counts, 2)
        keys = queries if key is query else key.split(counts, 2)
        parts = [
            pattern.attend(q, k, v, valid, length)
            for (_, pattern), q, k, v in zip(self.patterns, queries, keys, pieces, strict=True)
        ]
        return torch.cat(parts, 2)

    def _lengths(self, valid: Tensor) -> list[int]:
        """Return the l of each utterance; with ``per_utterance`` it reads their lengths on the host."""
        if not self.per_utterance:
            return [self.length] * valid.shape[0]
        return [max(1, math.isqrt(frames)) for frames in valid.sum(-1).tolist()]


def or_itself(allowed: Bool[Tensor, "*batch time time"]) -> Bool[Tensor, "*batch time time"]:
    """Return a pattern in which a query without any key attends to itself.

    >>> or_itself(torch.tensor([[False, False], [True, False]])).tolist()
    [[True, False], [True, False]]
    """
    itself = torch.eye(allowed.shape[-1], dtype=torch.bool, device=allowed.device)
    return allowed | (itself & ~allowed.any(-1, keepdim=True))


def split_heads_in_two(heads: int, first: int | None) -> int:
    """Return how many heads take the first of two patterns: ``first``, or the larger half if that is None.

    Raises:
        ValueError: if there are fewer heads than that.
    """
    if first is None:
        return (heads + 1) // 2
    if not 0 <= first <= heads:
        raise ValueError(f"head_split must be a number of heads from 0 to {heads}, not {first}")
    return first


def sparse_flops(
    patterns: tuple[tuple[int, Pattern], ...], time: int, width: int, heads: int, length: int, share: bool
) -> int:
    """Return the operations of projections and patterns for one utterance; l = 0 stands for floor(sqrt(time))."""
    projections = (1 if share else 2) * 2 * time * width**2
    length = length or math.isqrt(time)
    return projections + sum(pattern.flops(time, length, count * width // heads) for count, pattern in patterns)
