"""Weights over j - i: the taps of a head."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from inattention.attention import AttentionMechanism
from inattention.attention.mechanisms.toeplitz import Toeplitz
from inattention.attention.mechanisms.toeplitz_convolution import ToeplitzConvolution
from inattention.attention.mechanisms.toeplitz_free import ToeplitzFree
from inattention.attention.ops.gaussians import gaussians


def taps_of(mechanism: AttentionMechanism, longest: int) -> Float[Tensor, "heads offsets"] | None:
    """Return the weights of the heads that depend on j - i alone, the first ones, each with a maximum of 1.

    Args:
        mechanism: a mechanism.
        longest: greatest number of frames of the input.

    Returns:
        In float64, for each j - i from 1 - longest to longest - 1; None if there are no such heads.
    """
    if isinstance(mechanism, Toeplitz) and mechanism.form == "table":
        middle = mechanism.table.shape[1] // 2
        table = mechanism.table.detach().double()[:, middle + 1 - longest : middle + longest]
        return (table - table.amax(1, keepdim=True)).exp()
    if not isinstance(mechanism, Toeplitz | ToeplitzConvolution | ToeplitzFree):
        return None
    offset, width = mechanism.offset.detach().double(), mechanism.log_width.detach().double().exp()
    weights = mechanism.floor + gaussians(offset, width, 1 - longest, longest - 1)
    return weights / weights.amax(1, keepdim=True)


def as_numpy(taps: Float[Tensor, "heads offsets"]) -> Float[np.ndarray, "heads offsets"]:
    """Return taps as an array in float64."""
    return taps.to(torch.float64).cpu().numpy()
