"""Reformer's hashing against loops written from its definition, and against full shared-QK attention."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from inattention.attention import build, card
from inattention.attention.mechanisms import reformer_lsh
from inattention.attention.mechanisms.reformer_lsh import ReformerLSH
from inattention.attention.mechanisms.shared_query_key import SharedQueryKey
from inattention.testing import CLAIMS, Case

WAYS = (
    {"rounds": 1},
    {"rounds": 3},
    {"rounds": 2, "neighbours": "before"},
    {"rounds": 3, "same_bucket": True},
    {"rounds": 2, "same_bucket": True, "neighbours": "before"},
    {"rounds": 2, "chunk": 1},
)


def naive(mechanism: ReformerLSH, hidden: Tensor, valid: Tensor) -> Tensor:
    """The weights, one query at a time."""
    batch, time, width = hidden.shape
    heads, d = mechanism.heads, width // mechanism.heads
    projected = mechanism.query(hidden.masked_fill(~valid[..., None], 0.0)).detach()
    weights = torch.zeros(batch, heads, time, time)
    before, after = mechanism.reach
    for b in range(batch):
        real = [t for t in range(time) if valid[b, t]]
        for h in range(heads):
            q = projected[b, :, h * d : (h + 1) * d]
            found: dict[int, set[int]] = {i: set() for i in real}
            for rotation in mechanism.rotations[h]:
                rotated = {t: q[t] @ rotation for t in real}
                bucket = {t: int(torch.cat([x, -x]).argmax()) for t, x in rotated.items()}
                chunk = {t: s // mechanism.chunk for s, t in enumerate(sorted(real, key=lambda t: (bucket[t], t)))}
                for i in real:
                    near = {j for j in real if chunk[i] - before <= chunk[j] <= chunk[i] + after}
                    found[i] |= {j for j in near if bucket[i] == bucket[j]} if mechanism.same_bucket else near
            for i in real:
                keys = sorted(found[i] - {i}) or [i]
                exps = [math.exp(float(q[i] @ q[j] / q[j].norm())) for j in keys]
                for j, e in zip(keys, exps, strict=True):
                    weights[b, h, i, j] = e / sum(exps)
    return weights


def _small(seed: int = 0, **options: Any) -> ReformerLSH:
    torch.manual_seed(seed)
    mechanism = build("reformer-lsh", width=12, heads=2, **{"chunk": 3, "buckets": 4, **options})
    assert isinstance(mechanism, ReformerLSH)
    torch.nn.init.normal_(mechanism.query.weight, std=0.4)
    torch.nn.init.normal_(mechanism.query.bias, std=0.4)
    return mechanism.eval()


def _inputs() -> tuple[Tensor, Tensor, Tensor]:
    hidden, values = torch.randn(3, 17, 12), torch.randn(3, 2, 17, 6)
    valid = torch.rand(3, 17) < 0.8
    valid[1, 2:] = False
    valid[1, 1] = True
    valid[2] = True
    return hidden, values, valid


@pytest.mark.parametrize("options", WAYS)
@pytest.mark.parametrize("at_once", [reformer_lsh.SCORES_AT_ONCE, 100])
def test_weights_and_forward_are_the_definition(
    options: dict[str, Any], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reformer_lsh, "SCORES_AT_ONCE", at_once)
    mechanism = _small(**options)
    hidden, values, valid = _inputs()
    wanted, rows = naive(mechanism, hidden, valid), valid[:, None, :, None]
    assert torch.allclose(mechanism.weights(hidden, valid).masked_fill(~rows, 0), wanted, atol=1e-5)
    assert torch.allclose(mechanism(hidden, values, valid).masked_fill(~rows, 0), wanted @ values, atol=1e-5)


@pytest.mark.parametrize("options", WAYS)
def test_gradients_are_those_of_the_definition(options: dict[str, Any]) -> None:
    mechanism = _small(**options)
    hidden, values, valid = _inputs()
    gradients = []
    for how in (lambda h, v: mechanism(h, v, valid), lambda h, v: mechanism.weights(h, valid) @ v):
        h, v = hidden.clone().requires_grad_(), values.clone().requires_grad_()
        loss = how(h, v).masked_fill(~valid[:, None, :, None], 0.0).square().sum()
        gradients.append(torch.autograd.grad(loss, [h, v, *mechanism.parameters()]))
    for fast, defined in zip(*gradients, strict=True):
        assert torch.allclose(fast, defined, atol=1e-4)


@pytest.mark.parametrize("options", [{"chunk": 50}, {"chunk": 9, "rounds": 3}])
def test_one_chunk_and_its_neighbour_over_everything_is_full_shared_qk(options: dict[str, Any]) -> None:
    mechanism = _small(**options)
    full = build("shared-qk", width=12, heads=2, form="reformer").eval()
    assert isinstance(full, SharedQueryKey)
    full.query.load_state_dict(mechanism.query.state_dict())
    hidden, values, valid = _inputs()
    rows = valid[:, None, :, None]
    assert torch.allclose(
        mechanism(hidden, values, valid).masked_fill(~rows, 0),
        full(hidden, values, valid).masked_fill(~rows, 0),
        atol=1e-5,
    )
    assert torch.allclose(
        mechanism.weights(hidden, valid).masked_fill(~rows, 0),
        full.weights(hidden, valid).masked_fill(~rows, 0),
        atol=1e-5,
    )


def test_one_bucket_sorts_nothing() -> None:
    """Steps that all hash alike stay in order: what is left is a window of chunks."""
    mechanism = _small(rounds=2)
    torch.nn.init.zeros_(mechanism.query.weight)
    chosen = mechanism.weights(torch.randn(1, 12, 12), torch.ones(1, 12, dtype=torch.bool))[0, 0] > 0
    chunk = torch.arange(12) // 3
    assert torch.equal(chosen, ((chunk[:, None] - chunk).abs() <= 1) & ~torch.eye(12, dtype=torch.bool))


@pytest.mark.parametrize(
    "claim",
    ["forward_is_weights_times_values", "junk_in_padding_changes_nothing", "output_is_the_same_in_any_company"],
)
@pytest.mark.parametrize("options", [{"rounds": 2}, {"rounds": 2, "same_bucket": True}])
def test_the_suite_holds_for_many_chunks(options: dict[str, Any], claim: str) -> None:
    CLAIMS[claim](Case("reformer-lsh", {"chunk": 4, "buckets": 4, **options}, width=24, heads=4))


@pytest.mark.parametrize(
    "options", [{}, {"rounds": 1}, {"chunk": 16, "buckets": 64}, {"neighbours": "before"}, {"chunk": 500}]
)
def test_the_card_tells_the_operations_that_are_counted(options: dict[str, Any]) -> None:
    mechanism = build("reformer-lsh", width=192, heads=3, **options).eval()
    hidden, valid = torch.randn(1, 300, 192), torch.ones(1, 300, dtype=torch.bool)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        mechanism(hidden, torch.randn(1, 3, 300, 64), valid)
    assert card("reformer-lsh").flops(300, 192, 3, **options) == pytest.approx(counter.get_total_flops(), rel=0.02)


@pytest.mark.parametrize("options", [{"buckets": 3}, {"chunk": 0}, {"rounds": 0}, {"neighbours": "after"}])
def test_options_out_of_range_are_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=next(iter(options))):
        build("reformer-lsh", width=8, heads=2, **options)
