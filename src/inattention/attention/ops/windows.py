"""Attention to nearby frames, and to frames at multiples of a stride, by fused attention on many small pieces.

Shapes here are (batch, time, heads, head_dim), as projections return them: a stretch of time is then mostly a view,
`scaled_dot_product_attention` takes views, and no (time, time) tensor is ever formed. Values must be zero at padding;
the output there is finite.
"""

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from inattention.attention.base import Reach
from inattention.attention.ops.precision import scaled_dot_product
from inattention.attention.ops.sparse_patterns import Pattern

# Queries that share one stretch of keys. Longer blocks waste products outside the band, shorter ones waste calls; 32
# was the fastest on CPU for windows of 8 to 512 frames.
BLOCK = 32


def attend(
    query: Float[Tensor, "batch queries heads head_dim"],
    key: Float[Tensor, "batch keys heads head_dim"],
    values: Float[Tensor, "batch keys heads head_dim"],
    allowed: Bool[Tensor, "batch #queries keys"] | None,
) -> Float[Tensor, "batch queries heads head_dim"]:
    """Return PyTorch's fused attention over the allowed keys (None: all); a query without any averages all keys.

    >>> x = torch.randn(2, 5, 1, 4)
    >>> attend(x, x[:, :3], x[:, :3], None).shape
    torch.Size([2, 5, 1, 4])
    """
    query, key, values = query.transpose(1, 2), key.transpose(1, 2), values.transpose(1, 2)
    mask = None
    if allowed is not None:
        mask = (allowed | ~allowed.any(-1, keepdim=True))[:, None].expand(-1, -1, query.shape[2], -1)
    return scaled_dot_product(query, key, values, mask).transpose(1, 2)


def attention_flops(queries: int, keys: int, width: int) -> int:
    """Return the operations of attention: queries times keys, weights times values."""
    return 4 * queries * keys * width


def by_residue(x: Shaped[Tensor, "batch time *rest"], stride: int) -> Shaped[Tensor, "batch stride members *rest"]:
    """Return the frames of each residue class, padded with zeros (False) to a common number.

    >>> by_residue(torch.tensor([[0, 1, 2, 3, 4]]), 2).tolist()
    [[[0, 2, 4], [1, 3, 0]]]
    """
    if missing := -x.shape[1] % stride:
        x = torch.cat([x, x.new_zeros(x.shape[0], missing, *x.shape[2:])], 1)
    return x.unflatten(1, (-1, stride)).transpose(1, 2)


def residue_attention(
    query: Float[Tensor, "batch time heads head_dim"],
    key: Float[Tensor, "batch time heads head_dim"],
    values: Float[Tensor, "batch time heads head_dim"],
    valid: Bool[Tensor, "batch time"] | None,
    stride: int,
) -> Float[Tensor, "batch time heads head_dim"]:
    """Attend to real frames at multiples of ``stride`` from one's own: some time / stride keys a query."""
    batch, time = query.shape[:2]
    stride = min(stride, time)
    queries, near_values = by_residue(query, stride), by_residue(values, stride)
    near_valid = None if valid is None else by_residue(valid, stride)
    keys = queries if key is query else by_residue(key, stride)
    parts = []
    # The first classes may have one member more than the rest; apart from each other, neither needs a mask.
    for first, last, members in _residue_groups(time, stride):
        part = attend(
            queries[:, first:last].flatten(0, 1),
            keys[:, first:last, :members].flatten(0, 1),
            near_values[:, first:last, :members].flatten(0, 1),
            None if near_valid is None else near_valid[:, first:last, None, :members].flatten(0, 1),
        )
        parts.append(part.unflatten(0, (batch, -1)).transpose(1, 2))
    return torch.cat(parts, 2).flatten(1, 2)[:, :time]


def residue_flops(time: int, stride: int, width: int) -> int:
    """Return the operations of `residue_attention` for one utterance; ``width`` is that of all its heads."""
    stride = min(stride, time)
    most = -(-time // stride)
    return sum(
        attention_flops((last - first) * most, members, width) for first, last, members in _residue_groups(time, stride)
    )


def _residue_groups(time: int, stride: int) -> list[tuple[int, int, int]]:
    """Return groups of residue classes of equal size: first class, last class + 1, size."""
    members, longer = divmod(time, stride)
    groups = [(0, longer, members + 1), (longer, stride, members)]
    return [(first, last, count) for first, last, count in groups if last > first]


def window_attention(
    query: Float[Tensor, "batch time heads head_dim"],
    key: Float[Tensor, "batch time heads head_dim"],
    values: Float[Tensor, "batch time heads head_dim"],
    valid: Bool[Tensor, "batch time"] | None,
    window: int,
    shared: tuple[Tensor, Tensor, Tensor | None] | None = None,
) -> Float[Tensor, "batch time heads head_dim"]:
    """Attend to the real frames at most ``window`` away, on either side.

    Args:
        query: queries.
        key: keys; the very same tensor as ``query`` saves a copy.
        values: what is averaged, zero at padding.
        valid: True at real frames; None if all are.
        window: how many frames a query sees on either side.
        shared: keys, values (batch, some, heads, head_dim) and mask (batch, some; None if all are real) of frames
            outside of this sequence that every query sees too.

    >>> x = torch.randn(1, 100, 2, 4)
    >>> window_attention(x, x, x, None, 3).shape
    torch.Size([1, 100, 2, 4])
    """
    batch, time = query.shape[:2]
    if valid is None:
        valid = query.new_ones(batch, time, dtype=torch.bool)
    # One tape holds the utterances one behind another, too far apart to see each other. So the overlapping stretches
    # of keys, one a block of queries, are views of it for any batch.
    window, block, length = _sizes(batch, time, window, shared is not None)
    tapes = [_tape(x, length, window) for x in (key, values, valid)]
    tape = tapes[0] if key is query else _tape(query, length, window)
    queries = tape[window : window + batch * length].unflatten(0, (-1, block))
    near_key, near_values, near_valid = (x.unfold(0, block + 2 * window, block).movedim(-1, 1) for x in tapes)
    places = torch.arange(block + 2 * window, device=valid.device)
    offset = places - window - places[:block, None]
    # A query may attend to itself even at padding, where its value is zero, so that its row is finite.
    allowed = (offset.abs() <= window) & (near_valid[:, None, :] | (offset == 0))
    if shared is not None:
        far_key, far_values = (x.repeat_interleave(length // block, 0) for x in shared[:2])
        near_key, near_values = torch.cat([far_key, near_key], 1), torch.cat([far_values, near_values], 1)
        far_valid = shared[0].new_ones(shared[0].shape[:2], dtype=torch.bool) if shared[2] is None else shared[2]
        far_valid = far_valid.repeat_interleave(length // block, 0)
        allowed = torch.cat([far_valid[:, None, :].expand(-1, block, -1), allowed], 2)
    output = attend(queries, near_key, near_values, allowed)
    return output.reshape(batch, length, *query.shape[2:])[:, :time]


def dilated_window_attention(
    query: Float[Tensor, "batch time heads head_dim"],
    key: Float[Tensor, "batch time heads head_dim"],
    values: Float[Tensor, "batch time heads head_dim"],
    valid: Bool[Tensor, "batch time"] | None,
    window: int,
    dilation: int,
    shared: tuple[Tensor, Tensor, Tensor | None] | None = None,
) -> Float[Tensor, "batch time heads head_dim"]:
    """Return `window_attention` over every ``dilation``-th frame, counted from each query's own."""
    batch, time = query.shape[:2]
    dilation = min(dilation, time)
    if dilation == 1:
        return window_attention(query, key, values, valid, window, shared)
    if valid is None:  # residue classes are padded to a common length
        valid = query.new_ones(batch, time, dtype=torch.bool)
    inputs = (by_residue(x, dilation).flatten(0, 1) for x in (query, key, values, valid))
    if shared is not None:
        far_key, far_values = (x.repeat_interleave(dilation, 0) for x in shared[:2])
        shared = far_key, far_values, None if shared[2] is None else shared[2].repeat_interleave(dilation, 0)
    output = window_attention(*inputs, window, shared)
    return output.unflatten(0, (batch, dilation)).transpose(1, 2).flatten(1, 2)[:, :time]


def window_flops(time: int, window: int, width: int, dilation: int = 1, shared: int = 0) -> int:
    """Return the operations of windows for one utterance, ``shared`` being how many frames all queries see too."""
    dilation = min(dilation, time)
    window, block, length = _sizes(dilation, -(-time // dilation), window, shared > 0)
    return attention_flops(dilation * length, block + 2 * window + shared, width)


def _sizes(batch: int, time: int, window: int, copied: bool) -> tuple[int, int, int]:
    """Return the window in use, the queries of a block, and the places of an utterance on the tape.

    Where stretches are copied, to add shared frames, blocks as long as both their margins make for fewer copies.
    """
    window = min(window, time - 1)
    block = min(max(BLOCK, 2 * window) if copied else BLOCK, time)
    return window, block, -(-(time + (window if batch > 1 else 0)) // block) * block


def _tape(x: Shaped[Tensor, "batch time *rest"], length: int, window: int) -> Shaped[Tensor, "places *rest"]:
    """Return utterances one behind another, ``length`` places each and ``window`` more at both ends, zero if unused."""
    edge = x.new_zeros(window, *x.shape[2:])
    gap = x.new_zeros(length - x.shape[1], *x.shape[2:])
    return torch.cat([edge, *(piece for utterance in x.unbind(0) for piece in (utterance, gap)), edge])


WINDOW = Pattern(
    allowed=lambda i, j, length: (i - j).abs() <= length,
    attend=window_attention,
    flops=window_flops,
    reach=lambda length: Reach(length, length),
)
