"""`synthesizer-dense` and `synthesizer-dense-multihead`: rows written by hand, their cost, and their limit."""

import math

import pytest
import torch
from torch import Tensor

from inattention.attention import build, card
from inattention.attention.mechanisms.synthesizer_dense import QUERIES, DenseSynthesizer
from inattention.attention.mechanisms.synthesizer_dense_multihead import MultiHeadDenseSynthesizer
from inattention.timing.flops import counted_flops

CLASSES = {"synthesizer-dense": DenseSynthesizer, "synthesizer-dense-multihead": MultiHeadDenseSynthesizer}
NAMES = tuple(CLASSES)


def row_by_hand(x: Tensor, first: torch.nn.Linear, second: torch.nn.Linear, valid: list[bool]) -> list[float]:
    features = [
        max(0.0, first.bias[k].item() + sum(w * v for w, v in zip(first.weight[k].tolist(), x.tolist(), strict=True)))
        for k in range(first.out_features)
    ]
    scores = [
        second.bias[j].item() + sum(w * v for w, v in zip(second.weight[j].tolist(), features, strict=True))
        for j in range(len(valid))
    ]
    masses = [math.exp(score) if real else 0.0 for score, real in zip(scores, valid, strict=True)]
    return [mass / sum(masses) for mass in masses]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("valid", [[True] * 6, [True, False, True, True, False, False]])
def test_each_step_writes_its_row(name: str, valid: list[bool]) -> None:
    torch.manual_seed(0)
    mechanism = CLASSES[name](width=8, heads=2, max_length=9, bottleneck=3)
    hidden = torch.randn(1, 6, 8)
    weights = mechanism.weights(hidden, torch.tensor([valid]))[0]
    for head in range(2):
        for i in range(6):
            x = hidden[0, i] if name == "synthesizer-dense" else hidden[0, i, 4 * head : 4 * head + 4]
            expected = row_by_hand(x, mechanism.rows.first, mechanism.rows.second, valid)
            if valid[i]:
                assert weights[head, i].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("time", [QUERIES - 1, QUERIES + 1, 2 * QUERIES + 3])
def test_rows_taken_in_parts_are_the_same(name: str, time: int) -> None:
    torch.manual_seed(0)
    mechanism = build(name, width=8, heads=2, max_length=2 * QUERIES + 3).eval()
    hidden, values = torch.randn(2, time, 8), torch.randn(2, 2, time, 4)
    valid = torch.arange(time) < torch.tensor([[time], [time - 7]])
    with torch.no_grad():
        difference = mechanism(hidden, values, valid) - mechanism.weights(hidden, valid) @ values
    assert difference[:, :, : time - 7].abs().max() < 1e-5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bottleneck", [2, 16])
def test_gradients_are_those_of_the_dense_form(name: str, bottleneck: int) -> None:
    torch.manual_seed(0)
    hidden, values = torch.randn(2, 20, 32), torch.randn(2, 2, 20, 16)
    valid = torch.arange(20) < torch.tensor([[20], [13]])
    target = torch.randn(2, 2, 20, 16) * valid[:, None, :, None]
    mechanism = build(name, width=32, heads=2, max_length=20, bottleneck=bottleneck)
    gradients = []
    for fast in (True, False):
        output = mechanism(hidden, values, valid) if fast else mechanism.weights(hidden, valid) @ values
        gradients.append(torch.autograd.grad((output * target).sum(), tuple(mechanism.parameters())))
    for got, true in zip(*gradients, strict=True):
        torch.testing.assert_close(got, true, rtol=1e-3, atol=1e-5)


def test_the_plain_form_has_one_map_and_the_other_a_map_a_head() -> None:
    hidden, valid = torch.randn(1, 6, 8), torch.ones(1, 6, dtype=torch.bool)
    one, many = (build(name, width=8, heads=2, max_length=9).weights(hidden, valid) for name in NAMES)
    assert torch.equal(one[:, 0], one[:, 1])
    assert not torch.equal(many[:, 0], many[:, 1])


@pytest.mark.parametrize("name", NAMES)
def test_normal_start_is_all_but_uniform_and_fan_in_is_not(name: str) -> None:
    torch.manual_seed(0)
    hidden, valid = torch.randn(1, 50, 768), torch.ones(1, 50, dtype=torch.bool)
    ranges = {}
    for start in ("normal", "fan-in"):
        weights = build(name, width=768, heads=12, max_length=50, start=start).weights(hidden, valid)
        ranges[start] = (50 * weights).log().std().item()
    assert ranges["normal"] < 0.06
    assert ranges["fan-in"] > 0.15


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_bottleneck_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="bottleneck"):
        build(name, width=8, heads=2, max_length=9, bottleneck=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bottleneck", [16, 80])
def test_card_counts_what_the_counter_counts(name: str, bottleneck: int) -> None:
    mechanism = build(name, width=768, heads=12, max_length=300, bottleneck=bottleneck).eval()
    hidden, valid = torch.randn(1, 300, 768), torch.ones(1, 300, dtype=torch.bool)
    values = torch.randn(1, 12, 300, 64)

    with torch.no_grad():
        counted = counted_flops(lambda: mechanism(hidden, values, valid))
    assert card(name).flops(300, 768, 12, bottleneck=bottleneck) == pytest.approx(counted, rel=0.02)
