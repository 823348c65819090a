"""Linear maps of frames, and how they start."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

Start = Literal["normal", "identity"]


def projection(width_in: int, width_out: int) -> nn.Linear:
    """Return a linear map that starts as BERT's do: weights from N(0, 0.02), biases 0."""
    linear = nn.Linear(width_in, width_out)
    nn.init.normal_(linear.weight, std=0.02)
    nn.init.zeros_(linear.bias)
    return linear


def start_projection(linear: nn.Linear, start: Start, gain: float) -> None:
    """Initialise a query or key projection.

    ``normal`` keeps BERT's N(0, 0.02). ``identity`` adds the identity times ``gain``, so that a head compares its own
    slice of two frames and each frame first attends to itself and to frames like it ("mimetic" initialisation,
    Trockman and Kolter 2023).

    Raises:
        ValueError: for any other start.
    """
    if start not in ("normal", "identity"):
        raise ValueError(f"start must be 'normal' or 'identity', not {start!r}")
    if start == "identity":
        with torch.no_grad():
            linear.weight.add_(gain * torch.eye(*linear.weight.shape))


def split_heads(x: Float[Tensor, "batch time width"], heads: int) -> Float[Tensor, "batch heads time head_dim"]:
    """Return each head's slice of the width, as a view."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)
