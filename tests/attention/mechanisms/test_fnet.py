"""`fnet` against sums by hand and against the origin's transform of time and features."""

import cmath
import math

import pytest
import torch

from inattention.attention import build
from inattention.attention.mechanisms.fnet import FNet


def by_hand(parts: str, scaled: bool, heads: int, valid: list[bool]) -> torch.Tensor:
    real = [j for j, there in enumerate(valid) if there]
    n = len(real)
    maps = torch.zeros(heads, len(valid), len(valid), dtype=torch.float64)
    for h in range(heads):
        for p, i in enumerate(real):
            for r, j in enumerate(real):
                root = cmath.exp(-2j * math.pi * p * r / n) / (math.sqrt(n) if scaled else 1)
                maps[h, i, j] = root.imag if parts == "both" and h >= (heads + 1) // 2 else root.real
    return maps


@pytest.mark.parametrize(("parts", "scaled"), [("both", True), ("real", True), ("both", False)])
@pytest.mark.parametrize("time", [1, 2, 3, 8, 13])
def test_both_ways_are_the_transform_of_the_valid_steps(time: int, parts: str, scaled: bool) -> None:
    mixing = build("fnet", width=9, heads=3, parts=parts, scaled=scaled)
    generator = torch.Generator().manual_seed(time)
    values = torch.randn(3, 3, time, 3, generator=generator, dtype=torch.float64)
    valid = torch.rand(3, time, generator=generator) < torch.tensor([2.0, 0.6, 0.6])[:, None]
    hidden = torch.zeros(3, time, 9, dtype=torch.float64)
    expected = torch.stack([by_hand(parts, scaled, 3, row.tolist()) for row in valid])
    assert torch.allclose(mixing.weights(hidden, valid), expected)
    assert torch.allclose(mixing(hidden, values, valid), expected @ values)


def test_with_maps_of_features_around_it_is_the_origins_transform() -> None:
    x = torch.randn(1, 10, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    angle = 2 * math.pi * torch.outer(torch.arange(6.0), torch.arange(6.0)).double() / 6
    # Two heads of width 6: one is handed x C, the other x S; the output map adds them.
    values = torch.stack([x @ angle.cos(), x @ angle.sin()], 1)
    mixing = FNet(width=12, heads=2, scaled=False)
    output = mixing(torch.zeros(1, 10, 12), values, torch.ones(1, 10, dtype=torch.bool)).sum(1)
    assert torch.allclose(output, torch.fft.fft2(x).real)


def test_the_real_part_alone_cannot_tell_a_sequence_from_its_mirror_image_and_both_can() -> None:
    values = torch.randn(1, 4, 9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mirrored = torch.cat([values[:, :, :1], values[:, :, 1:].flip(2)], 2)
    hidden, valid = torch.zeros(1, 9, 8), torch.ones(1, 9, dtype=torch.bool)
    for parts, alike in (("real", True), ("both", False)):
        mixing = build("fnet", width=8, heads=4, parts=parts)
        assert torch.allclose(mixing(hidden, values, valid), mixing(hidden, mirrored, valid)) == alike


def test_long_transforms_stay_exact_for_lengths_that_do_not_factor() -> None:
    values = torch.randn(1, 2, 2003, 3, generator=torch.Generator().manual_seed(0))
    hidden, valid = torch.zeros(1, 2003, 6), torch.ones(1, 2003, dtype=torch.bool)
    mixing = FNet(width=6, heads=2)
    assert (mixing(hidden, values, valid) - mixing.weights(hidden, valid) @ values).abs().max() < 2e-5
