"""Attention to the keys that a random projection ranks highest: what all hashing mechanisms of the study share.

Queries and keys are one projection q = k, each made longer by a transform of its own, Q(q) and P(k). Query i attends to
the K valid keys j with the largest

    score(i, j) = sum over projections p of sign(a_p . Q(q_i)) (a_p . P(k_j)),    a_p ~ N(0, I),

by softmax(q k' / sqrt d) over those alone. With one projection that is the order of (a.Q)(a.P), which the paper gives
(section 3.2). Ties go to the lower index, a query on the plane counts as positive, and no gradient flows through the
hash, which is computed in float32. The vectors a are drawn when the mechanism is built and kept with it.

With vectors that all queries of a head share (``hashes="per-head"``, as eq. 2 reads), queries of one sign pattern have
the same keys: at most 2^n sets a head. With vectors of its own for each query (``"per-query"``, as the authors ran it,
who drew them afresh in every pass), every key is scored for every query.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from inattention.attention.base import AttentionMechanism, Card, Drawing
from inattention.attention.mechanisms.query_key import fused
from inattention.attention.ops.candidates import (
    CHUNK_NUMBERS,
    STEPS_PER_KEY_TO_GATHER,
    attend_each,
    attend_in_blocks,
    attend_in_halves,
    best_keys,
    block_size,
    chunks_of,
    group,
)
from inattention.attention.ops.padding import masked_softmax, projection, split_heads, zero_invalid

Hashes = Literal["per-head", "per-query"]

# Where vectors are per query and no maximum length is given, so many are kept.
POSITIONS = 512
# Norms are divided by; this is far under any that matters.
SMALLEST_NORM = 1e-30

HASH_COST = "O(T n (d + min(2^n, T)) H), or O(T² n d H) with vectors per query"


class Transform(NamedTuple):
    """A transform of vectors x into [factor x; appended].

    Attributes:
        factor: what the vector is multiplied by, a number or one for each step: (batch, heads, 1, time).
        appended: the numbers that make it longer, likewise.
    """

    factor: Tensor | float
    appended: Sequence[Tensor | float]

    def project(
        self, raw: Float[Tensor, "batch heads projections time"], coefficients: Float[Tensor, "appended heads *steps"]
    ) -> Float[Tensor, "batch heads projections time"]:
        """Give a.[factor x; appended] from a's product with x and its coefficients for what is appended."""
        projected = self.factor * raw
        for coefficient, number in zip(coefficients, self.appended, strict=True):
            projected = projected + coefficient * number
        return projected


class HashedAttention(AttentionMechanism):
    """Attention to K keys by hash. A mechanism gives its two transforms, of norms to factors and appended numbers.

    Args:
        appended: how many numbers the transforms append.
        width: features of a step, over all heads.
        heads: how many heads share the width.
        max_length: with vectors per query, how many positions have their own; longer input begins again with the first.
        hashes: whether a head's queries share the hash vectors.
        projections: how many hash vectors there are.
        keys: how many keys a query attends to; all valid ones where there are fewer.

    Raises:
        ValueError: for an option out of its range.
    """

    # Whether a label has two values, so that one projection makes two sets of candidates.
    binary: ClassVar[bool] = True

    def __init__(
        self,
        appended: int = 1,
        *,
        width: int,
        heads: int,
        max_length: int | None = None,
        hashes: Hashes = "per-head",
        projections: int = 1,
        keys: int = 32,
    ) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        if hashes not in ("per-head", "per-query"):
            raise ValueError(f"hashes must be 'per-head' or 'per-query', not {hashes!r}")
        if projections < 1 or keys < 1:
            raise ValueError(f"projections ({projections}) and keys ({keys}) must be at least 1")
        self.hashes = hashes
        self.projections = projections
        self.keys = keys
        self.query = projection(width, width)
        positions = 1 if hashes == "per-head" else max_length or POSITIONS
        self.vectors: Tensor
        self.register_buffer("vectors", torch.randn(heads, positions, projections, self.head_dim + appended))

    def transform_key(self, norm: Tensor, largest: Tensor) -> Transform:
        """Give P.

        Args:
            norm: |k| of each step, (batch, heads, 1, time).
            largest: M, the largest of a head's valid steps, (batch, heads, 1, 1).
        """
        raise NotImplementedError(f"{type(self).__name__} must define transform_key")

    def transform_query(self, norm: Tensor, largest: Tensor) -> Transform:
        """Give Q, from the same."""
        raise NotImplementedError(f"{type(self).__name__} must define transform_query")

    def label(self, projected: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """Give the hash of queries from their projections: all that matters of a query for the choice of its keys."""
        return (projected >= 0).long()

    def closeness(self, label: Int[Tensor, "*#shape"], projected: Float[Tensor, "*#shape"]) -> Float[Tensor, "*#shape"]:
        """Give one projection's part of the score of keys for a query with some label."""
        return torch.where(label > 0, projected, -projected)

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch heads time time"]:
        """Softmax of q·k / sqrt d over the K valid keys with the largest score."""
        query = self._project(hidden, valid)
        with torch.no_grad():
            if self.hashes == "per-head":
                labels, projected = self._hash(query, valid)
                scores = self._score(labels.transpose(2, 3), projected[:, :, None])
            else:
                hashed = _Norms.of(query, valid)
                scores = torch.cat([self._scores_of(rows, hashed) for rows in self._chunks(query)], dim=2)
            allowed = valid[:, None, None].expand_as(scores)
            ranked = scores.masked_fill(~allowed, float("-inf")).argsort(dim=-1, descending=True, stable=True)
            chosen = torch.zeros_like(allowed).scatter(-1, ranked[..., : self.keys], True) & allowed
        return masked_softmax(query @ query.transpose(-1, -2) / math.sqrt(self.head_dim), chosen)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """The same, from candidates alone."""
        query = self._project(hidden, valid)
        if hidden.shape[1] <= self.keys:
            return fused(query, query, values, valid)  # every key is chosen
        values = zero_invalid(values, valid)
        # An utterance without any valid step may look at every one: its values are zero.
        keys = valid | ~valid.any(-1, keepdim=True)
        if self.hashes == "per-query":
            return attend_each(query, values, self._choose_each(query, valid, keys), keys)
        with torch.no_grad():
            labels, projected = self._hash(query, valid)
        if self.binary and self.projections == 1:
            scores = torch.cat([-projected, projected], dim=2)
            candidates = best_keys(scores, keys[:, None, None], self.keys)
            return attend_in_halves(query, values, candidates, labels[:, :, 0] > 0, keys)
        groups = group(labels)
        candidates, usable = self._candidates(groups.order[groups.first], labels, projected, keys)
        return attend_in_blocks(query, values, groups, candidates, usable)

    def _project(self, hidden: Tensor, valid: Tensor) -> Tensor:
        return split_heads(self.query(zero_invalid(hidden, valid)), self.heads)

    def _score(
        self, labels: Int[Tensor, "*#rows projections"], projected: Float[Tensor, "*#rows projections time"]
    ) -> Float[Tensor, "*#rows time"]:
        """Add up the projections' parts, always in the same order, so that equal scores stay equal."""
        score = self.closeness(labels[..., 0, None], projected[..., 0, :])
        for p in range(1, self.projections):
            score = score + self.closeness(labels[..., p, None], projected[..., p, :])
        return score

    def _hash(
        self, query: Float[Tensor, "batch heads time head_dim"], valid: Bool[Tensor, "batch time"]
    ) -> tuple[Int[Tensor, "batch heads projections time"], Float[Tensor, "batch heads projections time"]]:
        """Give the labels of all queries and the projections of all keys, by the vectors that queries share."""
        plain, norm, largest = _Norms.of(query, valid)
        vectors, coefficients = self._vectors(torch.zeros(1, dtype=torch.long, device=query.device))
        with torch.autocast(query.device.type, enabled=False):
            raw = torch.einsum("hpd,bhtd->bhpt", vectors[:, 0], plain)
        coefficients = coefficients[:, :, 0, :, None]
        labels = self.label(self.transform_query(norm, largest).project(raw, coefficients))
        return labels, self.transform_key(norm, largest).project(raw, coefficients)

    def _scores_of(self, rows: slice, hashed: "_Norms") -> Float[Tensor, "batch heads rows time"]:
        """Score all keys for some queries by the queries' own vectors."""
        plain, norm, largest = hashed
        positions = torch.arange(rows.start, rows.stop, device=plain.device)
        vectors, coefficients = self._vectors(positions % self.vectors.shape[1])
        with torch.autocast(plain.device.type, enabled=False):
            own = torch.einsum("htpd,bhtd->bhpt", vectors, plain[:, :, rows])
            raw = torch.einsum("hrd,bhtd->bhrt", vectors.flatten(1, 2), plain)
        transform = self.transform_query(norm[..., rows], largest)
        labels = self.label(transform.project(own, coefficients.transpose(2, 3)))
        projected = self.transform_key(norm, largest).project(raw, coefficients.flatten(2, 3)[..., None])
        return self._score(labels.transpose(2, 3), projected.unflatten(2, (-1, self.projections)))

    def _vectors(
        self, positions: Int[Tensor, " positions"]
    ) -> tuple[
        Float[Tensor, "heads positions projections head_dim"], Float[Tensor, "appended heads positions projections"]
    ]:
        """Give the hash vectors of some positions, and apart from them their coefficients for what is appended."""
        vectors = self.vectors.index_select(1, positions).float()
        return vectors[..., : self.head_dim], vectors[..., self.head_dim :].movedim(-1, 0)

    def _candidates(
        self,
        members: Int[Tensor, " groups"],
        labels: Int[Tensor, "batch heads projections time"],
        projected: Float[Tensor, "batch heads projections time"],
        valid: Bool[Tensor, "batch time"],
    ) -> tuple[Int[Tensor, "groups count"], Bool[Tensor, "groups count"]]:
        """Choose the keys of groups, each given by the row of a member: the keys' rows, and which are valid."""
        heads, time = labels.shape[1], labels.shape[3]
        rows, usable = [], []
        for member in members.split(max(1, CHUNK_NUMBERS // (time * self.projections))):
            utterance, step, head = member // (time * heads), member // heads % time, member % heads
            scores = self._score(labels[utterance, head, :, step], projected[utterance, head])
            chosen = best_keys(scores, valid[utterance], self.keys)
            rows.append((utterance[:, None] * time + chosen) * heads + head[:, None])
            usable.append(valid[utterance[:, None], chosen])
        return torch.cat(rows), torch.cat(usable)

    @torch.no_grad()
    def _choose_each(
        self,
        query: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"],
        keys: Bool[Tensor, "batch time"],
    ) -> Int[Tensor, "batch heads time count"]:
        """Choose each query's keys by its own vectors."""
        hashed = _Norms.of(query, valid)
        chosen = torch.empty(*query.shape[:3], self.keys, dtype=torch.long, device=query.device)
        for rows in self._chunks(query):
            chosen[:, :, rows] = best_keys(self._scores_of(rows, hashed), keys[:, None, None], self.keys)
        return chosen

    def _chunks(self, query: Float[Tensor, "batch heads time head_dim"]) -> list[slice]:
        """Cut the queries so that a chunk's scores of all keys stay small."""
        batch, heads, time, _ = query.shape
        return chunks_of(time, batch * heads * self.projections * time)


class _Norms(NamedTuple):
    """Queries in float32, with their norms and the largest of them over valid steps."""

    query: Float[Tensor, "batch heads time head_dim"]
    norm: Float[Tensor, "batch heads 1 time"]
    largest: Float[Tensor, "batch heads 1 1"]

    @classmethod
    def of(cls, query: Float[Tensor, "batch heads time head_dim"], valid: Bool[Tensor, "batch time"]) -> "_Norms":
        plain = query.float()
        norm = torch.linalg.vector_norm(plain, dim=-1).clamp_min(SMALLEST_NORM)[:, :, None]
        largest = norm.masked_fill(~valid[:, None, None], SMALLEST_NORM).amax(-1, keepdim=True)
        return cls(plain, norm, largest)


def hash_flops(
    time: int, width: int, heads: int, *, hashes: str = "per-head", projections: int = 1, **options: Any
) -> float:
    """Count the products with hash vectors."""
    return 2 * time * width * projections * (1 if hashes == "per-head" else time)


def flops(
    time: int,
    width: int,
    heads: int,
    *,
    hashes: str = "per-head",
    projections: int = 1,
    keys: int = 32,
    labels: int = 2,
    **options: Any,
) -> float:
    """Count a forward pass, with ``labels`` values of a hash in use. Blocks are padded by half of one for each set."""
    if time <= keys:
        return 2 * time * width**2 + 4 * time**2 * width
    if hashes == "per-query":
        attended = time if time <= STEPS_PER_KEY_TO_GATHER * keys else keys
    elif labels == 2 and projections == 1:
        attended = 2 * keys
    else:
        sets = min(labels**projections, time)
        attended = keys * (1 + sets * (block_size(time, sets) - 1) / 2 / time)
    chosen = hash_flops(time, width, heads, hashes=hashes, projections=projections)
    return 2 * time * width**2 + chosen + 4 * time * attended * width


def hash_card(
    *,
    name: str,
    label: str,
    citation: str,
    options: Mapping[str, str] | None = None,
    variants: Mapping[str, Mapping[str, Any]] | None = None,
    flops: Callable[..., float] = flops,
) -> Card:
    """Make the card of a hashing mechanism, with what all have in common.

    Args:
        name: the mechanism's name.
        label: the name that tables print.
        citation: who gave it first.
        options: the meaning of its own options.
        variants: its own variants.
        flops: its cost, where that is not the usual one.
    """
    return Card(
        name=name,
        label=label,
        family="hashing",
        citation=citation,
        options={
            "hashes": "'per-head', vectors that a head's queries share, or 'per-query', vectors of a position's own",
            "projections": "how many hash vectors n rank the keys",
            "keys": "how many keys K a query attends to",
            **(options or {}),
        },
        variants={"per-query": {"hashes": "per-query"}, **(variants or {})},
        fields=("Recommender systems",),
        training_cost=f"O(T K d H), or O(T² d H) with vectors per query; hashing {HASH_COST}, without gradient",
        inference_cost=f"O(T K d H); hashing {HASH_COST}",
        flops=flops,
        hash_flops=hash_flops,
        shares_qk=True,
        drawing=Drawing(mask=True, options={"keys": 8}),
    )
