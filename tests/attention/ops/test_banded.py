"""Products with banded Toeplitz matrices: against dense ones, with gradients, at every alignment of blocks."""

import pytest
import torch
from torch import Tensor

from inattention.attention.ops.banded import make_bands, multiply, multiply_flops

LIMITS = ((0, 0), (-3, 2), (4, 9), (-9, -4), (-40, 70), (0, -1), (-200, 300))


def dense(taps: Tensor, lowest: int, limits: tuple[tuple[int, int], ...], time: int) -> Tensor:
    offsets = torch.arange(time) - torch.arange(time)[:, None]
    maps = taps[:, (offsets - lowest).clamp(0, taps.shape[1] - 1)]
    return torch.stack(
        [m * ((low <= offsets) & (offsets <= high)) for m, (low, high) in zip(maps, limits, strict=True)]
    )


def draw(time: int, columns: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(time)
    taps = torch.randn(len(LIMITS), 501, generator=generator, dtype=torch.float64)
    return taps, torch.randn(len(LIMITS), time, columns, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("time", [1, 2, 31, 32, 33, 64, 100, 257, 700])
def test_product_and_gradients_are_those_of_the_dense_matrix(time: int) -> None:
    taps, x = draw(time)
    wanted = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    results = []
    for banded in (True, False):
        taps_, x_ = taps.clone().requires_grad_(), x.clone().requires_grad_()
        bands = make_bands(taps_, -200, LIMITS)
        output = multiply(bands, x_) if banded else dense(taps_, -200, LIMITS, time) @ x_
        output.mul(wanted).sum().backward()
        results.append((output.detach(), x_.grad, taps_.grad))
    for got, true in zip(*results, strict=True):
        torch.testing.assert_close(got, true, rtol=1e-10, atol=1e-10)


def test_columns_of_a_view_are_taken_as_they_stand() -> None:
    taps, x = draw(100, columns=8)
    interleaved = x.transpose(0, 1).contiguous().transpose(0, 1)
    bands = make_bands(taps, -200, LIMITS)
    assert torch.equal(multiply(bands, interleaved), multiply(bands, x))
    one_for_all = x[:1].expand(len(LIMITS), -1, -1)
    torch.testing.assert_close(multiply(bands, one_for_all), dense(taps, -200, LIMITS, 100) @ one_for_all)


def test_cost_grows_linearly_with_time_for_a_given_band() -> None:
    limits = ((-4, 4), (-455, 455))
    assert multiply_flops(16_000, limits, 64) / multiply_flops(8_000, limits, 64) == pytest.approx(2, rel=0.06)
