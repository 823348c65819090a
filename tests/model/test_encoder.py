from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from inattention import attention
from inattention.attention.mechanisms.query_key import QueryKey
from inattention.model.encoder import Encoder, Layer, MultiHeadAttention, positions
from inattention.model.transformer import AudioTransformer
from small_models import small_config, small_input, small_model

TOLERANCE = 2e-5


def mask(*lengths: int, time: int) -> Tensor:
    return torch.arange(time) < torch.tensor(lengths)[:, None]


def randomise(module: nn.Module) -> None:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)


def copy_attention(ours: MultiHeadAttention, mechanism: QueryKey, theirs: nn.MultiheadAttention) -> None:
    with torch.no_grad():
        parts = (mechanism.query, mechanism.key, ours.value)
        theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        theirs.out_proj.load_state_dict(ours.output.state_dict())


def test_qk_is_pytorch_s_multi_head_attention():
    ours, theirs = MultiHeadAttention(24, 4).double(), nn.MultiheadAttention(24, 4, batch_first=True).double()
    mechanism = attention.build("qk", width=24, heads=4).double()
    assert isinstance(mechanism, QueryKey)
    randomise(ours)
    randomise(mechanism)
    copy_attention(ours, mechanism, theirs)
    hidden, valid = torch.randn(3, 11, 24, dtype=torch.float64), mask(11, 7, 1, time=11)
    expected, maps = theirs(hidden, hidden, hidden, key_padding_mask=~valid, average_attn_weights=False)
    torch.testing.assert_close(ours(hidden, valid, mechanism)[valid], expected[valid], atol=1e-10, rtol=0)
    weights = mechanism.weights(hidden, valid)
    torch.testing.assert_close(weights.transpose(1, 2)[valid], maps.transpose(1, 2)[valid], atol=1e-10, rtol=0)


def copy_layer(ours: Layer, mechanism: QueryKey, theirs: nn.TransformerEncoderLayer) -> None:
    copy_attention(ours.attention, mechanism, theirs.self_attn)
    pairs = {
        theirs.norm1: ours.attention_norm,
        theirs.linear1: ours.expand,
        theirs.linear2: ours.contract,
        theirs.norm2: ours.feed_forward_norm,
    }
    for their_part, our_part in pairs.items():
        their_part.load_state_dict(our_part.state_dict())


def test_the_encoder_is_a_stack_of_pytorch_s_layers():
    encoder = Encoder(small_config(attention="qk", share_layers=False, maps="per-layer", layers=3)).double().eval()
    randomise(encoder)
    stack = []
    for ours, mechanism in encoder.depth():
        theirs = nn.TransformerEncoderLayer(
            24, 12, 32, dropout=0.0, activation="gelu", layer_norm_eps=1e-12, batch_first=True, norm_first=False
        ).double()
        assert isinstance(mechanism, QueryKey)
        copy_layer(ours, mechanism, theirs)
        stack.append(theirs)
    features, valid = small_input(3, 20).double(), mask(20, 13, 2, time=20)
    output = encoder(features, valid, output_hidden_states=True)
    assert output.hidden_states is not None
    hidden = output.hidden_states[0]
    for depth, theirs in enumerate(stack, start=1):
        hidden = theirs(hidden, src_key_padding_mask=~valid)
        torch.testing.assert_close(output.hidden_states[depth][valid], hidden[valid], atol=1e-10, rtol=0)
    torch.testing.assert_close(output.last_hidden_state[valid], hidden[valid], atol=1e-10, rtol=0)


def test_the_input_is_projected_given_positions_and_normalised():
    encoder = Encoder(small_config()).double()
    randomise(encoder)
    features, valid = small_input(2, 9).double(), torch.ones(2, 9, dtype=torch.bool)
    states = encoder(features, valid, output_hidden_states=True).hidden_states
    assert states is not None
    expected = encoder.embed_norm(encoder.embed(features) + positions(9, 24, features))
    torch.testing.assert_close(states[0], expected)


def test_positions_are_interleaved_sines_and_cosines():
    table = positions(50, 6, torch.zeros((), dtype=torch.float64))
    for step in (0, 1, 49):
        for pair in range(3):
            angle = torch.tensor(step / 10_000 ** (2 * pair / 6), dtype=torch.float64)
            expected = torch.stack([angle.sin(), angle.cos()])
            torch.testing.assert_close(table[step, 2 * pair : 2 * pair + 2], expected, atol=1e-5, rtol=0)


def seen_from(model: AudioTransformer, step: int, valid: Tensor) -> Tensor:
    """Return which frames of which utterance change one frame of the first utterance."""
    features = small_input(*valid.shape).requires_grad_()
    output = model(features, valid).last_hidden_state[0, step]
    (output * torch.randn(output.shape, generator=torch.Generator().manual_seed(3))).sum().backward()
    assert features.grad is not None
    return features.grad.abs().sum(-1) > 0


def test_without_mixing_a_step_sees_itself_alone():
    seen = seen_from(small_model(attention="none"), 4, mask(10, 10, time=10))
    assert seen.nonzero().tolist() == [[0, 4]]


@pytest.mark.parametrize("name", ["uniform", "qk", "shared-qk", "patterned", "synthesizer-random"])
def test_a_step_sees_all_valid_steps_of_its_utterance_and_nothing_else(name: str):
    seen = seen_from(small_model(attention=name), 4, mask(7, 10, time=10))
    assert seen.nonzero().tolist() == [[0, step] for step in range(7)]


@pytest.mark.parametrize("name", attention.mechanisms())
def test_an_utterance_is_the_same_alone_in_a_batch_and_beside_junk(name: str):
    model = small_model(attention=name, max_length=48)
    lengths = (48, 31, 8, 1)
    features, valid = small_input(4, 48), mask(*lengths, time=48)
    with torch.no_grad():
        dirty = torch.where(valid[..., None], features, float("nan"))
        together = model(dirty, valid).last_hidden_state
        for i, length in enumerate(lengths):
            alone = model(features[i : i + 1, :length]).last_hidden_state
            torch.testing.assert_close(together[i : i + 1, :length], alone, atol=TOLERANCE, rtol=0)
            end = min(48, length + 5)
            padded = model(dirty[i : i + 1, :end], valid[i : i + 1, :end]).last_hidden_state
            torch.testing.assert_close(padded[:, :length], alone, atol=TOLERANCE, rtol=0)
    assert together.isfinite().all()


def numbers_in(layer_width: int, feed_forward: int) -> int:
    attention_part = 2 * (layer_width**2 + layer_width)
    feed_forward_part = 2 * layer_width * feed_forward + layer_width + feed_forward
    return attention_part + feed_forward_part + 4 * layer_width


@pytest.mark.parametrize("share_layers", [True, False])
@pytest.mark.parametrize("maps", ["shared", "per-layer"])
def test_sharing_decides_how_much_is_learned(share_layers: bool, maps: str):
    model = small_model(attention="patterned", share_layers=share_layers, maps=maps, layers=3)
    embedding = 48 * 24 + 24 + 2 * 24
    expected = embedding + numbers_in(24, 32) * (1 if share_layers else 3) + 12 * 48**2 * (1 if maps == "shared" else 3)
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


def test_layers_of_their_own_differ():
    encoder = Encoder(small_config(share_layers=False, maps="per-layer", attention="qk"))
    (one, first), (two, second) = encoder.depth()
    assert not torch.equal(one.expand.weight, two.expand.weight)
    assert isinstance(first, QueryKey)
    assert isinstance(second, QueryKey)
    assert not torch.equal(first.query.weight, second.query.weight)


def test_shared_layers_are_the_same_at_every_depth():
    encoder = Encoder(small_config(layers=3))
    assert len({id(layer) for layer, _ in encoder.depth()}) == 1
    assert len({id(mechanism) for _, mechanism in encoder.depth()}) == 1
    assert len(encoder.depth()) == 3


def built(name: str, seed: int, **settings: Any) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return dict(AudioTransformer(small_config(attention=name, **settings)).named_parameters())


@pytest.mark.parametrize("share_layers", [True, False])
def test_models_of_one_seed_differ_in_their_mechanism_alone(share_layers: bool):
    one = built("qk", 5, share_layers=share_layers)
    for name in attention.mechanisms():
        two = built(name, 5, share_layers=share_layers)
        common = {key for key in one.keys() | two.keys() if "mechanisms" not in key}
        assert common == {key for key in two if "mechanisms" not in key}
        assert all(torch.equal(one[key], two[key]) for key in common)


def test_another_seed_is_another_model():
    one, two = built("qk", 5), built("qk", 6)
    assert not torch.equal(one["encoder.embed.weight"], two["encoder.embed.weight"])


def test_all_hidden_states_come_on_request():
    model, features = small_model(layers=3), small_input(2, 9)
    assert model(features).hidden_states is None
    output = model(features, output_hidden_states=True)
    assert output.hidden_states is not None
    assert len(output.hidden_states) == 4
    assert all(state.shape == (2, 9, 24) for state in output.hidden_states)
    assert torch.equal(output.hidden_states[-1], output.last_hidden_state)


@pytest.mark.parametrize("name", ["qk", "patterned", "uniform", "none"])
def test_attention_maps_are_weights_over_valid_steps(name: str):
    model, valid = small_model(attention=name, layers=3), mask(9, 5, time=9)
    maps = model.attention_maps(small_input(2, 9), valid)
    assert maps.shape == (3, 2, 12, 9, 9)
    rows = maps.sum(-1).permute(1, 3, 0, 2)
    torch.testing.assert_close(rows[valid], torch.ones_like(rows[valid]))
    assert not maps[:, 1, :, :5, 5:].any()


def test_attention_maps_of_a_layer_come_from_what_it_is_given():
    """Through shared weights, later layers look at other input and so have other maps; maps that look at none stay."""
    features = small_input(1, 9)
    looking = small_model(attention="qk").attention_maps(features)
    assert not torch.allclose(looking[0], looking[1])
    blind = small_model(attention="patterned").attention_maps(features)
    assert torch.equal(blind[0], blind[1])


@pytest.mark.parametrize("part", ["embed", "expand", "contract", "value", "output"])
def test_every_part_starts_as_bert_s_does(part: str):
    model = AudioTransformer(small_config(width=96, feed_forward=384))
    module = next(module for name, module in model.named_modules() if name.endswith(part))
    assert isinstance(module, nn.Linear)
    assert float(module.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    assert not module.bias.any()


def change(settings: dict[str, Any]) -> Tensor:
    model = small_model(**settings)
    model.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return model(small_input(1, 9)).last_hidden_state.detach()


OTHER: dict[str, Any] = {
    "attention": "uniform",
    "attention_options": {"init": "logits"},
    "heads": 6,
    "layers": 3,
    "feed_forward": 48,
    "share_layers": False,
    "maps": "per-layer",
    "dropout": 0.5,
    "norm_epsilon": 0.1,
}


@pytest.mark.parametrize("name", OTHER)
def test_every_setting_has_an_effect(name: str):
    assert not torch.allclose(change({}), change({name: OTHER[name]}), atol=1e-4)


def test_dropout_acts_in_training_alone():
    model = small_model(dropout=0.5)
    features = small_input(1, 9)
    with torch.no_grad():
        assert torch.equal(model(features).last_hidden_state, model(features).last_hidden_state)
        model.train()
        assert not torch.equal(model(features).last_hidden_state, model(features).last_hidden_state)


def refuses(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_longer_input_than_the_maps_is_refused_with_the_limit():
    model = small_model(attention="patterned", max_length=20)
    refuses(lambda: model(small_input(1, 21)), "21 frames.*20")
    refuses(lambda: model.attention_maps(small_input(1, 21)), "21 frames.*20")
    assert model(small_input(1, 20)).last_hidden_state.shape == (1, 20, 24)
    assert small_model(attention="qk", max_length=20)(small_input(1, 21)).last_hidden_state.shape == (1, 21, 24)
