"""Two levels: near frames have their weights, far ones the mean weight of their block."""

import pytest
import torch
from torch import Tensor

from inattention.export.two_level import BLOCK, QUERIES, REACH, TwoLevelForm, block_weights, moved_mass


def table(longest: int, *, noise: float = 1.0) -> Tensor:
    """Return weights of a narrow and a broad head, with noise that no block has."""
    offsets = torch.arange(1 - longest, longest).double()
    widths = torch.tensor([3.0, 200.0], dtype=torch.float64)[:, None]
    random = torch.rand(2, 2 * longest - 1, generator=torch.Generator().manual_seed(longest), dtype=torch.float64)
    return torch.exp(-((offsets / widths) ** 2) / 2) * (1 + noise * (random - 0.5))


def by_definition(taps: Tensor, time: int) -> tuple[Tensor, Tensor]:
    """Return the weights, and those in which every far one is the mean of all between its two blocks."""
    middle, frames = taps.shape[1] // 2, torch.arange(time)
    exact = taps[:, frames - frames[:, None] + middle]
    means = exact.clone()
    for row in range(time):
        window = row // QUERIES * QUERIES
        for key in range(time):
            if not window - REACH <= key < window + QUERIES + REACH:
                distance = (key // BLOCK - row // BLOCK) * BLOCK
                places = distance + torch.arange(BLOCK) - torch.arange(BLOCK)[:, None]
                exist = places[places.abs() <= middle]
                means[:, row, key] = taps[:, exist + middle].mean(1)
    return exact, means


@pytest.mark.parametrize(("longest", "times"), [(1, [1]), (9, [2, 9]), (96, [96]), (210, [1, 63, 65, 130, 210])])
def test_near_frames_have_their_weight_and_far_ones_that_of_their_block(longest: int, times: list[int]) -> None:
    taps = table(longest)
    form = TwoLevelForm(taps)
    for time in times:
        _, means = by_definition(taps, time)
        x = torch.randn(2, 2, time, 4, generator=torch.Generator().manual_seed(time))
        torch.testing.assert_close(form(x, form.prepare(time)), means.float() @ x, atol=2e-5, rtol=1e-5)


def test_inputs_without_far_frames_are_exact() -> None:
    taps, x = table(500), torch.randn(1, 2, QUERIES + REACH, 3)
    form, frames = TwoLevelForm(taps), torch.arange(QUERIES + REACH)
    exact = taps[:, frames - frames[:, None] + 499].float()
    torch.testing.assert_close(form(x, form.prepare(len(frames)))[:, :, :QUERIES], (exact @ x)[:, :, :QUERIES])


@pytest.mark.parametrize(("centre", "width"), [(6, 1.0), (12, 1.5), (8, 1.2), (-10, 1.5)])
def test_rows_that_are_small_beside_others_keep_their_digits(centre: int, width: float) -> None:
    offsets = torch.arange(-399, 400).double()
    taps = torch.exp(-(((offsets - centre) / width) ** 2) / 2)[None]
    x = torch.randn(1, 1, 400, 4, generator=torch.Generator().manual_seed(0))
    form, frames = TwoLevelForm(taps), torch.arange(400)
    matrix = form.prepare(400)
    exact = taps[:, frames - frames[:, None] + 399]
    got = form(x, matrix) / form(torch.ones(1, 1, 400, 1), matrix)
    torch.testing.assert_close(got, (exact @ x.double() / exact.sum(2, keepdim=True)).float(), atol=1e-5, rtol=1e-5)


def test_equal_weights_stay_equal() -> None:
    assert torch.equal(block_weights(torch.ones(1, 99)), torch.ones(1, 2 * (49 // BLOCK) + 1))


def test_the_share_that_is_moved_is_the_mean_over_rows() -> None:
    taps = table(210)
    exact, means = by_definition(taps, 210)
    expected = ((exact - means).abs().sum(2) / exact.sum(2)).mean(1)
    assert [moved_mass(head.numpy()) for head in taps] == pytest.approx(expected.tolist())
    assert moved_mass(table(96)[1].numpy()) > 0
    assert moved_mass(table(33)[1].numpy()) == 0
