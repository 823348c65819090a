"""Attention under autocast: what stays in float32 (logits, softmax, sums over time), and PyTorch's fused kernel.

Autocast rounds the result of each matrix product to 8 significant bits: a logit of 20 by up to .06, its weight by 6 per
cent. A sum of ones stops growing at 256 frames. So what a softmax or a division follows is computed in float32 at
least, under autocast too; products with values may be rounded, as they are in any layer.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def wide(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return ``x`` in float32 at least; ``x`` itself if it is.

    >>> wide(torch.zeros(1, dtype=torch.bfloat16)).dtype, wide(torch.zeros(1, dtype=torch.float64)).dtype
    (torch.float32, torch.float64)
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))


def unrounded(x: Tensor) -> AbstractContextManager:
    """Return a context in which autocast does not round products on the device of ``x``."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


def products(
    query: Float[Tensor, "*batch queries size"], key: Float[Tensor, "*batch keys size"]
) -> Float[Tensor, "*batch queries keys"]:
    """Return the inner products of all queries with all keys, in float32 at least, under autocast too.

    >>> products(torch.ones(2, 3), torch.ones(1, 3)).tolist()
    [[3.0], [3.0]]
    """
    with unrounded(query):
        return wide(query) @ wide(key).transpose(-1, -2)


def scaled_dot_product(
    query: Float[Tensor, "batch heads queries head_dim"],
    key: Float[Tensor, "batch heads keys head_dim"],
    values: Float[Tensor, "batch heads keys head_dim"],
    mask: Bool[Tensor, "#batch #heads queries keys"] | Float[Tensor, "#batch #heads queries keys"] | None = None,
) -> Float[Tensor, "batch heads queries head_dim"]:
    """Return PyTorch's fused attention, which keeps logits and softmax in float32.

    On CPU, its backward pass in bfloat16 takes 2 to 8 times as long as in float32 for up to some hundred frames (heads
    of 16 to 64 features), and about as long for 512 frames and heads of 64. So training on CPU computes it in float32.

    Args:
        query: queries.
        key: keys.
        values: what is averaged.
        mask: True where a query may attend to a key, or numbers that are added to the logits; None for neither.
    """
    reduced = query.dtype.itemsize < 4 or torch.is_autocast_enabled(query.device.type)
    if not (reduced and query.device.type == "cpu" and torch.is_grad_enabled()):
        added = mask if mask is None or mask.dtype == torch.bool else mask.to(query.dtype)
        return F.scaled_dot_product_attention(query, key, values, attn_mask=added)
    with unrounded(query):
        added = mask if mask is None or mask.dtype == torch.bool else wide(mask)
        output = F.scaled_dot_product_attention(wide(query), wide(key), wide(values), attn_mask=added)
        return output.to(values.dtype)


def fused_attention(
    query: Float[Tensor, "batch heads time head_dim"],
    key: Float[Tensor, "batch heads time head_dim"],
    values: Float[Tensor, "batch heads time head_dim"],
    valid: Bool[Tensor, "batch time"] | None,
    bias: Float[Tensor, "heads time time"] | None = None,
) -> Float[Tensor, "batch heads time head_dim"]:
    """Return ``softmax(query key' / sqrt(head_dim) + bias) values`` over real keys; at padding the output is finite.

    No (time, time) tensor is formed but the bias.
    """
    added = None if bias is None else bias[None]
    if valid is None:
        return scaled_dot_product(query, key, values, added)
    # A row without any real key would be NaN; it may attend to all frames, whose values are zero.
    allowed = (valid | ~valid.any(-1, keepdim=True))[:, None, None, :]
    expanded = allowed.expand(-1, -1, query.shape[2], -1)
    mask = expanded if added is None else added.masked_fill(~allowed, float("-inf"))
    return scaled_dot_product(query, key, torch.where(valid[:, None, :, None], values, 0.0), mask)
