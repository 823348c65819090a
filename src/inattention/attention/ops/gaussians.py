"""Weights that depend on j - i alone: a Gaussian of a learned offset and width for each head, on a uniform weight.

    w(i, j) = floor + exp(-((j - i - offset) / width)² / 2),    A(i, j) = w(i, j) / sum of w(i, .) over real keys

Any head may start at one of twelve Gaussians of different offsets and widths (`initial_gaussians`). The definition is
dense (`log_weights`). The fast way cuts each Gaussian where it falls under `CUT` of the uniform weight and adds a
banded product to the mean that the uniform weight takes (`make_banded` and `average_banded`).
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from inattention.attention.ops.banded import Bands, make_bands, multiply
from inattention.attention.ops.padding import tracing, zero_invalid

# Where a Gaussian is cut, as a part of the uniform weight: whichever frames are real, what is cut is at most that part
# of a row, since the uniform weight alone gives every real key a million times as much.
CUT = 1e-6

# (offset, width) in frames.
INITIAL = (
    *((0.0, 0.5), (1.0, 0.5), (-1.0, 0.5), (3.0, 1.0), (-3.0, 1.0), (6.0, 2.0), (-6.0, 2.0)),
    *((0.0, 2.0), (0.0, 4.0), (0.0, 8.0), (0.0, 16.0), (0.0, 64.0)),
)


class BandedGaussians(NamedTuple):
    """Gaussians of one input length, cut to bands.

    Attributes:
        bands: the Gaussians.
        mass: what each row's weights sum to where all frames are real.
    """

    bands: Bands
    mass: Float[Tensor, "heads time 1"]


def initial_gaussians(heads: int) -> list[tuple[float, float]]:
    """Return the (offset, width) at which each head starts.

    Heads take `INITIAL` in order; each further round of twelve takes them at twice the scale of the one before.

    >>> initial_gaussians(14)[11:]
    [(0.0, 64.0), (0.0, 1.0), (2.0, 1.0)]
    """
    scaled = ((INITIAL[head % len(INITIAL)], 2 ** (head // len(INITIAL))) for head in range(heads))
    return [(offset * scale, width * scale) for (offset, width), scale in scaled]


def initial_caption(head: int) -> str:
    """Return a head's initial offset and width as a caption.

    >>> initial_caption(1)
    '1 ± 0.5'
    """
    offset, width = INITIAL[head]
    return f"{offset:g} ± {width:g}".replace("-", "\N{MINUS SIGN}")


def gaussians(
    offset: Float[Tensor, " heads"], width: Float[Tensor, " heads"], lowest: int, highest: int
) -> Float[Tensor, "heads offsets"]:
    """Return each head's Gaussian, of height 1, for every j - i from ``lowest`` to ``highest``."""
    offsets = torch.arange(lowest, highest + 1, device=offset.device, dtype=offset.dtype)
    return torch.exp(-(((offsets - offset[:, None]) / width[:, None]) ** 2) / 2)


def toeplitz_matrices(rows: Float[Tensor, "heads offsets"], time: int) -> Float[Tensor, "heads time time"]:
    """Return the Toeplitz matrices with one given number for each j - i, from 1 - time to time - 1.

    >>> toeplitz_matrices(torch.tensor([[-1, 0, 1]]).float(), 2).tolist()
    [[[0.0, 1.0], [-1.0, 0.0]]]
    """
    if tracing():  # unfold takes no symbolic length
        frames = torch.arange(time, device=rows.device)
        return rows[:, frames - frames[:, None] + time - 1]
    return rows.unfold(1, time, 1).flip(1)


def log_weights(
    offset: Float[Tensor, " heads"], width: Float[Tensor, " heads"], floor: float, time: int
) -> Float[Tensor, "heads time time"]:
    """Return log w: the logarithm of the weights, before rows are scaled to sum to 1."""
    return toeplitz_matrices((floor + gaussians(offset, width, 1 - time, time - 1)).log(), time)


def band_limits(offset: float, width: float, floor: float, time: int) -> tuple[int, int]:
    """Return the lowest and the highest j - i at which a Gaussian counts, among ``time`` frames; (0, -1) for none.

    >>> band_limits(3.0, 1.0, floor=1e-5, time=500)
    (-4, 10)
    """
    reach = width * math.sqrt(-2 * math.log(CUT * floor))
    low, high = max(math.ceil(offset - reach), 1 - time), min(math.floor(offset + reach), time - 1)
    return (low, high) if low <= high else (0, -1)


def make_banded(
    offset: Float[Tensor, " heads"], width: Float[Tensor, " heads"], floor: float, time: int, dtype: torch.dtype
) -> BandedGaussians:
    """Cut the Gaussians to bands for inputs of ``time`` frames. It reads offsets and widths on the host."""
    limits = tuple(
        band_limits(*gaussian, floor, time) for gaussian in zip(offset.tolist(), width.tolist(), strict=True)
    )
    lowest, highest = min(low for low, _ in limits), max(high for _, high in limits)
    bands = make_bands(gaussians(offset, width, lowest, highest).to(dtype), lowest, limits)
    return BandedGaussians(bands, _mass(bands, floor, torch.ones(time, 1, dtype=dtype, device=offset.device)))


def average_banded(
    banded: BandedGaussians,
    floor: float,
    values: Float[Tensor, "batch heads time head_dim"],
    valid: Bool[Tensor, "batch time"] | None,
) -> Float[Tensor, "batch heads time head_dim"]:
    """Return the averages of values, in the type of the bands; at padding they are finite."""
    bands, mass = banded
    dtype = bands.taps.dtype
    # Utterances stand side by side in the columns: they share the bands.
    columns = zero_invalid(values, valid).to(dtype).permute(1, 2, 0, 3).flatten(2)
    if valid is not None:
        mass = _mass(bands, floor, valid.t().to(dtype).contiguous())
    # In place, as fresh memory is what such short passes over the output mostly cost.
    sums = multiply(bands, columns).add_(floor * columns.sum(1, keepdim=True))
    output = sums.unflatten(2, (values.shape[0], -1)).div_(mass[..., None])
    return output.permute(2, 0, 1, 3)


def _mass(bands: Bands, floor: float, real: Float[Tensor, "time batch"]) -> Float[Tensor, "heads time batch"]:
    """Return what a row's weights sum to; that of an empty utterance does not matter, but must not be 0."""
    return multiply(bands, real.expand(len(bands.limits), -1, -1)) + floor * real.sum(0).clamp(min=1)
