"""Fixed maps in real Hugging Face encoders, built from small configs."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

transformers = pytest.importorskip("transformers")

from inattention.conversion.derive import solve  # noqa: E402
from inattention.conversion.hugging_face import FixedMapAttention, replace_attention, valid_frames  # noqa: E402
from inattention.conversion.moments import Moments, moments_of  # noqa: E402
from inattention.encoders.hugging_face import HuggingFaceMaps  # noqa: E402

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "intermediate_size": 48,
    "conv_dim": (16, 16),
    "conv_kernel": (10, 4),
    "conv_stride": (5, 4),
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "initializer_range": 0.3,
}


def encoder(name: str, implementation: str = "sdpa") -> nn.Module:
    config = getattr(transformers, f"{name}Config")(**SIZES, attn_implementation=implementation)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return getattr(transformers, f"{name}Model")(config).eval()


def waveforms(batch: int, steps: int, seed: int = 0) -> Tensor:
    return torch.randn(batch, (steps - 1) * 20 + 25, generator=torch.Generator().manual_seed(seed))


def mean_maps(model: nn.Module, steps: int) -> Tensor:
    moments = moments_of(HuggingFaceMaps(model), [waveforms(4, steps)])
    assert isinstance(moments, Moments)
    return moments.mean_maps.float()


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["Wav2Vec2", "Hubert"])
def test_the_output_for_an_utterance_is_kept_if_the_maps_are_its_own(name: str, implementation: str) -> None:
    model = encoder(name, implementation)
    audio = waveforms(1, 30)
    moments = moments_of(HuggingFaceMaps(model), [audio])
    assert moments is not None
    with torch.no_grad():
        before = model(audio).last_hidden_state
        parameters = sum(p.numel() for p in model.parameters())
        removed = replace_attention(model, moments.mean_maps.float(), max_length=30)
        after = model(audio).last_hidden_state
        _, weights = model.encoder.layers[1].attention(torch.randn(1, 30, 32), output_attentions=True)
    assert removed == 2 * 2 * (32 * 32 + 32)
    assert not any("q_proj" in key or "k_proj" in key for key in model.state_dict())
    assert sum(p.numel() for p in model.parameters()) == parameters - removed + 2 * 4 * 30 * 30
    torch.testing.assert_close(after, before, atol=0.02, rtol=0)  # the floor of 1e-3 in every row
    torch.testing.assert_close(weights[0], moments.mean_maps[1].float(), atol=2e-3, rtol=0)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_padding_changes_nothing(implementation: str) -> None:
    model = encoder("Wav2Vec2", implementation)
    model.config.feat_extract_norm = "layer"
    replace_attention(model, mean_maps(model, 24), max_length=40)
    hidden = torch.randn(2, 20, 32, generator=torch.Generator().manual_seed(1))
    valid = torch.arange(20) < torch.tensor([20, 13])[:, None]
    with torch.no_grad():
        together = model.encoder(hidden.clone(), attention_mask=valid).last_hidden_state
        padding = torch.where(valid[..., None], hidden, 7.0)
        again = model.encoder(padding, attention_mask=valid).last_hidden_state
    torch.testing.assert_close(together[1, :13], again[1, :13])
    attention = model.encoder.layers[0].attention
    assert isinstance(attention, FixedMapAttention)
    with torch.no_grad():
        alone, _ = attention(hidden[1:, :13])
        mask = torch.zeros(2, 1, 20, 20).masked_fill(~valid[:, None, None], torch.finfo(torch.float32).min)
        for form in (valid, mask, mask == 0):
            torch.testing.assert_close(attention(hidden, attention_mask=form)[0][1, :13], alone[0])


def test_a_mask_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3, 4\) is not supported"):
        valid_frames(torch.ones(2, 3, 4), torch.zeros(2, 4, 8))


def test_derived_maps_work_for_longer_input_and_receive_gradients() -> None:
    model = encoder("Hubert")
    source = HuggingFaceMaps(model)
    derived = solve(*[moments_of(source, [waveforms(6, 24)])] * 3)
    assert bool((derived.errors["kept"] < derived.errors["uniform"]).all())
    replace_attention(model, derived.maps, max_length=50)
    model(waveforms(2, 45)).last_hidden_state.square().sum().backward()
    maps = [p for name, p in model.named_parameters() if name.endswith("mechanism.maps")]
    assert len(maps) == 2
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in maps)
    with pytest.raises(ValueError, match="51 frames"):
        model(waveforms(1, 51))


def test_attention_of_another_kind_is_refused() -> None:
    maps = torch.eye(8).expand(2, 4, 8, 8)
    with pytest.raises(ValueError, match="can be replaced"):
        replace_attention(encoder("WavLM", "eager"), maps, max_length=8)
    with pytest.raises(ValueError, match="can be replaced"):
        replace_attention(nn.Linear(2, 2), maps, max_length=8)
    with pytest.raises(ValueError, match="2 layers of 4 heads; the maps are for 3 of 4"):
        replace_attention(encoder("Wav2Vec2"), maps[:1].expand(3, -1, -1, -1), max_length=8)
