"""`linear` against double loops and its quadratic form."""

import math

import pytest
import torch
from torch import Tensor

from inattention.attention import build
from inattention.attention.mechanisms.linear import Linear


def mechanism() -> Linear:
    torch.manual_seed(0)
    made = build("linear", width=12, heads=3)
    assert isinstance(made, Linear)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return made.double()


def draw(batch: int, time: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(batch, time, 12, generator=generator, dtype=torch.float64)
    return hidden, torch.randn(batch, 3, time, 4, generator=generator, dtype=torch.float64)


def feature(x: float) -> float:
    return (x + 1 if x > 0 else math.exp(x)) + 1e-6


@pytest.mark.parametrize("time", [1, 2, 9])
def test_both_ways_are_the_definition_by_hand(time: int) -> None:
    made = mechanism()
    hidden, values = draw(2, time)
    valid = torch.rand(2, time, generator=torch.Generator().manual_seed(4)) < torch.tensor([2.0, 0.6])[:, None]
    expected = torch.zeros_like(values)
    with torch.no_grad():
        for b in range(2):
            query, key = (linear(hidden[b]).tolist() for linear in (made.query, made.key))
            real = valid[b].nonzero()[:, 0].tolist()
            for h in range(3):
                for i in real:
                    mass = {
                        j: sum(feature(query[i][c]) * feature(key[j][c]) for c in range(4 * h, 4 * h + 4)) for j in real
                    }
                    expected[b, h, i] = sum(mass[j] * values[b, h, j] for j in real) / sum(mass.values())
        for output in (made(hidden, values, valid), made.weights(hidden, valid) @ values):
            assert torch.allclose(output * valid[:, None, :, None], expected)


def test_gradients_are_those_of_the_quadratic_form() -> None:
    made = mechanism()
    valid = torch.arange(30) < torch.tensor([[30], [11]])
    gradients = []
    for way in (made, made.reference):
        hidden, values = (x.requires_grad_() for x in draw(2, 30))
        output = way(hidden, values, valid) * valid[:, None, :, None]
        gradients.append(torch.autograd.grad(output.square().sum(), [hidden, values, *made.parameters()]))
    for fast, defined in zip(*gradients, strict=True):
        assert torch.allclose(fast, defined)


def test_a_query_whose_features_all_vanish_averages_all_steps() -> None:
    made = mechanism().float()
    with torch.no_grad():
        made.query.weight.zero_()
        made.query.bias.fill_(-1e4)
        made.key.bias.fill_(-1e4)
    hidden, values = (x.float() for x in draw(1, 9))
    valid = torch.ones(1, 9, dtype=torch.bool)
    torch.testing.assert_close(made(hidden, values, valid), values.mean(2, keepdim=True).expand_as(values))


def test_no_tensor_grows_with_the_square_of_time() -> None:
    made = mechanism().float()
    hidden, values = (x.float() for x in draw(1, 2000))
    largest = 0

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            if isinstance(result, Tensor):
                largest = max(largest, result.numel())
            return result

    with torch.no_grad(), Watch():
        made(hidden, values, torch.ones(1, 2000, dtype=torch.bool))
    assert 0 < largest <= 2000 * 12


def test_a_floor_that_leaves_rows_empty_is_refused() -> None:
    with pytest.raises(ValueError, match="floor must be above 0, not 0"):
        build("linear", width=12, heads=3, floor=0.0)
