"""Valid and invalid steps: the few operations on them that mechanisms share."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


def zero_invalid(x: Float[Tensor, "batch *rest"], valid: Bool[Tensor, "batch time"]) -> Float[Tensor, "batch *rest"]:
    """Put zero where a step is invalid, whatever stands there: multiplying would keep NaN.

    Args:
        x: (batch, time, ...) or, as values are, (batch, heads, time, head_dim).
        valid: True where a step is real.

    >>> x = torch.tensor([[[1.0], [float("nan")]]])
    >>> zero_invalid(x, torch.tensor([[True, False]])).flatten().tolist()
    [1.0, 0.0]
    """
    if bool(valid.all()):
        return x
    steps = valid[:, :, None] if x.ndim == 3 else valid[:, None, :, None]
    return torch.where(steps, x, 0.0)


def masked_softmax(
    scores: Float[Tensor, "*batch queries keys"], allowed: Bool[Tensor, "*batch queries keys"]
) -> Float[Tensor, "*batch queries keys"]:
    """Softmax over the allowed keys; a row with none is all zeros, and its gradient is zero.

    >>> masked_softmax(torch.zeros(1, 2), torch.tensor([[True, False]])).tolist()
    [[1.0, 0.0]]
    """
    some = allowed.any(-1, keepdim=True)
    scores = torch.where(allowed | ~some, scores, float("-inf"))
    return torch.where(allowed, scores.softmax(-1), 0.0)


def split_heads(x: Float[Tensor, "batch time width"], heads: int) -> Float[Tensor, "batch heads time head_dim"]:
    """Give each head its slice of the width, as a view."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def projection(width_in: int, width_out: int) -> nn.Linear:
    """Make a linear map started as BERT's are: weights from N(0, 0.02), biases 0."""
    linear = nn.Linear(width_in, width_out)
    nn.init.normal_(linear.weight, std=0.02)
    nn.init.zeros_(linear.bias)
    return linear
