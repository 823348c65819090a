"""Attention to nearby steps, and to steps at multiples of a stride, by fused attention on many small pieces.

Shapes here are (batch, time, heads, head_dim), as projections leave them: what is cut out of time is then mostly a
view, `scaled_dot_product_attention` takes views, and no (time, time) tensor is ever formed. Values of invalid steps
must have been zeroed; invalid queries come out finite.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

# Queries that share one stretch of keys. Longer blocks waste products outside the band, shorter ones waste calls; 32
# was the fastest on CPU for windows of 8 to 512 steps.
BLOCK = 32


def attend(
    query: Float[Tensor, "batch queries heads head_dim"],
    key: Float[Tensor, "batch keys heads head_dim"],
    values: Float[Tensor, "batch keys heads head_dim"],
    allowed: Bool[Tensor, "batch #queries keys"],
) -> Float[Tensor, "batch queries heads head_dim"]:
    """PyTorch's fused attention over the allowed keys; a query that is allowed none averages all of them.

    >>> x = torch.randn(2, 5, 1, 4)
    >>> attend(x, x[:, :3], x[:, :3], torch.ones(2, 1, 3, dtype=torch.bool)).shape
    torch.Size([2, 5, 1, 4])
    """
    query, key, values = query.transpose(1, 2), key.transpose(1, 2), values.transpose(1, 2)
    mask = None
    if not bool(allowed.all()):
        mask = (allowed | ~allowed.any(-1, keepdim=True))[:, None].expand(-1, -1, query.shape[2], -1)
    return F.scaled_dot_product_attention(query, key, values, attn_mask=mask).transpose(1, 2)


def attention_flops(queries: int, keys: int, width: int) -> int:
    """Count the two products of attention: queries with keys, weights with values."""
    return 4 * queries * keys * width


def by_residue(x: Shaped[Tensor, "batch time *rest"], stride: int) -> Shaped[Tensor, "batch stride members *rest"]:
    """Put together the steps of each residue class, filled up with zeros (False) to a common number.

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
    valid: Bool[Tensor, "batch time"],
    stride: int,
) -> Float[Tensor, "batch time heads head_dim"]:
    """Attend to valid steps at multiples of ``stride`` from one's own: some time / stride keys a query."""
    batch, time = valid.shape
    stride = min(stride, time)
    queries, near_values, near_valid = (by_residue(x, stride) for x in (query, values, valid))
    keys = queries if key is query else by_residue(key, stride)
    parts = []
    # The first classes may have one member more than the rest; apart from each other, neither needs a mask.
    for first, last, members in _residue_groups(time, stride):
        part = attend(
            queries[:, first:last].flatten(0, 1),
            keys[:, first:last, :members].flatten(0, 1),
            near_values[:, first:last, :members].flatten(0, 1),
            near_valid[:, first:last, None, :members].flatten(0, 1),
        )
        parts.append(part.unflatten(0, (batch, -1)).transpose(1, 2))
    return torch.cat(parts, 2).flatten(1, 2)[:, :time]


def residue_flops(time: int, stride: int, width: int) -> int:
    """Count `residue_attention` for one utterance, ``width`` being that of all its heads."""
    stride = min(stride, time)
    most = -(-time // stride)
    return sum(
        attention_flops((last - first) * most, members, width) for first, last, members in _residue_groups(time, stride)
    )


def _residue_groups(time: int, stride: int) -> list[tuple[int, int, int]]:
    """Residue classes with equally many members: first class, last class + 1, members."""
    members, longer = divmod(time, stride)
    groups = [(0, longer, members + 1), (longer, stride, members)]
    return [(first, last, count) for first, last, count in groups if last > first]


def window_attention(
    query: Float[Tensor, "batch time heads head_dim"],
    key: Float[Tensor, "batch time heads head_dim"],
    values: Float[Tensor, "batch time heads head_dim"],
    valid: Bool[Tensor, "batch time"],
    window: int,
    everywhere: tuple[Tensor, Tensor, Tensor] | None = None,
) -> Float[Tensor, "batch time heads head_dim"]:
    """Attend to the valid steps at most ``window`` away, on either side.

    Args:
        query: queries.
        key: keys; the very same tensor as ``query`` saves a copy.
        values: what is averaged, zero at invalid steps.
        valid: True where a step is real.
        window: how far a step sees.
        everywhere: keys, values (batch, some, heads, head_dim) and validity (batch, some) of steps outside this
            sequence that every query sees besides.

    >>> x = torch.randn(1, 100, 2, 4)
    >>> window_attention(x, x, x, torch.ones(1, 100, dtype=torch.bool), 3).shape
    torch.Size([1, 100, 2, 4])
    """
    batch, time = valid.shape
    # One tape holds the utterances one behind another, too far apart to see each other. So the overlapping stretches
    # of keys, one a block of queries, are views of it for any batch.
    window, block, length = _sizes(batch, time, window, everywhere is not None)
    tapes = [_tape(x, length, window) for x in (key, values, valid)]
    tape = tapes[0] if key is query else _tape(query, length, window)
    queries = tape[window : window + batch * length].unflatten(0, (-1, block))
    near_key, near_values, near_valid = (x.unfold(0, block + 2 * window, block).movedim(-1, 1) for x in tapes)
    steps = torch.arange(block + 2 * window, device=valid.device)
    offset = steps - window - steps[:block, None]
    # Any query may look at itself: where it is invalid, its value is zero, and its row is finite.
    allowed = (offset.abs() <= window) & (near_valid[:, None, :] | (offset == 0))
    if everywhere is not None:
        far_key, far_values, far_valid = (x.repeat_interleave(length // block, 0) for x in everywhere)
        near_key, near_values = torch.cat([far_key, near_key], 1), torch.cat([far_values, near_values], 1)
        allowed = torch.cat([far_valid[:, None, :].expand(-1, block, -1), allowed], 2)
    output = attend(queries, near_key, near_values, allowed)
    return output.reshape(batch, length, *query.shape[2:])[:, :time]


def dilated_window_attention(
    query: Float[Tensor, "batch time heads head_dim"],
    key: Float[Tensor, "batch time heads head_dim"],
    values: Float[Tensor, "batch time heads head_dim"],
    valid: Bool[Tensor, "batch time"],
    window: int,
    dilation: int,
    everywhere: tuple[Tensor, Tensor, Tensor] | None = None,
) -> Float[Tensor, "batch time heads head_dim"]:
    """Give `window_attention` where only every ``dilation``-th step counts, from any query's own on."""
    batch, time = valid.shape
    dilation = min(dilation, time)
    if dilation == 1:
        return window_attention(query, key, values, valid, window, everywhere)
    inputs = (by_residue(x, dilation).flatten(0, 1) for x in (query, key, values, valid))
    if everywhere is not None:
        far_key, far_values, far_valid = (x.repeat_interleave(dilation, 0) for x in everywhere)
        everywhere = far_key, far_values, far_valid
    output = window_attention(*inputs, window, everywhere)
    return output.unflatten(0, (batch, dilation)).transpose(1, 2).flatten(1, 2)[:, :time]


def window_flops(time: int, window: int, width: int, dilation: int = 1, everywhere: int = 0) -> int:
    """Count windows for one utterance, ``width`` being that of all its heads, ``everywhere`` the steps that all see."""
    dilation = min(dilation, time)
    window, block, length = _sizes(dilation, -(-time // dilation), window, everywhere > 0)
    return attention_flops(dilation * length, block + 2 * window + everywhere, width)


def _sizes(batch: int, time: int, window: int, copied: bool) -> tuple[int, int, int]:
    """What is used of the window, the queries of a block, and the places of an utterance on the tape.

    Where stretches are copied, to add steps to them, blocks as long as what they see besides make for fewer copies.
    """
    window = min(window, time - 1)
    block = min(max(BLOCK, 2 * window) if copied else BLOCK, time)
    return window, block, -(-(time + (window if batch > 1 else 0)) // block) * block


def _tape(x: Shaped[Tensor, "batch time *rest"], length: int, window: int) -> Shaped[Tensor, "places *rest"]:
    """Lay utterances one behind another, ``length`` places for each and ``window`` more at both ends, zero if empty."""
    edge = x.new_zeros(window, *x.shape[2:])
    gap = x.new_zeros(length - x.shape[1], *x.shape[2:])
    return torch.cat([edge, *(piece for utterance in x.unbind(0) for piece in (utterance, gap)), edge])
