"""The sparse mechanisms against double loops written from their definitions, and what they share."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from inattention import attention
from inattention.attention.ops.sparse_patterns import SparseAttention

Rule = Callable[[int, int, int], bool]  # may query i attend to key j, for this length l?

RULES: dict[str, tuple[Rule, Rule]] = {
    "sparse-strided": (lambda i, j, size: abs(i - j) <= size, lambda i, j, size: (i - j) % size == 0),
    "sparse-fixed": (lambda i, j, size: i // size == j // size, lambda i, j, size: j % size == size - 1),
    "local": (lambda i, j, size: abs(i - j) <= size, lambda i, j, size: abs(i - j) <= size),
}
LENGTH_OPTION = {"sparse-strided": "stride", "sparse-fixed": "stride", "local": "window"}
WIDTH, HEADS = 16, 4


def build(name: str, max_length: int | None = 40, **options: Any) -> SparseAttention:
    torch.manual_seed(0)
    mechanism = attention.build(name, width=WIDTH, heads=HEADS, max_length=max_length, **options)
    assert isinstance(mechanism, SparseAttention)
    # Projections as they start are so small that all weights are nearly even.
    for parameter in mechanism.parameters():
        torch.nn.init.normal_(parameter)
    return mechanism.double()


def draw(batch: int, time: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(time)
    hidden = torch.randn(batch, time, WIDTH, generator=generator, dtype=torch.float64)
    return hidden, torch.randn(batch, HEADS, time, WIDTH // HEADS, generator=generator, dtype=torch.float64)


def by_hand(
    mechanism: SparseAttention,
    hidden: Tensor,
    values: Tensor,
    valid: Tensor,
    rules: tuple[Rule, Rule],
    lengths: list[int],
) -> Tensor:
    """Query by query: the first half of the heads by the first rule, the second half by the second."""
    output = torch.zeros_like(values)
    for b, length in enumerate(lengths):
        query = mechanism.query(hidden[b]).unflatten(-1, (HEADS, -1))
        key = query if mechanism.key is None else mechanism.key(hidden[b]).unflatten(-1, (HEADS, -1))
        for h in range(HEADS):
            rule = rules[h >= HEADS // 2]
            for i in valid[b].nonzero()[:, 0].tolist():
                keys = [j for j in valid[b].nonzero()[:, 0].tolist() if rule(i, j, length)] or [i]
                scores = torch.stack([query[i, h] @ key[j, h] for j in keys]) / math.sqrt(WIDTH // HEADS)
                output[b, h, i] = scores.softmax(-1) @ values[b, h, keys]
    return output


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    ("time", "length"), [(1, 3), (2, 3), (12, 3), (13, 3), (14, 3), (14, 1), (14, 40), (41, 6)], ids=str
)
def test_forward_is_the_definition_by_hand(name: str, time: int, length: int) -> None:
    mechanism = build(name, **{LENGTH_OPTION[name]: length})
    hidden, values = draw(2, time)
    valid = torch.rand(2, time, generator=torch.Generator().manual_seed(1)) < 0.7
    valid[0] = True
    with torch.no_grad():
        expected = by_hand(mechanism, hidden, values, valid, RULES[name], [length] * 2)
        for output in (mechanism(hidden, values, valid), mechanism.weights(hidden, valid) @ values):
            assert torch.allclose(output.masked_fill(~valid[:, None, :, None], 0), expected)


@pytest.mark.parametrize("name", RULES)
def test_length_is_the_root_of_max_length_or_of_each_utterance(name: str) -> None:
    hidden, values = draw(4, 26)
    valid = torch.arange(26) < torch.tensor([9, 26, 1, 17])[:, None]
    valid[0, 4] = False  # eight valid steps are left
    with torch.no_grad():
        for options, lengths in (({}, [6, 6, 6, 6]), ({"per_utterance": True}, [2, 5, 1, 4])):
            mechanism = build(name, **options)
            expected = by_hand(mechanism, hidden, values, valid, RULES[name], lengths)
            output = mechanism(hidden, values, valid).masked_fill(~valid[:, None, :, None], 0)
            assert torch.allclose(output, expected)


@pytest.mark.parametrize("name", RULES)
def test_queries_and_keys_may_be_apart(name: str) -> None:
    shared, separate = build(name), build(name, share=False)
    assert not any(n.startswith("key") for n, _ in shared.named_parameters())
    hidden, values = draw(1, 20)
    valid = torch.ones(1, 20, dtype=torch.bool)
    with torch.no_grad():
        expected = by_hand(separate, hidden, values, valid, RULES[name], [6])
        assert torch.allclose(separate(hidden, values, valid), expected)


@pytest.mark.parametrize("name", ["sparse-strided", "sparse-fixed"])
@pytest.mark.parametrize("first", [0, 1, 4])
def test_heads_may_be_split_anywhere(name: str, first: int) -> None:
    mechanism, halves = build(name, head_split=first), build(name)
    near, far = halves.allowed(20, 6)[0], halves.allowed(20, 6)[-1]
    assert mechanism.allowed(20, 6).equal(torch.stack([near] * first + [far] * (HEADS - first)))
    hidden, values = draw(2, 20)
    valid = torch.ones(2, 20, dtype=torch.bool)
    assert torch.allclose(mechanism(hidden, values, valid), mechanism.weights(hidden, valid) @ values)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("options", [{}, {"per_utterance": True}], ids=["fixed", "per-utterance"])
def test_gradients_are_those_of_the_definition(name: str, options: dict) -> None:
    mechanism = build(name, **options)
    valid = torch.rand(3, 40, generator=torch.Generator().manual_seed(3)) < torch.tensor([2.0, 0.8, 0.3])[:, None]
    gradients = []
    for way in (mechanism, lambda hidden, values, valid: mechanism.weights(hidden, valid) @ values):
        hidden, values = (x.requires_grad_() for x in draw(3, 40))
        output = way(hidden, values, valid).masked_fill(~valid[:, None, :, None], 0)
        gradients.append(torch.autograd.grad(output.square().sum(), [hidden, values, *mechanism.parameters()]))
    for fast, defined in zip(*gradients, strict=True):
        assert torch.allclose(fast, defined)


def _count_fused(query: tuple, key: tuple, values: tuple, *_: object, out_shape: object = None, **__: object) -> int:
    return sdpa_flop_count(query, key, values)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, options) for name in RULES for options in ({}, {"share": False})),
        ("sparse-strided", {"head_split": 1, "stride": 7}),
        ("sparse-fixed", {"head_split": 3, "summary": 4, "stride": 13}),
        ("local", {"window": 20}),
        *(("longformer", o) for o in ({}, {"global_steps": 0}, {"global_steps": 5, "global_projections": False})),
        ("longformer", {"dilation": 3, "dilated_heads": 2, "window": 5}),
    ],
    ids=str,
)
def test_card_counts_what_pytorch_counts(name: str, options: dict) -> None:
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    for time in (30, 150, 151):
        mechanism = attention.build(name, width=48, heads=12, max_length=time, **options)
        valid = torch.ones(1, time, dtype=torch.bool)
        with FlopCounterMode(display=False, custom_mapping={fused: _count_fused}) as counter, torch.no_grad():
            mechanism(torch.randn(1, time, 48), torch.randn(1, 12, time, 4), valid)
        assert mechanism.card.flops(time, 48, 12, **options) == pytest.approx(counter.get_total_flops(), rel=0.01)


class _Largest(TorchDispatchMode):
    """Notes the largest tensor that any operation gives, and how often fused attention ran."""

    size, fused = 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for one in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(one, Tensor) and one.is_contiguous():  # overlapping views take no room of their own
                self.size = max(self.size, one.numel())
        self.fused += func is torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default
        return result


@pytest.mark.parametrize("name", [*RULES, "longformer"])
def test_forward_forms_no_time_by_time_tensor(name: str) -> None:
    time = 1024
    mechanism = attention.build(name, width=24, heads=12, max_length=time)
    hidden, values = torch.randn(1, time, 24), torch.randn(1, 12, time, 2)
    for last in (time, time - 100):
        with _Largest() as largest, torch.no_grad():
            mechanism(hidden, values, torch.arange(time)[None] < last)
        assert largest.fused, "fused attention did not run"
        assert largest.size < time**2 / 4, f"a tensor of {largest.size} numbers was made"


@pytest.mark.parametrize("name", RULES)
def test_a_window_over_everything_is_plain_attention(name: str) -> None:
    mechanism = build(name, **{LENGTH_OPTION[name]: 40})
    hidden, values = draw(2, 40)
    query = mechanism.query(hidden).unflatten(-1, (HEADS, -1)).transpose(1, 2)
    output = mechanism(hidden, values, torch.ones(2, 40, dtype=torch.bool))
    windows = HEADS if name == "local" else HEADS // 2
    expected = F.scaled_dot_product_attention(query, query, values)
    assert torch.allclose(output[:, :windows], expected[:, :windows])


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"length": -1}, "0 .*or more, not -1"),
        ({"length": 3, "per_utterance": True}, "must be 0 with it, not 3"),
        ({"max_length": None}, "set .*max_length"),
    ],
    ids=str,
)
def test_wrong_options_are_named(name: str, options: dict, words: str) -> None:
    options = {LENGTH_OPTION[name] if k == "length" else k: v for k, v in options.items()}
    with pytest.raises(ValueError, match=words):
        build(name, **options)


@pytest.mark.parametrize("name", ["sparse-strided", "sparse-fixed"])
def test_more_heads_than_there_are_cannot_be_split_off(name: str) -> None:
    with pytest.raises(ValueError, match="from 0 to 4, not 5"):
        build(name, head_split=5)
