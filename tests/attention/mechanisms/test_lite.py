"""`lite` against double loops, its two halves, and PyTorch's convolution."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from inattention.attention import build, card
from inattention.attention.mechanisms.lite import BLOCK, Lite, convolve
from inattention.testing import CLAIMS, Case
from inattention.timing.flops import counted_flops


def mechanism(**options: object) -> Lite:
    torch.manual_seed(0)
    made = build("lite", width=16, heads=4, **options)
    assert isinstance(made, Lite)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return made.double().eval()


def draw(batch: int, time: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(batch, time, 16, generator=generator, dtype=torch.float64)
    return hidden, torch.randn(batch, 4, time, 4, generator=generator, dtype=torch.float64)


def by_hand(made: Lite, hidden: Tensor, values: Tensor, valid: Tensor) -> Tensor:
    output = torch.zeros_like(values)
    for b in range(len(hidden)):
        real = valid[b].nonzero()[:, 0].tolist()
        for h in range(4):
            for i in real:
                if h < made.attending:
                    mine = slice(4 * h, 4 * h + 4)
                    query, key = made.query(hidden[b])[i, mine], made.key(hidden[b])[real, mine]
                    output[b, h, i] = (key @ query / math.sqrt(4)).softmax(-1) @ values[b, h, real]
                    continue
                c = h - made.attending
                if made.make is not None:
                    scores = made.make(hidden[b, i])[c * made.kernel : (c + 1) * made.kernel]
                else:
                    assert made.taps is not None
                    scores = made.taps[c]
                taps = scores.softmax(-1)
                for t in range(made.kernel):
                    if (j := i + t - made.kernel // 2) in real:
                        output[b, h, i] += taps[t] * values[b, h, j]
    return output


@pytest.mark.parametrize("convolution", ["dynamic", "lightweight"])
@pytest.mark.parametrize(("time", "kernel"), [(1, 5), (4, 9), (17, 1), (BLOCK, 3), (BLOCK + 9, 31)])
def test_both_ways_are_the_definition_by_hand(time: int, kernel: int, convolution: str) -> None:
    made = mechanism(convolution=convolution, kernel=kernel)
    hidden, values = draw(2, time)
    valid = torch.rand(2, time, generator=torch.Generator().manual_seed(4)) < torch.tensor([2.0, 0.6])[:, None]
    with torch.no_grad():
        expected = by_hand(made, hidden, values, valid)
        for way in (made, made.reference):
            assert torch.allclose(way(hidden, values, valid) * valid[:, None, :, None], expected)


def test_taps_that_all_steps_share_are_a_convolution() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, 3, 100, 5, generator=generator)
    taps = torch.randn(1, 3, 1, 7, generator=generator)
    rows = values.permute(0, 3, 1, 2).flatten(0, 1)  # (batch and feature, head, time): a kernel a head
    wanted = F.conv1d(rows, taps[0, :, 0, None], padding=3, groups=3).unflatten(0, (2, 5)).permute(0, 2, 3, 1)
    torch.testing.assert_close(convolve(values, taps), wanted)
    torch.testing.assert_close(convolve(values, taps.expand(2, -1, 100, -1)), wanted)


def test_the_attending_half_is_qk() -> None:
    made = mechanism(kernel=3)
    qk = build("qk", width=16, heads=4).double()
    with torch.no_grad():
        for name in ("query", "key"):
            half, whole = getattr(made, name), getattr(qk, name)
            whole.weight[:8].copy_(half.weight)
            whole.bias[:8].copy_(half.bias)
    hidden, _ = draw(2, 9)
    valid = torch.arange(9) < torch.tensor([[9], [4]])
    torch.testing.assert_close(made.weights(hidden, valid)[:, :2], qk.weights(hidden, valid)[:, :2])


def test_rows_of_the_convolution_sum_to_one_where_it_meets_no_end() -> None:
    sums = mechanism(kernel=5).weights(draw(1, 9)[0], torch.ones(1, 9, dtype=torch.bool)).sum(-1)
    assert torch.allclose(sums[:, :2], torch.ones_like(sums[:, :2]))
    assert torch.allclose(sums[:, 2:, 2:-2], torch.ones_like(sums[:, 2:, 2:-2]))
    assert (sums[:, 2:, [0, 1, -2, -1]] < 1).all()


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("attention_heads", [0, 1, 12])
def test_any_split_of_heads_keeps_every_promise(claim: str, attention_heads: int) -> None:
    CLAIMS[claim](Case("lite", {"attention_heads": attention_heads, "kernel": 5}))


@pytest.mark.parametrize("options", [{}, {"convolution": "lightweight"}, {"attention_heads": 0, "kernel": 15}], ids=str)
def test_card_counts_what_the_counter_counts(options: dict) -> None:
    mixing = build("lite", width=768, heads=12, **options).eval()
    hidden, values = torch.randn(1, 300, 768), torch.randn(1, 12, 300, 64)
    valid = torch.ones(1, 300, dtype=torch.bool)
    with torch.no_grad():
        counted = counted_flops(lambda: mixing(hidden, values, valid))
    assert card("lite").flops(300, 768, 12, **options) == pytest.approx(counted, rel=0.01)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"kernel": 4}, "odd.*not 4"), ({"attention_heads": 5}, "from 0 to 4")],
    ids=str,
)
def test_wrong_options_are_named(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build("lite", width=16, heads=4, **options)
