"""Attention to the keys that a random projection ranks highest: the part that all hashing mechanisms share.

Queries and keys are one projection q = k, each extended by a transform of its own, Q(q) and P(k). Query i attends to
the K real keys j with the largest

    score(i, j) = sum over projections p of sign(a_p . Q(q_i)) (a_p . P(k_j)),    a_p ~ N(0, I),

by softmax(q k' / sqrt d) over those alone. With one projection that is the order of (a.Q)(a.P), as in the paper
(section 3.2). Ties go to the lower index, a query on the plane counts as positive, and no gradient flows through the
hash, which is computed in float32. The vectors a are drawn when the mechanism is built and kept with it.

With vectors that all queries of a head share (``hashes="per-head"``, as eq. 2 reads), queries of one sign pattern have
the same keys: at most 2^n sets a head. With vectors of its own for each query (``"per-query"``, as the authors ran it,
drawing them anew in every pass), every key is scored for every query.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from inattention.attention.base import AttentionMechanism, Card, Drawing
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
from inattention.attention.ops.padding import full_mask, masked_softmax, zero_invalid
from inattention.attention.ops.precision import fused_attention, products
from inattention.attention.ops.projections import projection, split_heads

Hashes = Literal["per-head", "per-query"]

# How many vectors there are with one per query and no maximum length.
POSITIONS = 512
# Norms are divisors; this is far below any that matters.
SMALLEST_NORM = 1e-30


class Transform(NamedTuple):
    """A transform of vectors x into [factor x; appended].

    Attributes:
        factor: of the vector, one number or one for each frame: (batch, heads, 1, time).
        appended: the numbers after it, likewise.
    """

    factor: Tensor | float
    appended: Sequence[Tensor | float]

    def project(
        self, raw: Float[Tensor, "batch heads projections time"], coefficients: Float[Tensor, "appended heads *frames"]
    ) -> Float[Tensor, "batch heads projections time"]:
        """Return a.[factor x; appended] from a.x and the coefficients of a for the appended numbers."""
        projected = self.factor * raw
        for coefficient, number in zip(coefficients, self.appended, strict=True):
            projected = projected + coefficient * number
        return projected


class HashedAttention(AttentionMechanism):
    """Attention to K keys by hash. A subclass defines its two transforms, from norms to factors and appended numbers.

    Args:
        appended: how many numbers the transforms append.
        width: features of a frame, over all heads.
        heads: how many heads share the width.
        max_length: with vectors per query, how many positions have their own; longer input reuses them from the first.
        hashes: whether a head's queries share the hash vectors.
        projections: how many hash vectors there are.
        keys: how many keys a query attends to; all real ones if there are fewer.

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
        """Return P.

        Args:
            norm: |k| of each frame, (batch, heads, 1, time).
            largest: M, the largest norm of a head's real frames, (batch, heads, 1, 1).
        """
        raise NotImplementedError(f"{type(self).__name__} must define transform_key")

    def transform_query(self, norm: Tensor, largest: Tensor) -> Transform:
        """Return Q, from the same."""
        raise NotImplementedError(f"{type(self).__name__} must define transform_query")

    def label(self, projected: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """Return the hash of queries from their projections, which alone decides on their keys."""
        return (projected >= 0).long()

    def closeness(self, label: Int[Tensor, "*#shape"], projected: Float[Tensor, "*#shape"]) -> Float[Tensor, "*#shape"]:
        """Return one projection's part of the score of keys for queries of a label."""
        return torch.where(label > 0, projected, -projected)

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch heads time time"]:
        """Return the softmax of q·k / sqrt d over the K real keys with the largest score."""
        valid = full_mask(valid, hidden)
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
        return masked_softmax(products(query, query) / math.sqrt(self.head_dim), chosen)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Average the values of the selected keys alone."""
        query = self._project(hidden, valid)
        if hidden.shape[1] <= self.keys:
            return fused_attention(query, query, values, valid)  # every key is selected
        values = zero_invalid(values, valid)
        # An utterance without any real frame may attend to all, whose values are zero.
        keys = None if valid is None else valid | ~valid.any(-1, keepdim=True)
        if self.hashes == "per-query":
            return attend_each(query, values, self._choose_each(query, valid, keys), keys)
        with torch.no_grad():
            labels, projected = self._hash(query, valid)
        if self.binary and self.projections == 1:
            scores = torch.cat([-projected, projected], dim=2)
            candidates = best_keys(scores, None if keys is None else keys[:, None, None], self.keys)
            return attend_in_halves(query, values, candidates, labels[:, :, 0] > 0, keys)
        groups = group(labels)
        candidates, usable = self._candidates(groups.order[groups.first], labels, projected, keys)
        return attend_in_blocks(query, values, groups, candidates, usable)

    def _project(self, hidden: Tensor, valid: Tensor | None) -> Tensor:
        return split_heads(self.query(zero_invalid(hidden, valid)), self.heads)

    def _score(
        self, labels: Int[Tensor, "*#rows projections"], projected: Float[Tensor, "*#rows projections time"]
    ) -> Float[Tensor, "*#rows time"]:
        """Return the sum of the projections' parts, always in the same order, so that equal scores stay equal."""
        score = self.closeness(labels[..., 0, None], projected[..., 0, :])
        for p in range(1, self.projections):
            score = score + self.closeness(labels[..., p, None], projected[..., p, :])
        return score

    def _hash(
        self, query: Float[Tensor, "batch heads time head_dim"], valid: Bool[Tensor, "batch time"] | None
    ) -> tuple[Int[Tensor, "batch heads projections time"], Float[Tensor, "batch heads projections time"]]:
        """Return the labels of all queries and the projections of all keys, by the vectors that queries share."""
        plain, norm, largest = _Norms.of(query, valid)
        vectors, coefficients = self._vectors(torch.zeros(1, dtype=torch.long, device=query.device))
        with torch.autocast(query.device.type, enabled=False):
            raw = torch.einsum("hpd,bhtd->bhpt", vectors[:, 0], plain)
        coefficients = coefficients[:, :, 0, :, None]
        labels = self.label(self.transform_query(norm, largest).project(raw, coefficients))
        return labels, self.transform_key(norm, largest).project(raw, coefficients)

    def _scores_of(self, rows: slice, hashed: "_Norms") -> Float[Tensor, "batch heads rows time"]:
        """Return the scores of all keys for some queries by the queries' own vectors."""
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
        """Return the hash vectors of some positions, and separately their coefficients for the appended numbers."""
        vectors = self.vectors.index_select(1, positions).float()
        return vectors[..., : self.head_dim], vectors[..., self.head_dim :].movedim(-1, 0)

    def _candidates(
        self,
        members: Int[Tensor, " groups"],
        labels: Int[Tensor, "batch heads projections time"],
        projected: Float[Tensor, "batch heads projections time"],
        valid: Bool[Tensor, "batch time"] | None,
    ) -> tuple[Int[Tensor, "groups count"], Bool[Tensor, "groups count"] | None]:
        """Select the keys of groups, each identified by the row of a member: the keys' rows, and which are real."""
        heads, time = labels.shape[1], labels.shape[3]
        rows, usable = [], []
        for member in members.split(max(1, CHUNK_NUMBERS // (time * self.projections))):
            utterance, frame, head = member // (time * heads), member // heads % time, member % heads
            scores = self._score(labels[utterance, head, :, frame], projected[utterance, head])
            chosen = best_keys(scores, None if valid is None else valid[utterance], self.keys)
            rows.append((utterance[:, None] * time + chosen) * heads + head[:, None])
            if valid is not None:
                usable.append(valid[utterance[:, None], chosen])
        return torch.cat(rows), torch.cat(usable) if usable else None

    @torch.no_grad()
    def _choose_each(
        self,
        query: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None,
        keys: Bool[Tensor, "batch time"] | None,
    ) -> Int[Tensor, "batch heads time count"]:
        """Select each query's keys by its own vectors."""
        hashed = _Norms.of(query, valid)
        keys = None if keys is None else keys[:, None, None]
        chosen = torch.empty(*query.shape[:3], self.keys, dtype=torch.long, device=query.device)
        for rows in self._chunks(query):
            chosen[:, :, rows] = best_keys(self._scores_of(rows, hashed), keys, self.keys)
        return chosen

    def _chunks(self, query: Float[Tensor, "batch heads time head_dim"]) -> list[slice]:
        """Return slices of queries whose scores of all keys stay small."""
        batch, heads, time, _ = query.shape
        return chunks_of(time, batch * heads * self.projections * time)


class _Norms(NamedTuple):
    """Queries in float32, with their norms and the largest norm over real frames."""

    query: Float[Tensor, "batch heads time head_dim"]
    norm: Float[Tensor, "batch heads 1 time"]
    largest: Float[Tensor, "batch heads 1 1"]

    @classmethod
    def of(
        cls, query: Float[Tensor, "batch heads time head_dim"], valid: Bool[Tensor, "batch time"] | None
    ) -> "_Norms":
        plain = query.float()
        norm = torch.linalg.vector_norm(plain, dim=-1).clamp_min(SMALLEST_NORM)[:, :, None]
        real = norm if valid is None else norm.masked_fill(~valid[:, None, None], SMALLEST_NORM)
        return cls(plain, norm, real.amax(-1, keepdim=True))


# Cards of hashing mechanisms: their common options, and the operations that they take.
HASH_COST = "O(T n (d + min(2^n, T)) H), or O(T² n d H) with vectors per query"


def hash_flops(
    time: int, width: int, heads: int, *, hashes: str = "per-head", projections: int = 1, **options: Any
) -> float:
    """Return the operations of products with hash vectors."""
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
    """Return the operations of a forward pass, with ``labels`` values of a hash in use.

    Each set of keys pads its last block, by half on average.
    """
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
    """Return the card of a hashing mechanism, with what all have in common.

    Args:
        name: the mechanism's name.
        label: the name in tables.
        citation: the first publication.
        options: the meaning of its own options.
        variants: its own variants.
        flops: its operations, if they are not the usual ones.
    """
    return Card(
        name=name,
        label=label,
        family="hashing",
        citation=citation,
        options={
            "hashes": "'per-head', one set of vectors for all queries of a head, or 'per-query', one for each position",
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
