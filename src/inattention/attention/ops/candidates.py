"""Attention to a few selected keys a query: their selection, and three exact ways to average their values.

Which way is fast depends on how many queries have the same set of candidates:

- `attend_in_halves`: two sets a head, as one hash bit gives. Fused attention over both, with one masked.
- `attend_in_blocks`: some sets a head. Queries are sorted by set into blocks; one product serves a block.
- `attend_each`: one set per query. Its keys and values are gathered.

A *row* is the place of a (batch, time, head) in a tensor of (batch * time * heads, head_dim), as projections leave it.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from inattention.attention.ops.precision import products, scaled_dot_product

# Numbers that a chunk of scores, or of gathered keys, may hold: 16 MB of float32.
CHUNK_NUMBERS = 2**22
# Queries in a block that share one product with their keys; larger ones gain nothing and are padded more.
LARGEST_BLOCK = 64
# Up to so many frames for each chosen key, masked attention over all keys takes less time than gathering the chosen.
STEPS_PER_KEY_TO_GATHER = 24


def best_keys(
    scores: Float[Tensor, "*rows time"], valid: Bool[Tensor, "*#rows time"] | None, count: int
) -> Int[Tensor, "*rows count"]:
    """Return the real keys with the largest scores, ties by index; where they are too few, padding follows.

    `torch.topk` leaves the order of ties open. So a float32 score and its index are packed into one whole number, which
    is greater for a larger score, and for a lower index among equal scores; no two are the same.

    >>> scores, valid = torch.tensor([1.0, 3.0, 1.0, 1.0]), torch.tensor([True, True, False, True])
    >>> best_keys(scores, valid, 3).tolist()
    [1, 0, 3]
    """
    # Adding 0 makes -0 into 0. A float's bits, read as a whole number, grow with its size: flip those of negative ones.
    scores = scores + 0.0 if valid is None else scores.masked_fill(~valid, float("-inf")).add_(0.0)
    bits = scores.view(torch.int32)
    bits = (bits >> 31).bitwise_and_(0x7FFFFFFF).bitwise_xor_(bits)
    packed = bits.long().mul_(2**32).sub_(torch.arange(scores.shape[-1], device=scores.device))
    return packed.topk(count).values.neg_().bitwise_and_(0xFFFFFFFF)


def as_rows(x: Float[Tensor, "batch heads time head_dim"]) -> Float[Tensor, "rows head_dim"]:
    """Return the frames of all heads as rows: a view, if ``x`` is a projection's output split into heads."""
    return x.transpose(1, 2).flatten(0, 2)


def attend_in_halves(
    query: Float[Tensor, "batch heads time head_dim"],
    values: Float[Tensor, "batch heads time head_dim"],
    candidates: Int[Tensor, "batch heads 2 count"],
    second: Bool[Tensor, "batch heads time"],
    valid: Bool[Tensor, "batch time"] | None,
) -> Float[Tensor, "batch heads time head_dim"]:
    """Attend to the first or the second set of candidates.

    Args:
        query: queries, and keys.
        values: zero at padding.
        candidates: the frames in either set; padding among them is masked.
        second: the queries that attend to the second set.
        valid: True where a frame is a key, at least one in each utterance; None if all are.
    """
    heads, count = candidates.shape[1], candidates.shape[3]
    both = candidates.flatten(2)
    index = both[..., None].expand(-1, -1, -1, query.shape[-1])
    half = torch.arange(2 * count, device=query.device) // count
    excluded = half != torch.arange(2, device=query.device)[:, None]
    if valid is not None:
        excluded = excluded | ~valid[:, None].expand(-1, heads, -1).gather(2, both)[:, :, None]
    bias = query.new_zeros(excluded.shape).masked_fill(excluded, float("-inf"))
    mask = torch.where(second[..., None], bias[..., 1:, :], bias[..., :1, :])
    return scaled_dot_product(query, query.gather(2, index), values.gather(2, index), mask)


class Groups(NamedTuple):
    """Queries sorted by the set of keys that they attend to.

    Attributes:
        order: the rows of queries, sorted by group.
        group: the group of each, in that order.
        size: how many queries are in each group.
        first: where each group begins in the order.
    """

    order: Int[Tensor, " rows"]
    group: Int[Tensor, " rows"]
    size: Int[Tensor, " groups"]
    first: Int[Tensor, " groups"]


def group(labels: Int[Tensor, "batch heads projections time"]) -> Groups:
    """Group the queries of a head that have the same labels. It reads their labels on the host."""
    batch, heads, _, _ = labels.shape
    device = labels.device
    code = torch.arange(batch, device=device)[:, None, None] * heads + torch.arange(heads, device=device)
    codes_in_use = batch * heads
    for each in labels.permute(2, 0, 3, 1):
        low, high = (int(edge) for edge in each.aminmax())
        span = high - low + 1
        if codes_in_use * span >= 2**62:
            code = code.unique(return_inverse=True)[1]
            codes_in_use = code.numel()
        code = code * span + (each - low)
        codes_in_use *= span
    code, order = code.flatten().sort(stable=True)
    _, of, size = code.unique_consecutive(return_inverse=True, return_counts=True)
    return Groups(order, of, size, size.cumsum(0) - size)


def block_size(queries: int, groups: int) -> int:
    """Return how many queries share a product: about a group's mean size, a power of two.

    >>> block_size(1200, 24), block_size(1200, 100), block_size(1200, 1200)
    (64, 16, 1)
    """
    return min(LARGEST_BLOCK, 2 ** math.ceil(math.log2(queries / groups)))


def attend_in_blocks(
    query: Float[Tensor, "batch heads time head_dim"],
    values: Float[Tensor, "batch heads time head_dim"],
    groups: Groups,
    candidates: Int[Tensor, "groups count"],
    usable: Bool[Tensor, "groups count"] | None,
) -> Float[Tensor, "batch heads time head_dim"]:
    """Attend to the candidates of a query's group.

    Args:
        query: queries, and keys.
        values: zero at padding.
        groups: the queries by group.
        candidates: the rows of each group's keys.
        usable: which of them are attended to, at least one in each group; None if all are.
    """
    query_rows, value_rows = as_rows(query), as_rows(values)
    size = block_size(len(query_rows), len(candidates))
    blocks = (groups.size + size - 1).div(size, rounding_mode="floor")
    # Each group begins a new block; the rest of its last one repeats the first query of all, and is dropped.
    slot = torch.arange(len(query_rows), device=query.device) + (
        (blocks.cumsum(0) - blocks) * size - groups.first
    ).index_select(0, groups.group)
    of_block = torch.repeat_interleave(torch.arange(len(candidates), device=query.device), blocks)
    source = slot.new_zeros(len(of_block) * size).index_copy(0, slot, groups.order)
    outputs = []
    at_once = max(1, CHUNK_NUMBERS // (max(size, candidates.shape[1]) * query.shape[-1]))
    for sources, of in zip(source.split(at_once * size), of_block.split(at_once), strict=True):
        keys = candidates.index_select(0, of)
        mask = None if usable is None else usable.index_select(0, of)[:, None].expand(-1, size, -1)
        block = scaled_dot_product(
            query_rows.index_select(0, sources).unflatten(0, (len(of), 1, size)),
            query_rows.index_select(0, keys.flatten()).unflatten(0, (len(of), 1, -1)),
            value_rows.index_select(0, keys.flatten()).unflatten(0, (len(of), 1, -1)),
            None if mask is None else mask[:, None],
        )
        outputs.append(block.flatten(0, 2))
    back = torch.empty_like(slot).index_copy(0, groups.order, slot)
    output = torch.cat(outputs).index_select(0, back)
    return output.unflatten(0, (query.shape[0], query.shape[2], query.shape[1])).transpose(1, 2)


def attend_each(
    query: Float[Tensor, "batch heads time head_dim"],
    values: Float[Tensor, "batch heads time head_dim"],
    chosen: Int[Tensor, "batch heads time count"],
    valid: Bool[Tensor, "batch time"] | None,
) -> Float[Tensor, "batch heads time head_dim"]:
    """Attend to each query's own keys.

    Long inputs gather them. For short ones fused attention over all keys, with a mask, takes less time; in training it
    does so at any length, since the gradient of a gather costs more than the gather.

    Args:
        query: queries, and keys.
        values: zero at padding.
        chosen: the frames that each query attends to; padding among them is masked.
        valid: True where a frame is a key, at least one in each utterance; None if all are.
    """
    batch, heads, time, head_dim = query.shape
    count = chosen.shape[-1]
    if time <= STEPS_PER_KEY_TO_GATHER * count or query.requires_grad or values.requires_grad:
        outputs = []
        for rows in chunks_of(time, batch * heads * time):
            mask = torch.zeros(*chosen[:, :, rows].shape[:3], time, dtype=torch.bool, device=query.device)
            mask.scatter_(-1, chosen[:, :, rows], True)
            if valid is not None:
                mask &= valid[:, None, None]
            outputs.append(scaled_dot_product(query[:, :, rows], query, values, mask))
        return torch.cat(outputs, dim=2)
    query_rows, value_rows = as_rows(query), as_rows(values)
    utterance, head = (torch.arange(n, device=query.device) for n in (batch, heads))
    utterance = utterance[:, None, None, None]
    # Filled piece by piece: small results between large temporary tensors would leave memory in pieces.
    output = torch.empty(batch, time, heads, head_dim, dtype=values.dtype, device=values.device).transpose(1, 2)
    for rows in chunks_of(time, batch * heads * count * head_dim):
        frames = chosen[:, :, rows]
        places = ((utterance * time + frames) * heads + head[:, None, None]).view(-1, count)
        keys = query_rows.index_select(0, places.flatten()).view(-1, count, head_dim)
        scores = products(query[:, :, rows].reshape(-1, 1, head_dim), keys).view(-1, count)
        if valid is not None:
            scores = scores.masked_fill(~valid[utterance, frames].view(-1, count), float("-inf"))
        scores = scores / math.sqrt(head_dim)
        # A weighted sum of rows of a table, which never copies those rows.
        average = F.embedding_bag(
            places, value_rows, per_sample_weights=scores.softmax(-1).to(values.dtype), mode="sum"
        )
        output[:, :, rows] = average.view(batch, heads, -1, head_dim)
    return output


def chunks_of(time: int, numbers_a_frame: int) -> list[slice]:
    """Return slices of time that hold `CHUNK_NUMBERS` numbers at most.

    >>> chunks_of(5, CHUNK_NUMBERS // 2)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    size = max(1, CHUNK_NUMBERS // numbers_a_frame)
    return [slice(start, min(start + size, time)) for start in range(0, time, size)]
