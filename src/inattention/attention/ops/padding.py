"""Padding masks. `valid` is True at real frames; None stands for "all frames are real" and costs nothing.

Whether a mask is needed is decided once per forward pass, by `mask_or_none` at the encoder's entrance. Mechanisms only
ask ``valid is None``: they never read a mask's contents on the host, which would stall an accelerator and break a
traced graph.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from inattention.attention.ops.precision import wide


def tracing() -> bool:
    """Return whether `torch.compile`, `torch.export` or `torch.jit.trace` is recording: tensors have no contents then.

    >>> tracing()
    False
    """
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def mask_or_none(valid: Bool[Tensor, "batch time"] | None) -> Bool[Tensor, "batch time"] | None:
    """Return None in place of a mask that is True everywhere, at the price of reading it once.

    A mask is kept as it is while `tracing`, since the graph must serve other masks too.

    >>> mask_or_none(torch.ones(1, 2, dtype=torch.bool)) is None
    True
    """
    if valid is None or tracing() or not bool(valid.all()):
        return valid
    return None


def full_mask(
    valid: Bool[Tensor, "batch time"] | None, hidden: Float[Tensor, "batch time width"]
) -> Bool[Tensor, "batch time"]:
    """Return the mask itself or, in place of None, one that is True everywhere."""
    return torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device) if valid is None else valid


def zero_invalid(
    x: Float[Tensor, "batch *rest"], valid: Bool[Tensor, "batch time"] | None
) -> Float[Tensor, "batch *rest"]:
    """Return ``x`` with zeros at padding, whatever stands there: a product with the mask would keep NaN.

    Args:
        x: (batch, time, width) or, for values, (batch, heads, time, head_dim).
        valid: True at real frames; None if all are.

    >>> x = torch.tensor([[[1.0], [float("nan")]]])
    >>> zero_invalid(x, torch.tensor([[True, False]])).flatten().tolist()
    [1.0, 0.0]
    """
    if valid is None:
        return x
    frames = valid[:, :, None] if x.ndim == 3 else valid[:, None, :, None]
    return torch.where(frames, x, 0.0)


def masked_softmax(
    scores: Float[Tensor, "*batch queries keys"], allowed: Bool[Tensor, "*#batch #queries keys"]
) -> Float[Tensor, "*batch queries keys"]:
    """Return the softmax over the allowed keys, in float32 at least.

    A row without any allowed key is all zeros, and so is its gradient.

    >>> masked_softmax(torch.zeros(1, 2), torch.tensor([[True, False]])).tolist()
    [[1.0, 0.0]]
    """
    some = allowed.any(-1, keepdim=True)
    scores = torch.where(allowed | ~some, wide(scores), float("-inf"))
    return torch.where(allowed, scores.softmax(-1), 0.0)


def softmax_over_valid(
    scores: Float[Tensor, "batch heads queries time"], valid: Bool[Tensor, "batch time"] | None
) -> Float[Tensor, "batch heads queries time"]:
    """Return the softmax over real keys: `masked_softmax` with the padding mask."""
    return wide(scores).softmax(-1) if valid is None else masked_softmax(scores, valid[:, None, None, :])
