"""`fixed-encoder`: every pattern by hand, its ends, its learned heads, and what it costs."""

import pytest
import torch
from torch import Tensor

from inattention.attention import build, card
from inattention.attention.mechanisms.fixed_encoder import PATTERNS, patterns_for
from inattention.testing import CLAIMS, Case
from inattention.timing.flops import counted_flops


def row_by_hand(pattern: str, i: int, valid: list[bool], right: str) -> list[float]:
    n = max(j for j, real in enumerate(valid) if real) + 1
    row = []
    for j, real in enumerate(valid):
        rising, falling = (j + 1) ** 3, (n - j) ** 3
        mass = {
            "current": j == i,
            "previous": j == i - 1,
            "next": j == i + 1,
            "left": rising * (j <= i - 2),
            "right": (rising if right == "end" else falling) * (j >= i + 2),
            "end": rising,
            "start": falling,
        }[pattern]
        row.append(float(mass) * real)
    return [mass / sum(row) for mass in row] if sum(row) else [float(j == i) for j in range(len(valid))]


@pytest.mark.parametrize("right", ["end", "query"])
@pytest.mark.parametrize("keys", ["all", "prefix", "scattered", "single"])
def test_patterns_are_as_described(keys: str, right: str) -> None:
    valid = {
        "all": torch.ones(14, dtype=torch.bool),
        "prefix": torch.arange(14) < 9,
        "scattered": torch.rand(14, generator=torch.Generator().manual_seed(0)) < 0.6,
        "single": torch.arange(14) == 5,
    }[keys]
    weights = build("fixed-encoder", width=14, heads=7, right=right).weights(torch.zeros(1, 14, 14), valid[None])[0]
    for head, pattern in enumerate(PATTERNS):
        for i in valid.nonzero().flatten().tolist():
            expected = row_by_hand(pattern, i, valid.tolist(), right)
            assert weights[head, i].tolist() == pytest.approx(expected, rel=1e-5, abs=1e-7), (pattern, i)


@pytest.mark.parametrize("right", ["end", "query"])
def test_running_sums_stay_exact_over_thousands_of_steps(right: str) -> None:
    mechanism = build("fixed-encoder", width=14, heads=7, right=right).eval()
    values, hidden = torch.randn(1, 7, 3000, 2, generator=torch.Generator().manual_seed(0)), torch.zeros(1, 3000, 14)
    valid = torch.rand(1, 3000, generator=torch.Generator().manual_seed(1)) < 0.7
    difference = mechanism(hidden, values, valid) - mechanism.weights(hidden, valid) @ values
    assert (difference * valid[:, None, :, None]).abs().max() < 1e-5


def test_heads_take_patterns_in_order_and_again() -> None:
    assert patterns_for(3) == ["current", "previous", "next"]
    assert patterns_for(15)[7:] == [*PATTERNS, "current"]
    weights = build("fixed-encoder", width=24, heads=12).weights(
        torch.zeros(1, 9, 24), torch.ones(1, 9, dtype=torch.bool)
    )
    assert torch.equal(weights[:, 7:], weights[:, :5])


@pytest.mark.parametrize("claim", [c for c in CLAIMS if c != "weights_ignore_the_input_if_the_card_says_so"])
@pytest.mark.parametrize("learned", [1, 12])
def test_learned_heads_keep_every_promise_but_independence(claim: str, learned: int) -> None:
    CLAIMS[claim](Case("fixed-encoder", {"learned": learned}))


def test_learned_heads_are_qk() -> None:
    mechanism, qk = build("fixed-encoder", width=24, heads=3, learned=3), build("qk", width=24, heads=3)
    qk.load_state_dict(mechanism.state_dict())
    hidden, valid = torch.randn(2, 9, 24), torch.arange(9) < torch.tensor([[9], [4]])
    torch.testing.assert_close(mechanism.weights(hidden, valid), qk.weights(hidden, valid))


@pytest.mark.parametrize("learned", [-1, 4])
def test_more_learned_heads_than_heads_are_refused(learned: int) -> None:
    with pytest.raises(ValueError, match="learned"):
        build("fixed-encoder", width=24, heads=3, learned=learned)


@pytest.mark.parametrize("learned", [0, 1])
def test_card_counts_what_the_counter_counts(learned: int) -> None:
    mechanism = build("fixed-encoder", width=768, heads=12, learned=learned)
    hidden, valid = torch.randn(1, 300, 768), torch.ones(1, 300, dtype=torch.bool)

    values: Tensor = torch.randn(1, 12, 300, 64)
    with torch.no_grad():
        counted = counted_flops(lambda: mechanism(hidden, values, valid))
    assert card("fixed-encoder").flops(300, 768, 12, learned=learned) == pytest.approx(counted, rel=0.01)
