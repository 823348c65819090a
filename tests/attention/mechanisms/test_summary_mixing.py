"""`summary-mixing` against loops over steps, and what it has no weights for."""

import pytest
import torch
import torch.nn.functional as F

from inattention.attention import build, card
from inattention.attention.mechanisms.summary_mixing import SummaryMixing


def mechanism() -> SummaryMixing:
    torch.manual_seed(0)
    made = build("summary-mixing", width=12, heads=3)
    assert isinstance(made, SummaryMixing)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return made.double()


@pytest.mark.parametrize("time", [1, 8])
def test_both_ways_are_the_definition_by_hand(time: int) -> None:
    made = mechanism()
    generator = torch.Generator().manual_seed(time)
    hidden = torch.randn(2, time, 12, generator=generator, dtype=torch.float64)
    values = torch.randn(2, 3, time, 4, generator=generator, dtype=torch.float64)
    valid = torch.rand(2, time, generator=generator) < torch.tensor([2.0, 0.5])[:, None]
    expected = torch.zeros_like(values)
    with torch.no_grad():
        for b in range(2):
            real = valid[b].nonzero()[:, 0].tolist()
            summary = torch.zeros(12, dtype=torch.float64)
            for j in real:
                summary += F.gelu(torch.cat([values[b, h, j] for h in range(3)])) / len(real)
            for i in real:
                local = F.gelu(made.local.weight @ hidden[b, i] + made.local.bias)
                joined = made.join_local.weight @ local + made.join_local.bias + made.join_summary.weight @ summary
                expected[b, :, i] = F.gelu(joined).view(3, 4)
        for way in (made, made.reference):
            assert torch.allclose(way(hidden, values, valid) * valid[:, None, :, None], expected)


def test_it_has_no_weights_and_says_so() -> None:
    assert not card("summary-mixing").linear_map
    with pytest.raises(ValueError, match=r"'summary-mixing' has no weights.*no linear map of the values"):
        mechanism().weights(torch.zeros(1, 3, 12), torch.ones(1, 3, dtype=torch.bool))


def test_steps_hear_of_each_other_through_the_mean_alone() -> None:
    made = mechanism()
    hidden, valid = torch.zeros(1, 6, 12, dtype=torch.float64), torch.ones(1, 6, dtype=torch.bool)
    values = torch.randn(1, 3, 6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        output = made(hidden, values, valid)
        assert torch.allclose(output, output[:, :, :1].expand_as(output))  # the same steps hear the same
        assert torch.allclose(made(hidden, values.flip(2), valid), output)
        assert not torch.allclose(made(hidden, values * 2, valid), output)
