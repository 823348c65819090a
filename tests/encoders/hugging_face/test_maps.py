"""Maps of Hugging Face encoders: one per head, of crops that yield exactly the requested frames."""

from typing import Any

import numpy as np
import pytest
import torch

from hugging_face_models import bert_model, speech, waveform_model, whisper_model
from inattention.analysis.capture import Captured, capture
from inattention.corpora.core.corpus import Corpus
from inattention.encoders.attention_modules import recorded_values
from inattention.encoders.hugging_face import HuggingFaceMaps, load_hugging_face
from inattention.encoders.open import as_source
from speech import make_corpus

transformers = pytest.importorskip("transformers")

SIZES: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 32,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
KINDS = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert", "wavlm": "WavLM"}


def model(kind: str, **settings: Any) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        name = KINDS[kind]
        made = getattr(transformers, f"{name}Model")(getattr(transformers, f"{name}Config")(**SIZES, **settings))
        for parameter in made.encoder.parameters():
            if parameter.ndim == 2:
                torch.nn.init.normal_(parameter, std=0.6)  # so that heads differ
    return made.eval()


def ast() -> torch.nn.Module:
    sizes = {name: SIZES[name] for name in list(SIZES)[:4]}
    config = transformers.ASTConfig(**sizes, max_length=64, num_mel_bins=32, frequency_stride=16, time_stride=16)
    torch.manual_seed(0)
    return transformers.ASTModel(config).eval()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("tones") / "corpus", {"train": 1, "dev": 3, "test": 1})


@pytest.mark.parametrize("kind", KINDS)
def test_maps_of_each_head_of_a_waveform_encoder(kind: str, corpus: Corpus) -> None:
    encoder = model(kind)
    found = capture(encoder, corpus, crop_steps=30)
    assert isinstance(found, Captured)
    assert found.mean.shape == (2, 3, 30, 30)
    assert found.step_seconds == 0.02
    np.testing.assert_allclose(found.mean.sum(-1), 1, atol=1e-5)
    assert np.abs(found.mean[:, 0] - found.mean[:, 1]).max() > 1e-3  # heads have maps of their own
    assert found.input_dependence.min() > 0
    assert found.singles[0].log_mel.shape == (30, 80)


def test_maps_of_whisper_and_of_filterbank_encoders(corpus: Corpus) -> None:
    for encoder in (whisper_model(), bert_model()):
        found = capture(encoder, corpus, crop_steps=20)
        assert isinstance(found, Captured)
        assert found.mean.shape == (2, 3, 20, 20)
        assert found.step_seconds == 0.02
        np.testing.assert_allclose(found.mean.sum(-1), 1, atol=1e-5)
        assert found.singles[0].log_mel.shape[0] == 20


@pytest.mark.parametrize("kind", KINDS)
def test_maps_reproduce_the_output_of_the_encoders_attention(kind: str) -> None:
    encoder = model(kind)
    source = HuggingFaceMaps(encoder)
    inputs = torch.randn(2, source.samples(12), generator=torch.Generator().manual_seed(1))
    seen: dict[str, torch.Tensor] = {}
    block = encoder.encoder.layers[0].attention
    hooks = [
        block.v_proj.register_forward_hook(lambda _m, _i, out: seen.update(values=out)),
        block.register_forward_hook(
            lambda _m, args, kwargs, out: seen.update(
                hidden=args[0] if args else kwargs["hidden_states"], mixed=out[0]
            ),
            with_kwargs=True,
        ),
    ]
    maps = source.maps(inputs)[0]
    for hook in hooks:
        hook.remove()
    values = block.v_proj(seen["hidden"]).unflatten(-1, (3, 8)).transpose(1, 2)
    mixed = block.out_proj((maps @ values).transpose(1, 2).flatten(2))
    torch.testing.assert_close(mixed, seen["mixed"], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("steps", [2, 9, 50])
def test_a_crop_yields_exactly_the_requested_frames(steps: int) -> None:
    source = HuggingFaceMaps(model("wav2vec2"))
    samples = source.samples(steps)
    assert [source.steps(samples - 1), source.steps(samples)] == [steps - 1, steps]
    assert [source.starts(samples - 1, steps), source.starts(samples + source.hop, steps)] == [0, 2]
    assert source.maps(torch.randn(1, samples)).shape[-1] == steps


def test_patches_of_a_spectrogram(corpus: Corpus) -> None:
    source = as_source(ast(), "patches")
    found = capture(source, corpus)
    assert found.steps == source.longest == 2 + 2 * 4
    assert found.step_seconds is None
    seen = found.singles[0].log_mel
    lowest = seen.min()
    assert (seen[2:6, 16:] == lowest).all()  # patches of the lower band come first
    assert (seen[6:, :16] == lowest).all()
    assert (seen[2:6, :16] > lowest).any()


def test_a_model_keeps_its_mode_and_its_kind_of_attention() -> None:
    encoder = model("hubert").train()
    before = encoder.config._attn_implementation
    HuggingFaceMaps(encoder).maps(torch.randn(1, 4000))
    assert encoder.training
    assert encoder.config._attn_implementation == before
    weights = torch.nn.MultiheadAttention(4, 2)(*[torch.zeros(3, 1, 4)] * 3)[1]
    assert weights is not None
    assert weights.shape == (1, 3, 3)  # averaged, as PyTorch does


def test_models_are_loaded_from_folders_and_errors_name_the_folder(tmp_path: Any) -> None:
    model("wav2vec2").save_pretrained(tmp_path / "saved")
    loaded = load_hugging_face(str(tmp_path / "saved"))
    inputs = torch.randn(1, 4000, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        HuggingFaceMaps(loaded).maps(inputs), HuggingFaceMaps(model("wav2vec2")).maps(inputs), atol=1e-6, rtol=1e-5
    )
    (tmp_path / "saved" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(ValueError, match="no safetensors file but"):
        load_hugging_face(str(tmp_path / "saved"))


@pytest.mark.parametrize("kind", ["wav2vec2", "whisper"])
def test_maps_of_converted_encoders_are_those_of_their_mechanisms(kind: str, tmp_path: Any) -> None:
    from inattention.encoders.converted import converted_copy
    from inattention.encoders.converted_attention import Conversion, Replacement
    from inattention.encoders.open import open_source

    original = whisper_model() if kind == "whisper" else waveform_model(kind)
    conversion = Conversion(layers=(Replacement(row="uniform"), None), max_length=60)
    converted_copy(original, conversion).save_pretrained(tmp_path)
    source, before = open_source(str(tmp_path)), as_source(original)
    inputs = source.crop(speech(0.4)[0], 1, 8).inputs[None]
    with recorded_values(source) as values:
        maps = source.maps(inputs)
    assert [value.shape for value in values] == [(1, 3, 8, 8)] * 2
    torch.testing.assert_close(maps[0], torch.full_like(maps[0], 1 / 8))
    assert (maps[1] - before.maps(inputs)[1]).abs().max() < 0.9
    assert (maps[1] - 1 / 8).abs().max() > 0.01
    torch.testing.assert_close(maps.sum(-1), torch.ones(2, 1, 3, 8))
    handles = source.attention_modules()  # ty: ignore[unresolved-attribute]
    assert [handle.query is None for handle in handles] == [True, False]
