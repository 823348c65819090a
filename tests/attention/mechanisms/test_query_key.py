"""Query-key attention with a bias: what it starts as, and what it can learn."""

import pytest
import torch

from inattention.attention import build

HIDDEN, VALID = (
    torch.randn(2, 20, 24, generator=torch.Generator().manual_seed(0)),
    torch.arange(20) < torch.tensor([[20], [13]]),
)


def test_without_queries_a_toeplitz_bias_is_toeplitz() -> None:
    biased, plain = build("qk", width=24, heads=12, bias="toeplitz"), build("toeplitz", width=24, heads=12)
    with torch.no_grad():
        biased.query.weight.zero_()
    real = VALID[:, None, :, None]
    torch.testing.assert_close(biased.weights(HIDDEN, VALID) * real, plain.weights(HIDDEN, VALID) * real)


def test_a_toeplitz_bias_starts_near_toeplitz_and_learns_all_of_its_parameters() -> None:
    torch.manual_seed(0)
    biased, plain = build("qk", width=24, heads=12, bias="toeplitz"), build("toeplitz", width=24, heads=12)
    distance = (biased.weights(HIDDEN) - plain.weights(HIDDEN)).abs().sum(-1)
    assert 0 < float(distance.detach().mean()) < 0.05  # of 2, for weights that have nothing in common
    values = torch.randn(2, 12, 20, 2, generator=torch.Generator().manual_seed(1))
    biased(HIDDEN, values, VALID).square().sum().backward()
    silent = {"key.bias"}  # the same for all keys, which softmax ignores
    for name, parameter in biased.named_parameters():
        assert parameter.grad is not None
        assert name in silent or float(parameter.grad.abs().sum()) > 0, name


def test_a_floor_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="floor must be between 0 and 1"):
        build("qk", width=24, heads=12, bias="toeplitz", floor=1.0)
