"""`reformer-lsh`: attention among frames that random rotations send to the same bucket (Kitaev et al. 2020, section 2).

The paper cites it without running it. One projection q gives queries and, at unit length, keys. In each round, the
bucket of frame i is the index of the largest of [q_i R; -q_i R] with R of (d, buckets / 2) from N(0, I). Real frames
are sorted by bucket, then by index; s_i is the place of frame i. They are cut into chunks of m, and query i attends to

    P_i = union over rounds of { j : | floor(s_i / m) - floor(s_j / m) | <= 1 }

by softmax(q_i . k_j / |k_j|), to itself only where there is no other. An encoder needs both neighbouring chunks; the
origin attends to the one before alone (``neighbours="before"``). In its formula a chunk's frames attend across
buckets, in its figure 2 within a bucket alone (``same_bucket=True``).

A key that several rounds find counts once, in the first of them. (The origin lets each of N rounds count it and takes
log N off its scores: the same sums.) Rounds are put together by the log-sum-exp of their scores, which gives exactly
the softmax over the union. The rotations are drawn when the mechanism is built and kept with it.
"""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from inattention.attention.base import AttentionMechanism, Card, Drawing
from inattention.attention.ops.candidates import as_rows
from inattention.attention.ops.padding import full_mask, masked_softmax, zero_invalid
from inattention.attention.ops.precision import products, unrounded, wide
from inattention.attention.ops.projections import projection, split_heads
from inattention.attention.registry import register

Neighbours = Literal["both", "before"]

# A query's score with itself: its weight is exactly 0 where there is another key, and 1 where there is none.
SELF_SCORE = -1e30
# Scores that are held at once: 4 MB of float32, which stay in cache.
SCORES_AT_ONCE = 2**20


class _Sorted(NamedTuple):
    """Frames in the order of their buckets, in each round.

    Attributes:
        order: the frames, by place.
        place: the place of each frame.
        stand: for each frame, the chunk that its place is in, and its bucket.
    """

    order: Int[Tensor, "rounds batch heads time"]
    place: Int[Tensor, "rounds batch heads time"]
    stand: Int[Tensor, "2 rounds batch heads time"]


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
    padded = time + -time % chunk
    window = chunk * (1 if padded == chunk else 3 if neighbours == "both" else 2)
    return padded * (2 * width**2 + width * rounds * buckets + 4 * rounds * window * width)


@register(
    Card(
        name="reformer-lsh",
        label="Reformer LSH",
        family="hashing",
        citation="Kitaev et al. 2020, Reformer: The Efficient Transformer",
        options={
            "buckets": "how many buckets b a round sorts frames into; even",
            "chunk": "m, how many sorted frames make a chunk",
            "rounds": "n, how many times frames are hashed",
            "neighbours": "the chunks that a frame attends to beside its own: 'both', or the one 'before'",
            "same_bucket": "whether frames of those chunks in another bucket are excluded",
        },
        variants={"before": {"neighbours": "before"}, "same-bucket": {"same_bucket": True}},
        fields=("CV", "NLP"),
        training_cost="O(T m n d H); hashing O(T b n d H + T log T n H), without gradient",
        inference_cost="O(T m n d H); hashing O(T b n d H + T log T n H)",
        flops=_flops,
        hash_flops=lambda time, width, heads, *, buckets=16, rounds=2, **options: time * width * rounds * buckets,
        shares_qk=True,
        drawing=Drawing(mask=True, options={"buckets": 6, "chunk": 5, "rounds": 1}),
    )
)
class ReformerLSH(AttentionMechanism):
    """Attention within chunks of frames sorted by bucket, over some rounds of hashing.

    Args:
        width: features of a frame, over all heads.
        heads: how many heads share the width.
        max_length: not needed.
        buckets: how many buckets a round sorts frames into.
        chunk: how many sorted frames make a chunk.
        rounds: how many times frames are hashed.
        neighbours: the chunks that a frame attends to beside its own.
        same_bucket: whether frames of those chunks in another bucket are excluded.

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
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch heads time time"]:
        """Return the softmax over the union of the rounds' keys."""
        valid = full_mask(valid, hidden)
        query = split_heads(self.query(zero_invalid(hidden, valid)), self.heads)
        stand = self._sort(query, valid).stand
        found = self._finds(stand[..., :, None], stand[..., None, :]).any(0)
        itself = torch.eye(hidden.shape[1], dtype=torch.bool, device=hidden.device)
        others = found & valid[:, None, None] & ~itself
        alone = ~others.any(-1, keepdim=True) & itself & valid[:, None, None]
        return masked_softmax(products(query, F.normalize(query, dim=-1)), others | alone)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Average the values chunk by chunk."""
        time = hidden.shape[1]
        spare = -time % min(self.chunk, time)  # padding that fills up the last chunk
        query = split_heads(self.query(F.pad(zero_invalid(hidden, valid), (0, 0, 0, spare))), self.heads)
        values = F.pad(zero_invalid(values, valid), (0, 0, 0, spare))
        valid = F.pad(full_mask(valid, hidden), (0, spare))
        by_bucket = self._sort(query, valid)
        rounds = [self._round(r, query, values, valid, by_bucket) for r in range(len(by_bucket.order))]
        if len(rounds) == 1:
            return rounds[0][0][:, :, :time]
        shares = torch.stack([mass for _, mass in rounds]).softmax(0).to(values.dtype)
        averages = torch.stack([average for average, _ in rounds])
        return (shares[..., None] * averages).sum(0)[:, :, :time]

    def _sort(self, query: Float[Tensor, "batch heads time head_dim"], valid: Bool[Tensor, "batch time"]) -> _Sorted:
        """Sort frames by bucket, then by index; padding comes last."""
        with torch.no_grad(), torch.autocast(query.device.type, enabled=False):
            rotated = torch.einsum("bhtd,hrdk->rbhtk", query.float(), self.rotations.float())
            bucket = torch.cat([rotated, -rotated], dim=-1).argmax(-1)
            last = 2 * rotated.shape[-1]
            order = bucket.masked_fill(~valid[:, None], last).argsort(dim=-1, stable=True)
            place = order.argsort(dim=-1)
            return _Sorted(order, place, torch.stack([place // self.chunk, bucket]).int())

    def _finds(self, query: Int[Tensor, "2 *#shape"], key: Int[Tensor, "2 *#shape"]) -> Bool[Tensor, "*shape"]:
        """Return whether queries find keys in a round, from their places in it."""
        before, after = self.reach
        ahead = key[0] - query[0]
        near = (ahead >= -before) & (ahead <= after)
        return near & (query[1] == key[1]) if self.same_bucket else near

    def _round(
        self,
        r: int,
        query: Float[Tensor, "batch heads time head_dim"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"],
        by_bucket: _Sorted,
    ) -> tuple[Float[Tensor, "batch heads time head_dim"], Float[Tensor, "batch heads time"]]:
        """Return a round's averages over the keys that no earlier round found, and the log-sum-exp of its scores.

        Chunks of all utterances and heads are numbered through.
        """
        batch, heads, time, _ = query.shape
        size = min(self.chunk, time)
        order, place = by_bucket.order[r], by_bucket.place[r]
        utterance, head = (torch.arange(n, device=query.device) for n in (batch, heads))
        rows = ((utterance[:, None, None] * time + order) * heads + head[:, None]).flatten()
        q, v = (as_rows(x).index_select(0, rows).unflatten(0, (-1, size)) for x in (query, values))
        k = F.normalize(q, dim=-1)
        real = valid[:, None].expand(-1, heads, -1).gather(2, order).view(-1, size)
        stand = by_bucket.stand.gather(-1, order.expand_as(by_bucket.stand)).flatten(2).unflatten(2, (-1, size))
        around, inside = _windows(len(q), time // size, self.reach if time > size else (0, 0), query.device)
        width = around.shape[1]

        averages, masses = [], []
        at_once = max(1, SCORES_AT_ONCE // (size * size * width))
        for some in torch.arange(len(q), device=query.device).split(at_once):
            near = around[some]
            unseen = ~(_look(real, near) & inside[some].repeat_interleave(size, 1))[:, None]
            own_q, near_k = wide(q[some]), wide(_look(k, near))
            with unrounded(q):
                bias = own_q.new_zeros(unseen.shape).masked_fill(unseen, float("-inf"))
                scores = torch.baddbmm(bias, own_q, near_k.transpose(1, 2))
            own, other = stand[:, :, some, :, None], _look(stand, near, dim=2)[..., None, :]
            for earlier in range(r):
                scores = scores.masked_fill(self._finds(own[:, earlier], other[:, earlier]), float("-inf"))
            if self.same_bucket:
                scores = scores.masked_fill(own[1, r] != other[1, r], float("-inf"))
            scores.diagonal(size * (width > 1), 1, 2).fill_(SELF_SCORE)  # a chunk before its own, if any
            largest = scores.detach().amax(-1, keepdim=True)
            shares = (scores - largest).exp()
            mass = shares.sum(-1, keepdim=True)
            averages.append((shares / mass).to(v.dtype) @ _look(v, near))
            masses.append(largest + mass.log())
        back = (torch.arange(batch * heads, device=query.device).view(batch, heads, 1) * time + place).flatten()
        average = torch.cat(averages).flatten(0, 1).index_select(0, back).unflatten(0, place.shape)
        return average, torch.cat(masses).flatten().index_select(0, back).view_as(place)


def _windows(
    total: int, chunks: int, reach: tuple[int, int], device: torch.device
) -> tuple[Int[Tensor, "total window"], Bool[Tensor, "total window"]]:
    """Return the chunks around each chunk, and whether they exist; each head has ``chunks`` of them."""
    chunk = torch.arange(total, device=device)[:, None]
    offset = torch.arange(-reach[0], reach[1] + 1, device=device)
    inside = (chunk % chunks + offset >= 0) & (chunk % chunks + offset < chunks)
    return torch.where(inside, chunk + offset, chunk), inside


def _look(x: Shaped[Tensor, "..."], chunks: Int[Tensor, "some window"], dim: int = 0) -> Shaped[Tensor, "..."]:
    """Return the frames of chunks, one after the other: dimensions (chunk, frame) become (some, places)."""
    return x.index_select(dim, chunks.flatten()).unflatten(dim, chunks.shape).flatten(dim + 1, dim + 2)
