"""`adaptive-span`: its soft mask by hand, full spans against `qk`, gradients of spans, blocks of any alignment."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from inattention.attention import build, card
from inattention.attention.mechanisms.adaptive_span import BLOCK, AdaptiveSpan
from inattention.timing.flops import counted_flops


def drawn(
    time: int, *, max_span: int, heads: int = 3, ramp: int = 32, span: float = 0.0, price: float = 2e-6
) -> tuple[AdaptiveSpan, Tensor, Tensor]:
    torch.manual_seed(0)
    mechanism = AdaptiveSpan(width=8 * heads, heads=heads, span=span, ramp=ramp, max_span=max_span, price=price)
    torch.nn.init.normal_(mechanism.query.weight, std=0.5)
    torch.nn.init.normal_(mechanism.key.weight, std=0.5)
    return mechanism, torch.randn(2, time, 8 * heads), torch.randn(2, heads, time, 8)


def set_spans(mechanism: AdaptiveSpan, spans: list[float]) -> None:
    with torch.no_grad():
        mechanism.part.copy_(torch.tensor(spans) / mechanism.max_span)


def test_weights_are_the_formula() -> None:
    mechanism, hidden, _ = drawn(12, ramp=3, max_span=20)
    spans = [0.0, 2.5, 20.0]
    set_spans(mechanism, spans)
    valid = torch.ones(2, 12, dtype=torch.bool)
    valid[0, 4] = valid[0, 9] = False
    weights = mechanism.weights(hidden, valid)
    query = mechanism.query(hidden).double().unflatten(-1, (3, 8))
    key = mechanism.key(hidden).double().unflatten(-1, (3, 8))
    for head in range(3):
        for i in range(12):
            row = []
            for j in range(12):
                m = min(max((3 + spans[head] - abs(i - j)) / 3, 0.0), 1.0)
                score = (query[0, i, head] @ key[0, j, head]).item() / math.sqrt(8)
                row.append(m * math.exp(score) if valid[0, j] else 0.0)
            if valid[0, i]:
                expected = [mass / sum(row) for mass in row]
                assert weights[0, head, i].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("training", [False, True])
def test_full_spans_are_qk(training: bool) -> None:
    mechanism, hidden, values = drawn(90, span=90.0, max_span=90)
    mechanism.train(training)
    qk = build("qk", width=24, heads=3)
    qk.load_state_dict({name: p for name, p in mechanism.state_dict().items() if name != "part"})
    valid = torch.arange(90) < torch.tensor([[90], [41]])
    for keys in (valid, torch.ones_like(valid)):
        difference = (mechanism(hidden, values, keys) - qk(hidden, values, keys)) * keys[:, None, :, None]
        assert difference.abs().max() < 1e-5
        torch.testing.assert_close(mechanism.weights(hidden, keys), qk.weights(hidden, keys))


@pytest.mark.parametrize("time", [1, BLOCK - 1, BLOCK, 2 * BLOCK + 5])
@pytest.mark.parametrize("spans", [[0.0, 0.0, 0.0], [0.0, 30.5, 200.0], [3.0, 150.0, 60.0, 4.0]])
def test_blocks_give_the_dense_form_and_its_gradients(time: int, spans: list[float]) -> None:
    mechanism, hidden, values = drawn(time, heads=len(spans), ramp=8, max_span=200)
    set_spans(mechanism, spans)
    valid = torch.rand(2, time, generator=torch.Generator().manual_seed(0)) < 0.8
    valid[0] = True
    target = torch.randn(values.shape, generator=torch.Generator().manual_seed(1)) * valid[:, None, :, None]
    results = []
    for fast in (True, False):
        output = mechanism(hidden, values, valid) if fast else mechanism.weights(hidden, valid) @ values
        gradients = torch.autograd.grad((output * target).sum(), tuple(mechanism.parameters()))
        results.append([(output * valid[:, None, :, None]).detach(), *gradients])
    mechanism.eval()
    with torch.no_grad():
        results[0].append(mechanism(hidden, values, valid) * valid[:, None, :, None])
    results[1].append(results[1][0])
    for got, true in zip(*results, strict=True):
        torch.testing.assert_close(got, true, rtol=1e-3, atol=1e-4)


def test_a_span_grows_where_far_keys_help_even_from_below_nothing() -> None:
    mechanism, hidden, values = drawn(60, heads=1, ramp=10, max_span=40)
    set_spans(mechanism, [-2.0])
    valid = torch.ones(2, 60, dtype=torch.bool)
    loss = (mechanism(hidden, values, valid) - values.mean(2, keepdim=True)).square().sum()
    (gradient,) = torch.autograd.grad(loss, mechanism.part)
    assert gradient.item() < 0
    assert mechanism.spans().item() == 0


def test_auxiliary_loss_is_the_price_of_the_mean_span_and_shrinks_spans() -> None:
    mechanism, _, _ = drawn(5, max_span=40, price=0.5)
    set_spans(mechanism, [0.0, 10.0, 50.0])
    loss = mechanism.auxiliary_loss()
    assert loss is not None
    assert loss.item() == pytest.approx(0.5 * (0 + 10 + 40) / 3)
    (gradient,) = torch.autograd.grad(loss, mechanism.part)
    assert gradient[1].item() == pytest.approx(0.5 * 40 / 3)
    assert drawn(5, max_span=40, price=0.0)[0].auxiliary_loss() is None


def test_max_span_is_max_length_unless_given() -> None:
    assert AdaptiveSpan(width=8, heads=2, max_length=70).max_span == 70
    assert AdaptiveSpan(width=8, heads=2).max_span == 1024


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ramp": 0}, "ramp"),
        ({"max_span": 0}, "max_span"),
        ({"span": 9.0, "max_span": 8}, "span"),
        ({"price": -1.0}, "price"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build("adaptive-span", width=8, heads=2, **options)


@pytest.mark.parametrize("span", [0.0, 150.0, 400.0])
def test_card_counts_what_the_counter_counts(span: float) -> None:
    mechanism = build("adaptive-span", width=768, heads=12, span=span).eval()
    hidden, valid = torch.randn(1, 300, 768), torch.ones(1, 300, dtype=torch.bool)

    with torch.no_grad():
        counted = counted_flops(lambda: mechanism(hidden, torch.randn(1, 12, 300, 64), valid))
    assert card("adaptive-span").flops(300, 768, 12, span=span) == pytest.approx(counted, rel=0.01)
