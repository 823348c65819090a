"""`longformer` against double loops and against Hugging Face's."""

import math
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from inattention import attention
from inattention.attention.mechanisms.longformer import Longformer

WIDTH, HEADS, HEAD_DIM = 16, 4, 4


def build(**options: Any) -> Longformer:
    torch.manual_seed(0)
    mechanism = attention.build("longformer", width=WIDTH, heads=HEADS, **options)
    assert isinstance(mechanism, Longformer)
    for parameter in mechanism.parameters():
        torch.nn.init.normal_(parameter)
    return mechanism.double()


def draw(batch: int, time: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(time)
    hidden = torch.randn(batch, time, WIDTH, generator=generator, dtype=torch.float64)
    return hidden, torch.randn(batch, HEADS, time, HEAD_DIM, generator=generator, dtype=torch.float64)


def by_hand(mechanism: Longformer, hidden: Tensor, values: Tensor, valid: Tensor) -> Tensor:
    output = torch.zeros_like(values)
    w, s, g = mechanism.window, mechanism.dilation, mechanism.global_steps
    for b in range(len(hidden)):
        query, key = mechanism.query(hidden[b]), mechanism.key(hidden[b])
        asking, answering = query, key
        if mechanism.global_query is not None and mechanism.global_key is not None:
            asking, answering = mechanism.global_query(hidden[b]), mechanism.global_key(hidden[b])
        real = valid[b].nonzero()[:, 0].tolist()
        for h in range(HEADS):
            mine = slice(h * HEAD_DIM, (h + 1) * HEAD_DIM)
            step = s if h >= HEADS - mechanism.dilated_heads else 1
            for i in real:
                keys = [j for j in real if i < g or j < g or (abs(i - j) <= w * step and (i - j) % step == 0)]
                q, k = (asking[i, mine], answering[keys, mine]) if i < g else (query[i, mine], key[keys, mine])
                output[b, h, i] = (k @ q / math.sqrt(HEAD_DIM)).softmax(-1) @ values[b, h, keys]
    return output


@pytest.mark.parametrize(
    "options",
    [
        {"window": 2, "dilated_heads": 0, "global_steps": 0},
        {"window": 2, "dilated_heads": 2, "dilation": 3, "global_steps": 0},
        {"window": 3, "dilated_heads": 0, "global_steps": 2},
        {"window": 3, "dilated_heads": 1, "dilation": 2, "global_steps": 3},
        {"window": 3, "dilated_heads": 4, "dilation": 50, "global_steps": 1, "global_projections": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("time", [1, 2, 3, 17, 40])
def test_forward_is_the_definition_by_hand(time: int, options: dict) -> None:
    mechanism = build(**options)
    hidden, values = draw(2, time)
    valid = torch.rand(2, time, generator=torch.Generator().manual_seed(4)) < torch.tensor([2.0, 0.7])[:, None]
    with torch.no_grad():
        expected = by_hand(mechanism, hidden, values, valid)
        for output in (mechanism(hidden, values, valid), mechanism.weights(hidden, valid) @ values):
            assert torch.allclose(output.masked_fill(~valid[:, None, :, None], 0), expected)


def test_gradients_are_those_of_the_definition() -> None:
    mechanism = build(window=3, dilated_heads=1, global_steps=2)
    valid = torch.rand(3, 40, generator=torch.Generator().manual_seed(3)) < torch.tensor([2.0, 0.8, 0.3])[:, None]
    gradients = []
    for way in (mechanism, lambda hidden, values, valid: mechanism.weights(hidden, valid) @ values):
        hidden, values = (x.requires_grad_() for x in draw(3, 40))
        output = way(hidden, values, valid).masked_fill(~valid[:, None, :, None], 0)
        gradients.append(torch.autograd.grad(output.square().sum(), [hidden, values, *mechanism.parameters()]))
    for fast, defined in zip(*gradients, strict=True):
        assert torch.allclose(fast, defined)


def test_global_projections_start_as_copies() -> None:
    mechanism = Longformer(width=WIDTH, heads=HEADS, window=2)
    assert mechanism.global_query is not None
    assert mechanism.global_key is not None
    assert mechanism.global_query.weight.equal(mechanism.query.weight)
    assert mechanism.global_key.weight.equal(mechanism.key.weight)


@pytest.mark.parametrize("global_steps", [0, 1, 3])
def test_equals_hugging_face(global_steps: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        modeling = pytest.importorskip(
            "transformers.models.longformer.modeling_longformer", reason="transformers is not installed"
        )
    window, time = 4, 24  # a multiple of its window of 2 x 4, as it asks for
    mechanism = build(window=window, dilated_heads=0, global_steps=global_steps)
    config = modeling.LongformerConfig(
        hidden_size=WIDTH, num_attention_heads=HEADS, attention_window=[2 * window], attention_probs_dropout_prob=0.0
    )
    theirs = modeling.LongformerSelfAttention(config, 0).double().eval()
    theirs.query.load_state_dict(mechanism.query.state_dict())
    theirs.key.load_state_dict(mechanism.key.state_dict())
    if mechanism.global_query is not None and mechanism.global_key is not None:
        theirs.query_global.load_state_dict(mechanism.global_query.state_dict())
        theirs.key_global.load_state_dict(mechanism.global_key.state_dict())
    theirs.value_global.load_state_dict(theirs.value.state_dict())  # our values have one projection, the layer's

    hidden, _ = draw(2, time)
    valid = torch.arange(time) < torch.tensor([time, 13])[:, None]
    is_global = (torch.arange(time) < global_steps).expand(2, -1)
    mask = torch.where(is_global, 10000.0, 0.0).masked_fill(~valid, -10000.0).double()
    with torch.no_grad():
        wanted = theirs(
            hidden,
            attention_mask=mask,
            is_index_masked=~valid,
            is_index_global_attn=is_global,
            is_global_attn=global_steps > 0,
        )[0]
        values = theirs.value(hidden).unflatten(-1, (HEADS, -1)).transpose(1, 2)
        output = mechanism(hidden, values, valid).transpose(1, 2).flatten(2)
    # Theirs takes the softmax in single precision, whatever it is given.
    assert torch.allclose(output[valid], wanted[valid], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window": -1}, "not -1"),
        ({}, "give window or max_length"),
        ({"window": 2, "dilation": 0}, "dilation must be at least 1"),
        ({"window": 2, "dilated_heads": 5}, "from 0 to 4.*not 5"),
        ({"window": 2, "global_steps": -2}, "not -2"),
    ],
    ids=str,
)
def test_wrong_options_are_named(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build(**options)
