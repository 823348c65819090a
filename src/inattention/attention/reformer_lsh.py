"""`reformer-lsh`: attention among steps that random rotations send to the same bucket (Kitaev et al. 2020, section 2).

The paper cites it and did not run it. One projection q gives queries, and at unit length, keys. A round's hash of step i
is the largest of [q_i R; -q_i R] with R of (d, buckets / 2) from N(0, I). Valid steps are sorted by bucket, then by
index; s_i is the place of step i. The sorted steps are cut into chunks of m, and query i attends to

    P_i = union over rounds of { j : | floor(s_i / m) - floor(s_j / m) | <= 1 }

by softmax(q_i . k_j / |k_j|), to itself only where there is no other. An encoder needs both neighbouring chunks; the
origin looks at the one before alone (``neighbours="before"``). Its formula lets a chunk's steps attend across buckets,
its figure 2 within a bucket alone (``same_bucket=True``); both are cut at chunks.

A key that several rounds find counts once. So each round subtracts log N from a score that N rounds give, and rounds
are put together by the log-sum-exp of each: exactly the softmax over the union.
"""

import math
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from inattention.attention.contract import AttentionMechanism, Card
from inattention.attention.registry import register
from inattention.attention.steps import masked_softmax, projection, split_heads, zero_invalid

Neighbours = Literal["both", "before"]

# Taken off a query's score with itself: its weight is exactly 0 where there is another key, and 1 where there is none.
SELF_PENALTY = 1e30


class _Sorted(NamedTuple):
    """Steps in the order of their buckets, in each round."""

    order: Int[Tensor, "batch heads rounds time"]
    place: Int[Tensor, "batch heads rounds time"]
    bucket: Int[Tensor, "batch heads rounds time"]


def _flops(
    time: int,
    width: int,
    heads: int,
    *,
    buckets: int = 16,
    chunk: int = 64,
    rounds: int = 2,
    neighbours: str = "both",
    **options: object,
) -> float:
    chunk = min(chunk, time)
    chunks = math.ceil(time / chunk)
    window = chunk * (1 if chunks == 1 else 3 if neighbours == "both" else 2)
    return 2 * time * width**2 + time * width * rounds * buckets + 4 * rounds * chunks * chunk * window * width


@register(
    Card(
        name="reformer-lsh",
        label="Reformer LSH",
        family="hashing",
        citation="Kitaev et al. 2020, Reformer: The Efficient Transformer",
        options={
            "buckets": "how many buckets a round sorts steps into; even",
            "chunk": "m, how many sorted steps make a chunk",
            "rounds": "how many times steps are hashed",
            "neighbours": "the chunks that a step attends to beside its own: 'both', or the one 'before'",
            "same_bucket": "whether steps of those chunks in another bucket are left out",
        },
        variants={"before": {"neighbours": "before"}, "same-bucket": {"same_bucket": True}},
        fields=("CV", "NLP"),
        training_cost="O(T m n d H); hashing O(T b n d H + T log T n H), without gradient",
        inference_cost="O(T m n d H); hashing O(T b n d H + T log T n H), b buckets, n rounds",
        flops=_flops,
        hash_flops=lambda time, width, heads, *, buckets=16, rounds=2, **options: time * width * rounds * buckets,
        shares_qk=True,
    )
)
class ReformerLSH(AttentionMechanism):
    """Attention within chunks of steps sorted by bucket, over some rounds of hashing.

    Args:
        width: features of a step, over all heads.
        heads: how many heads share the width.
        max_length: not needed.
        buckets: how many buckets a round sorts steps into.
        chunk: how many sorted steps make a chunk.
        rounds: how many times steps are hashed.
        neighbours: the chunks that a step attends to beside its own.
        same_bucket: whether steps of those chunks in another bucket are left out.

    Raises:
        ValueError: for an option out of its range.

    >>> attention = ReformerLSH(width=8, heads=2, chunk=2)
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
        buckets: int = 16,
        chunk: int = 64,
        rounds: int = 2,
        neighbours: Neighbours = "both",
        same_bucket: bool = False,
    ) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        if buckets < 2 or buckets % 2:
            raise ValueError(f"buckets must be even and at least 2, not {buckets}")
        if chunk < 1 or rounds < 1:
            raise ValueError(f"chunk ({chunk}) and rounds ({rounds}) must be at least 1")
        if neighbours not in ("both", "before"):
            raise ValueError(f"neighbours must be 'both' or 'before', not {neighbours!r}")
        self.chunk = chunk
        self.reach = (1, 1) if neighbours == "both" else (1, 0)
        self.same_bucket = same_bucket
        self.query = projection(width, width)
        self.rotations: Tensor
        self.register_buffer("rotations", torch.randn(heads, rounds, self.head_dim, buckets // 2))

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch heads time time"]:
        """Softmax over the union of the rounds' keys."""
        query = split_heads(self.query(zero_invalid(hidden, valid)), self.heads)
        by_bucket = self._sort(query, valid)
        chunk, bucket = by_bucket.place // self.chunk, by_bucket.bucket
        found = self._near(chunk[..., :, None], chunk[..., None, :], bucket[..., :, None], bucket[..., None, :])
        itself = torch.eye(hidden.shape[1], dtype=torch.bool, device=hidden.device)
        others = found.any(2) & valid[:, None, None] & ~itself
        alone = ~others.any(-1, keepdim=True) & itself & valid[:, None, None]
        return masked_softmax(query @ F.normalize(query, dim=-1).transpose(-1, -2), others | alone)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """The same, chunk by chunk."""
        query = split_heads(self.query(zero_invalid(hidden, valid)), self.heads)
        key, values = F.normalize(query, dim=-1), zero_invalid(values, valid)
        by_bucket = self._sort(query, valid)
        averages, masses = zip(
            *(self._round(r, query, key, values, valid, by_bucket) for r in range(self.rotations.shape[1])), strict=True
        )
        if len(averages) == 1:
            return averages[0]
        shares = torch.stack(masses).softmax(0)[..., None]
        return sum(share * average for share, average in zip(shares, averages, strict=True)).to(values.dtype)

    def _sort(self, query: Float[Tensor, "batch heads time head_dim"], valid: Bool[Tensor, "batch time"]) -> _Sorted:
        """Sort steps by bucket, then by index; invalid ones come last."""
        with torch.no_grad(), torch.autocast(query.device.type, enabled=False):
            rotated = torch.einsum("bhtd,hrdk->bhrtk", query.float(), self.rotations.float())
            bucket = torch.cat([rotated, -rotated], dim=-1).argmax(-1)
            order = bucket.masked_fill(~valid[:, None, None], 2 * rotated.shape[-1]).argsort(dim=-1, stable=True)
            return _Sorted(order, order.argsort(dim=-1), bucket)

    def _near(self, chunk: Tensor, key_chunk: Tensor, bucket: Tensor, key_bucket: Tensor) -> Tensor:
        """Whether queries find keys, from the chunks and the buckets of both."""
        before, after = self.reach
        ahead = key_chunk - chunk
        near = (ahead >= -before) & (ahead <= after)
        return near & (bucket == key_bucket) if self.same_bucket else near

    def _round(
        self,
        r: int,
        query: Float[Tensor, "batch heads time head_dim"],
        key: Float[Tensor, "batch heads time head_dim"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"],
        by_bucket: _Sorted,
    ) -> tuple[Float[Tensor, "batch heads time head_dim"], Float[Tensor, "batch heads time"]]:
        """One round's averages, and the log-sum-exp of its scores."""
        size = min(self.chunk, query.shape[2])
        spare = -query.shape[2] % size
        reach = self.reach if query.shape[2] > size else (0, 0)
        order = F.pad(by_bucket.order[:, :, r], (0, spare))  # the last chunk is filled up with a step that no one sees
        real = valid[:, None].expand(-1, self.heads, -1).gather(2, order)
        real[..., order.shape[2] - spare :] = False
        usable = _around(_cut(real, size), reach)[..., None, :]

        scores = _cut(_take(query, order), size) @ _around(_cut(_take(key, order), size), reach).transpose(-1, -2)
        rounds_that_find = torch.zeros((), device=query.device)
        for other in range(self.rotations.shape[1]):
            chunk = _cut(by_bucket.place[:, :, other].gather(2, order) // self.chunk, size)
            bucket = _cut(by_bucket.bucket[:, :, other].gather(2, order), size)
            near = self._near(
                chunk[..., None],
                _around(chunk, reach)[..., None, :],
                bucket[..., None],
                _around(bucket, reach)[..., None, :],
            )
            if other == r:
                usable = usable & near
            rounds_that_find = rounds_that_find + near
        # A step's own place in its window.
        itself = torch.eye(size, usable.shape[-1], dtype=torch.bool, device=query.device).roll(reach[0] * size, 1)
        scores = scores.float() - rounds_that_find.clamp_min(1).log()
        scores = scores.masked_fill(~usable, float("-inf")).masked_fill(itself, -SELF_PENALTY)
        mass = scores.logsumexp(-1)
        weights = (scores - mass[..., None]).exp().to(values.dtype)
        average = (weights @ _around(_cut(_take(values, order), size), reach)).flatten(2, 3)
        place = by_bucket.place[:, :, r]
        return _take(average, place), mass.flatten(2, 3).gather(2, place)


def _take(
    x: Float[Tensor, "batch heads time head_dim"], steps: Int[Tensor, "batch heads places"]
) -> Float[Tensor, "batch heads places head_dim"]:
    """Take steps of each head."""
    return x.gather(2, steps[..., None].expand(-1, -1, -1, x.shape[-1]))


def _cut(x: Shaped[Tensor, "batch heads time *rest"], size: int) -> Shaped[Tensor, "batch heads chunks size *rest"]:
    """Cut steps into chunks."""
    return x.unflatten(2, (-1, size))


def _around(
    x: Shaped[Tensor, "batch heads chunks size *rest"], reach: tuple[int, int]
) -> Shaped[Tensor, "batch heads chunks window *rest"]:
    """Give each chunk with so many before and after it; there is nothing (zero, False) beyond the ends."""
    chunks = x.shape[2]
    padded = F.pad(x, (0, 0) * (x.ndim - 3) + reach)
    return torch.cat([padded[:, :, i : i + chunks] for i in range(sum(reach) + 1)], dim=3)
