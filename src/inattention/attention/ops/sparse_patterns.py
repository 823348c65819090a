"""What sparse mechanisms share: softmax(q·k / sqrt d) over the keys that a pattern allows, a pattern for each head.

The patterns know one length, l. The mask is applied before the softmax: the paper's eq. 15 read literally, after it,
would leave rows that do not sum to 1. The authors' code takes l = floor(sqrt T) from the padded batch, so that an
utterance's pattern depends on its neighbours; here l is fixed, or taken from each utterance's own valid steps.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from inattention.attention.base import AttentionMechanism
from inattention.attention.ops.padding import masked_softmax, projection, zero_invalid


@dataclass(frozen=True)
class Pattern:
    """Which keys a query may attend to, and the fast way to do it.

    Attributes:
        allowed: ``allowed(i, j, l)``: the definition, for indices of queries and keys that broadcast.
        attend: ``attend(query, key, values, valid, l)``: the same the fast way, on (batch, time, heads, head_dim),
            over valid keys; a query that is left without any attends to itself.
        flops: ``flops(time, l, width)``: what that costs for one utterance, in heads of that width together.
    """

    allowed: Callable[[Tensor, Tensor, int], Tensor]
    attend: Callable[[Tensor, Tensor, Tensor, Tensor, int], Tensor]
    flops: Callable[[int, int, int], int]


class SparseAttention(AttentionMechanism):
    """Attention over the keys that fixed patterns allow, with one projection for queries and keys as the paper has it.

    Args:
        width: features of a step, over all heads.
        heads: how many heads share the width.
        max_length: the longest input in steps; only the default of ``length`` needs it.
        patterns: how many heads, from the first on, take which pattern.
        length: the patterns' l in steps; 0 for floor(sqrt(max_length)).
        per_utterance: l = floor(sqrt(valid steps)) of each utterance instead.
        share: one projection for queries and keys.
        named: the name of the option ``length``, for errors.

    Raises:
        ValueError: for a negative length, or one that is given twice or cannot be known.
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
            raise ValueError(f"per_utterance sets {named} anew for each utterance; leave {named} at 0, not {length}")
        if not per_utterance and not length and max_length is None:
            raise ValueError(
                f"{named} is 0, that is floor(sqrt(max_length)); give {named}, max_length or per_utterance"
            )
        self.patterns = tuple((count, pattern) for count, pattern in patterns if count)
        self.length = length or math.isqrt(max_length or 0)
        self.per_utterance = per_utterance
        self.query = projection(width, width)
        self.key = None if share else projection(width, width)

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch heads time time"]:
        """Softmax of q·k / sqrt d over the valid keys that the head's pattern allows; over itself where it has none."""
        query, key = self._project(hidden, valid)
        scores = query.transpose(1, 2) @ key.permute(0, 2, 3, 1) / math.sqrt(self.head_dim)
        allowed = torch.stack([self.allowed(valid.shape[1], length) for length in self._lengths(valid)])
        allowed = or_itself(allowed.to(valid.device) & valid[:, None, None, :])
        return masked_softmax(scores, allowed)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """The same without a (time, time) tensor: every pattern on its own heads, the fast way."""
        query, key = self._project(hidden, valid)
        values = zero_invalid(values, valid).transpose(1, 2)
        lengths = torch.tensor(self._lengths(valid), device=valid.device)
        distinct = lengths.unique().tolist()
        if len(distinct) == 1:
            return self._mix(query, key, values, valid, distinct[0]).transpose(1, 2)
        rows = [(lengths == length).nonzero()[:, 0] for length in distinct]
        mixed = [
            self._mix(query[row], key[row], values[row], valid[row], length)
            for row, length in zip(rows, distinct, strict=True)
        ]
        return torch.cat(mixed)[torch.cat(rows).argsort()].transpose(1, 2)

    def allowed(self, time: int, length: int) -> Bool[Tensor, "heads time time"]:
        """Give the definition of the heads' patterns, dense, for any l."""
        steps = torch.arange(time)
        return torch.stack(
            [
                pattern.allowed(steps[:, None], steps[None, :], length)
                for count, pattern in self.patterns
                for _ in range(count)
            ]
        )

    def extra_repr(self) -> str:  # noqa: D102 - as PyTorch has it
        return f"{super().extra_repr()}, l={'per utterance' if self.per_utterance else self.length}"

    def _project(self, hidden: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        hidden = zero_invalid(hidden, valid)
        query = self.query(hidden).unflatten(-1, (self.heads, -1))
        return query, query if self.key is None else self.key(hidden).unflatten(-1, (self.heads, -1))

    def _mix(self, query: Tensor, key: Tensor, values: Tensor, valid: Tensor, length: int) -> Tensor:
        counts = [count for count, _ in self.patterns]
        queries, pieces = query.split(counts, 2), values.split(counts, 2)
        keys = queries if key is query else key.split(counts, 2)
        parts = [
            pattern.attend(q, k, v, valid, length)
            for (_, pattern), q, k, v in zip(self.patterns, queries, keys, pieces, strict=True)
        ]
        return torch.cat(parts, 2)

    def _lengths(self, valid: Tensor) -> list[int]:
        """The l of each utterance."""
        if not self.per_utterance:
            return [self.length] * valid.shape[0]
        return [max(1, math.isqrt(steps)) for steps in valid.sum(-1).tolist()]


def or_itself(allowed: Bool[Tensor, "*batch time time"]) -> Bool[Tensor, "*batch time time"]:
    """Let a query that is allowed no key attend to itself.

    >>> or_itself(torch.tensor([[False, False], [True, False]])).tolist()
    [[True, False], [True, False]]
    """
    itself = torch.eye(allowed.shape[-1], dtype=torch.bool, device=allowed.device)
    return allowed | (itself & ~allowed.any(-1, keepdim=True))


def split_heads_in_two(heads: int, first: int | None) -> int:
    """Say how many heads take the first of two patterns: as asked, else half of them (the larger half).

    Raises:
        ValueError: if there are not so many.
    """
    if first is None:
        return (heads + 1) // 2
    if not 0 <= first <= heads:
        raise ValueError(f"head_split must be a number of heads from 0 to {heads}, not {first}")
    return first


def sparse_flops(
    patterns: tuple[tuple[int, Pattern], ...], time: int, width: int, heads: int, length: int, share: bool
) -> int:
    """Count the projections and the patterns for one utterance; l = 0 stands for floor(sqrt(time))."""
    projections = (1 if share else 2) * 2 * time * width**2
    length = length or math.isqrt(time)
    return projections + sum(pattern.flops(time, length, count * width // heads) for count, pattern in patterns)
