"""The form of each head: dense, band or fft, whichever costs least on this machine, and the heads that share a band."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from inattention.attention.ops.toeplitz_band import Band, band_of, least_mass
from inattention.export.config import ExportError, Form
from inattention.export.costs import Costs
from inattention.export.forms import BandForm, DenseForm, FftForm
from inattention.export.mixing import Part
from inattention.export.taps import as_numpy

# A transform's error in float64, relative to all taps of a head together, and how small it must be beside a row.
_TRANSFORM_ERROR = 1e-15
_WANTED_ERROR = 1e-5


@dataclass(frozen=True)
class HeadForm:
    """The form of one head.

    Attributes:
        form: dense, band or fft.
        band: the band; None for other forms.
    """

    form: str
    band: Band | None = None


def choose_forms(
    taps: Float[np.ndarray, "heads offsets"], costs: Costs | None, form: Form, bound: float
) -> list[HeadForm]:
    """Return the form of each head.

    Args:
        taps: weights for each j - i, in float64.
        costs: measured times; only needed to choose.
        form: the form of all heads, or auto to choose.
        bound: greatest part of a row that a band may leave out.

    Raises:
        ExportError: if transforms would lose the small rows of a head.
    """
    found = []
    for head, weights in enumerate(taps):
        if form == "fft" and not _transforms(weights):
            raise ExportError(
                f"form fft: head {head} has rows that are small beside the largest weights of the head, and a "
                "transform would lose their digits; use auto, band or dense"
            )
        band = band_of(weights, bound) if form in ("auto", "band") else None
        if form != "auto":
            found.append(HeadForm(form, band))
            continue
        assert costs is not None
        assert band is not None
        times = {"band": costs.band(band.reach), "dense": costs.dense}
        if _transforms(weights):
            times["fft"] = costs.fft
        best = min(times, key=lambda name: times[name])
        found.append(HeadForm(best, band if best == "band" else None))
    return found


def parts_of(taps: Float[Tensor, "heads offsets"], forms: Sequence[HeadForm], costs: Costs | None) -> list[Part]:
    """Return the heads of each form, with bands of similar width joined where that costs less."""
    parts = []
    for name, make in (("dense", DenseForm), ("fft", FftForm)):
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
    taps: Float[Tensor, "heads offsets"], costs: Costs | None, form: Form, bound: float
) -> tuple[list[Part], list[HeadForm]]:
    """Return the parts of a mechanism's Toeplitz heads, and the form of each head.

    Raises:
        ExportError: if the form does not suit a head.
    """
    forms = choose_forms(as_numpy(taps), costs, form, bound)
    return parts_of(torch.as_tensor(taps), forms, costs), forms
