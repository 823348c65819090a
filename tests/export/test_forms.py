"""Dense, band and fft compute the same sums at every length."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from inattention.attention.ops.toeplitz_band import Band, band_of
from inattention.export.forms import BandForm, DenseForm, FftForm, MapForm, transform_length
from inattention.export.taps import as_numpy

LONGEST = 150
LENGTHS = (1, 2, 31, 32, 33, 64, 149, LONGEST)


def taps(heads: int = 3) -> Tensor:
    """Return weights that fall off from a place of its own in each head."""
    offsets = torch.arange(1 - LONGEST, LONGEST).double()
    centre, width = torch.tensor([0.0, -4.0, 9.0])[:heads, None], torch.tensor([1.0, 3.0, 2.0])[:heads, None]
    return 1e-5 + torch.exp(-(((offsets - centre) / width) ** 2) / 2)


def bands(weights: Tensor) -> BandForm:
    return BandForm(weights, [band_of(head, 1e-9) for head in as_numpy(weights)])


@pytest.mark.parametrize("make", [DenseForm, bands, FftForm])
@pytest.mark.parametrize("time", LENGTHS)
def test_a_form_is_a_product_with_toeplitz_matrices(make: Callable[[Tensor], nn.Module], time: int) -> None:
    weights, frames = taps(), torch.arange(time)
    matrices = weights[:, frames - frames[:, None] + LONGEST - 1]
    x = torch.randn(2, 3, time, 4, generator=torch.Generator().manual_seed(time))
    form = make(weights)
    got = form(x, form.prepare(time))  # ty: ignore[not-callable]
    torch.testing.assert_close(got, (matrices @ x.double()).float(), atol=1e-5, rtol=1e-5)


def test_maps_are_cropped() -> None:
    maps = torch.rand(2, 10, 10)
    x = torch.randn(1, 2, 10, 4)
    form = MapForm(maps)
    for time in (1, 6, 10):
        expected = maps[:, :time, :time] @ x[:, :, :time]
        torch.testing.assert_close(form(x[:, :, :time], form.prepare(time)), expected)


def test_a_band_beside_the_diagonal_has_empty_rows() -> None:
    offsets = torch.arange(1 - LONGEST, LONGEST)
    weights = ((offsets >= 5) & (offsets <= 7)).double()[None]
    form = BandForm(weights, [Band(5, 7, level=0.0, outside=0.0)])
    got = form(torch.ones(1, 1, 12, 1))[0, 0, :, 0]
    assert got.tolist() == [3, 3, 3, 3, 3, 2, 1, 0, 0, 0, 0, 0]


def test_transforms_have_a_place_for_every_offset() -> None:
    assert [transform_length(longest) for longest in (1, 2, 3, 1024, 1025)] == [2, 4, 8, 2048, 4096]
