"""What is built on `toeplitz`: where it equals `toeplitz`, and what it adds."""

import pytest
import torch
import torch.nn.functional as F

from inattention.attention import build
from inattention.timing.flops import counted_flops

HIDDEN, VALID = torch.zeros(2, 20, 24), torch.arange(20) < torch.tensor([[20], [13]])


def test_free_heads_stand_last_and_the_others_are_toeplitz() -> None:
    free = build("toeplitz-free", width=24, heads=12, max_length=30, free=3).weights(HIDDEN, VALID)
    plain = build("toeplitz", width=18, heads=9).weights(HIDDEN[..., :18], VALID)
    torch.testing.assert_close(free[:, :9], plain, rtol=1e-5, atol=1e-7)
    uniform = VALID[:, None, None, :] / VALID.sum(-1)[:, None, None, None]
    torch.testing.assert_close(free[:, 9:], uniform.expand(-1, 3, 20, -1), rtol=0.1, atol=0)


def test_a_free_map_can_become_what_no_bump_can_be() -> None:
    mechanism = build("toeplitz-free", width=4, heads=2, max_length=6)
    wanted = torch.eye(6)[torch.tensor([3, 0, 5, 1, 1, 2])]
    optimiser = torch.optim.Adam(mechanism.parameters(), lr=0.3)
    for _ in range(100):
        optimiser.zero_grad()
        loss = F.mse_loss(mechanism.weights(torch.zeros(1, 6, 4), torch.ones(1, 6, dtype=torch.bool))[0, 1], wanted)
        loss.backward()
        optimiser.step()
    assert loss < 1e-3


@pytest.mark.parametrize(("options", "why"), [({"free": 12}, "between 0 and 11"), ({"floor": 0.0}, "floor")])
def test_free_heads_that_cannot_be_are_refused(options: dict, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        build("toeplitz-free", width=24, heads=12, max_length=30, **options)
    with pytest.raises(ValueError, match="max_length"):
        build("toeplitz-free", width=24, heads=12)


def test_free_maps_may_start_where_toeplitz_does() -> None:
    start = build("patterned", width=24, heads=12, max_length=40, init="bumps")
    plain = build("toeplitz", width=24, heads=12)
    one, other = (mechanism.weights(HIDDEN, VALID).transpose(1, 2)[VALID] for mechanism in (start, plain))
    torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)
    assert sum(parameter.numel() for parameter in start.parameters()) == 12 * 40 * 40
    with pytest.raises(ValueError, match="two ways to start"):
        build("patterned", width=24, heads=12, max_length=40, init="bumps", categories="diagonal=12")


def test_the_convolution_starts_at_nothing_and_then_adds_its_own_weights() -> None:
    both, plain = build("toeplitz-convolution", width=24, heads=12, reach=2), build("toeplitz", width=24, heads=12)
    values = torch.randn(2, 12, 20, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(both(HIDDEN, values, VALID), plain(HIDDEN, values, VALID))
    with torch.no_grad():
        both.kernel[5, 0] = torch.tensor([0.0, -1.0, 0.0, 1.0, 0.0])  # feature 1 of head 2: the step after less before
    added = both(HIDDEN, values, VALID) - plain(HIDDEN, values, VALID)
    real = torch.where(VALID[:, None, :, None], values, 0.0)[:, 2, :, 1]
    before, after = F.pad(real, (1, 0))[:, :-1], F.pad(real, (0, 1))[:, 1:]
    torch.testing.assert_close(added[:, 2, :, 1][VALID], (after - before)[VALID])
    assert added.flatten(2).abs().sum((0, 2)).count_nonzero() == 1
    with pytest.raises(ValueError, match="no weights"):
        both.weights(HIDDEN, VALID)
    with pytest.raises(ValueError, match="reach"):
        build("toeplitz-convolution", width=24, heads=12, reach=0)


def test_the_card_counts_the_convolution() -> None:
    options = {"width": 96, "heads": 12}
    both, plain = build("toeplitz-convolution", **options), build("toeplitz", **options)
    hidden, values, valid = torch.zeros(1, 300, 96), torch.zeros(1, 12, 300, 8), torch.ones(1, 300, dtype=torch.bool)
    with torch.inference_mode():
        counted = counted_flops(lambda: both(hidden, values, valid)) - counted_flops(
            lambda: plain(hidden, values, valid)
        )
    assert counted == pytest.approx(2 * 300 * 96 * 7, rel=0.05)
