"""The form of each head, whichever costs least on this machine, and the heads that share a band."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from inattention.attention import AttentionMechanism
from inattention.attention.mechanisms.toeplitz import Toeplitz
from inattention.attention.mechanisms.toeplitz_convolution import ToeplitzConvolution
from inattention.attention.mechanisms.toeplitz_free import ToeplitzFree
from inattention.attention.ops.gaussians import gaussians
from inattention.attention.ops.toeplitz_band import Band, band_of, least_mass
from inattention.export.config import ExportError, Form
from inattention.export.costs import Costs
from inattention.export.forms import BandForm, DenseForm, FftForm
from inattention.export.mixing import Part
from inattention.export.two_level import TwoLevelForm, moved_mass

# A transform's error in float64, relative to all taps of a head together, and how small it must be beside a row.
_TRANSFORM_ERROR = 1e-15
_WANTED_ERROR = 1e-5
# Two levels are chosen unasked while they change at most this share of a row, in the mean over rows. In converted
# Whispers it was up to .12, with a relative error of hidden states of 4e-3 (int8 alone: .04).
_MOST_MOVED = 0.15


@dataclass(frozen=True)
class HeadForm:
    """The form of one head.

    Attributes:
        form: dense, band, fft or two-level.
        band: the band; None for other forms.
        moved: share of a row that two levels change, the mean over rows; 0 for other forms.
    """

    form: str
    band: Band | None = None
    moved: float = 0.0


def choose_forms(
    taps: Float[np.ndarray, "heads offsets"],
    costs: Costs | None,
    form: Form,
    bound: float,
    *,
    exact: bool = True,
    uses: int = 1,
) -> list[HeadForm]:
    """Return the form of each head.

    Args:
        taps: weights for each j - i, in float64.
        costs: measured times; only needed to choose.
        form: the form of all heads, or auto to choose.
        bound: greatest part of a row that a band may leave out.
        exact: choose among forms that compute the same sums; otherwise two-level is one of them.
        uses: number of layers that share the mechanism.

    Raises:
        ExportError: if transforms would lose the small rows of a head.
    """
    if form == "fft":
        for head, weights in enumerate(taps):
            if not _transforms(weights):
                raise ExportError(
                    f"form fft: head {head} has rows that are small beside the largest weights of the head, and a "
                    "transform would lose their digits; use auto, band or dense"
                )
    if form in ("dense", "fft"):
        return [HeadForm(form)] * len(taps)
    if form == "two-level":
        return [HeadForm(form, moved=moved_mass(weights)) for weights in taps]
    if form in ("band", "limited"):
        return [HeadForm("band", band_of(weights, bound, uniform=form == "band")) for weights in taps]
    assert costs is not None
    return [_fastest(weights, costs, bound, exact, uses) for weights in taps]


def _fastest(weights: Float[np.ndarray, " offsets"], costs: Costs, bound: float, exact: bool, uses: int) -> HeadForm:
    """Return the form of a head that takes least time."""
    band = band_of(weights, bound)
    times = {"band": costs.band(band.reach) - costs.call, "dense": costs.dense + costs.matrix / uses}
    if _transforms(weights):
        times["fft"] = costs.fft
    best = min(times, key=lambda name: times[name])
    if not exact and costs.two_level < times[best] and (moved := moved_mass(weights)) <= _MOST_MOVED:
        return HeadForm("two-level", moved=moved)
    return HeadForm(best, band if best == "band" else None)


def parts_of(taps: Float[Tensor, "heads offsets"], forms: Sequence[HeadForm], costs: Costs | None) -> list[Part]:
    """Return the heads of each form, with bands of similar width joined where that costs less."""
    parts = []
    for name, make in (("dense", DenseForm), ("fft", FftForm), ("two-level", TwoLevelForm)):
        heads = tuple(head for head, it in enumerate(forms) if it.form == name)
        if heads:
            parts.append(Part(heads, make(taps[list(heads)])))
    bands = {head: it.band for head, it in enumerate(forms) if it.band is not None}
    shared = _groups(bands, costs)
    return parts + [Part(heads, BandForm(taps[list(heads)], [bands[head] for head in heads])) for heads in shared]


def _groups(bands: dict[int, Band], costs: Costs | None) -> list[tuple[int, ...]]:
    """Return heads that share the limits of a band."""
    groups: list[tuple[int, ...]] = [(head,) for head in sorted(bands, key=lambda head: bands[head].reach)]
    merged = True
    while merged and len(groups) > 1:
        merged = False
        for place in range(len(groups) - 1):
            one, other = groups[place : place + 2]
            if _time((*one, *other), bands, costs) <= _time(one, bands, costs) + _time(other, bands, costs):
                groups[place : place + 2] = [tuple(sorted((*one, *other)))]
                merged = True
                break
    return groups


def _time(heads: Sequence[int], bands: dict[int, Band], costs: Costs | None) -> float:
    """Return the time of heads with common limits; without measured costs, the number of keys and a call's."""
    reach = max(bands[head].high for head in heads) - min(bands[head].low for head in heads) + 1
    if costs is None:
        return 64.0 + len(heads) * reach
    return costs.call + len(heads) * max(costs.band(reach) - costs.call, 0.0)


def _transforms(weights: np.ndarray) -> bool:
    """Return whether the smallest row of a head keeps its digits in a transform."""
    return _TRANSFORM_ERROR * float(np.linalg.norm(weights)) < _WANTED_ERROR * least_mass(weights)


def toeplitz_parts(
    taps: Float[Tensor, "heads offsets"],
    costs: Costs | None,
    form: Form,
    bound: float,
    *,
    exact: bool = True,
    uses: int = 1,
) -> tuple[list[Part], list[HeadForm]]:
    """Return the parts of a mechanism's Toeplitz heads, and the form of each head.

    Raises:
        ExportError: if the form does not suit a head.
    """
    forms = choose_forms(as_numpy(taps), costs, form, bound, exact=exact, uses=uses)
    return parts_of(torch.as_tensor(taps), forms, costs), forms


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
