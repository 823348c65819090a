"""Every family of encoders: inputs, hidden states, features and times are those of `transformers`."""

from typing import Any

import pytest
import torch

from hugging_face_models import WAVEFORMS, bert_model, speech, waveform_model, whisper_model
from inattention.encoders.base import AttentionHandle, FeatureSource, MapSource, TrainedEncoder
from inattention.encoders.hugging_face import FilterbankEncoder, WaveformEncoder, WhisperEncoder, encoder_of

transformers = pytest.importorskip("transformers")

FAMILIES = [*WAVEFORMS, "wav2vec2-bert", "whisper"]


def model_of(family: str) -> Any:
    return {"wav2vec2-bert": bert_model, "whisper": whisper_model}.get(family, lambda: waveform_model(family))()


def encoder(family: str) -> Any:
    return encoder_of(model_of(family))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_a_trained_encoder(family: str) -> None:
    source = encoder(family)
    assert isinstance(source, TrainedEncoder)
    assert isinstance(source, FeatureSource)
    assert isinstance(source, MapSource)
    assert (source.layers, source.heads, source.width) == (2, 3, 24)
    kinds = {"wav2vec2-bert": FilterbankEncoder, "whisper": WhisperEncoder}
    assert isinstance(source, kinds.get(family, WaveformEncoder))


@pytest.mark.filterwarnings("ignore:Support for mismatched")  # PyTorch, about WavLM in transformers
@pytest.mark.parametrize("family", WAVEFORMS)
def test_waveforms_are_fed_and_encoded_as_transformers_does(family: str) -> None:
    model = waveform_model(family)
    by_layer = "layer" in family or family == "data2vec-audio"
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=by_layer, return_attention_mask=by_layer)
    source = encoder_of(model, extractor)
    waveforms = speech(0.3, 0.2)
    inputs = source.inputs(waveforms)
    expected = extractor([it.numpy() for it in waveforms], sampling_rate=16_000, padding=True, return_tensors="pt")
    assert (inputs.mask is not None) == by_layer
    assert torch.equal(inputs.values, expected["input_values"])
    with torch.no_grad():
        found = source.hidden_states(inputs)
        output = model(**expected, output_hidden_states=True)
    assert len(found) == 3
    for one, other in zip(found[:-1], output.hidden_states[:-1], strict=True):
        assert torch.equal(one, other)
    assert torch.equal(found[-1], output.last_hidden_state)
    assert inputs.steps == tuple(model._get_feat_extract_output_lengths(len(it)) for it in waveforms)


@pytest.mark.parametrize("family", [name for name in WAVEFORMS if "layer" in name])
def test_with_a_mask_padding_changes_nothing_at_real_frames(family: str) -> None:
    source = encoder(family)
    short, long = speech(0.2, 0.3)
    with torch.no_grad():
        together = source.hidden_states(source.inputs([short, long]))[-1][0]
    alone = source.features([short])[0]
    torch.testing.assert_close(together[: len(alone)], alone, atol=1e-4, rtol=1e-4)


def test_filterbanks_are_fed_and_encoded_as_transformers_does() -> None:
    model = bert_model()
    source = encoder_of(model)
    waveforms = speech(0.31, 0.2)
    inputs = source.inputs(waveforms)
    extractor = transformers.SeamlessM4TFeatureExtractor(padding_value=1)
    expected = extractor([it.numpy() for it in waveforms], sampling_rate=16_000, padding=True, return_tensors="pt")
    assert torch.equal(inputs.values, expected["input_features"])
    with torch.no_grad():
        found = source.hidden_states(inputs)
        output = model(**expected, output_hidden_states=True)
    assert torch.equal(found[-1], output.last_hidden_state)
    assert torch.equal(found[1], output.hidden_states[1])
    assert inputs.steps == (14, 9)
    assert inputs.mask is not None
    assert inputs.mask.sum(1).tolist() == [14, 9]


def test_whisper_at_its_full_length_is_that_of_transformers() -> None:
    whole = whisper_model()
    source = encoder_of(whole)
    inputs = source.inputs(speech(0.6, 1.0))
    extractor = transformers.WhisperFeatureExtractor(feature_size=8, chunk_length=1)
    expected = extractor([it.numpy() for it in speech(0.6, 1.0)], sampling_rate=16_000, return_tensors="pt")
    assert torch.equal(inputs.values, expected["input_features"])
    assert inputs.steps == (30, 50)
    with torch.no_grad():
        found = source.hidden_states(inputs)
        output = whole.model.encoder(expected["input_features"], output_hidden_states=True)
    for one, other in zip(found, output.hidden_states, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
    assert source.whole is whole
    assert source.model is whole.model.encoder


def test_whisper_at_its_own_length_is_whisper_with_fewer_positions() -> None:
    whole = whisper_model()
    inputs = encoder_of(whole).inputs(speech(0.4), steps=25)
    assert inputs.values.shape == (1, 8, 50)
    shorter = whisper_model(max_source_positions=25)
    weights = whole.state_dict()
    weights["model.encoder.embed_positions.weight"] = weights["model.encoder.embed_positions.weight"][:25]
    shorter.load_state_dict(weights)
    with torch.no_grad():
        found = encoder_of(whole).hidden_states(inputs)[-1]
        expected = shorter.model.encoder(inputs.values).last_hidden_state
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    own = WhisperEncoder(whole, silence=3)
    assert own.inputs(speech(0.4, 0.3)).values.shape == (2, 8, 46)
    with pytest.raises(ValueError, match="takes 1 to 16000 samples"):
        own.inputs(speech(1.1))


@pytest.mark.parametrize("family", FAMILIES)
def test_features_are_hidden_states_of_each_utterance_alone(family: str) -> None:
    source = encoder(family)
    waveforms = speech(0.3, 0.2)
    every, last = source.features(waveforms, all_layers=True), source.features(waveforms)
    for waveform, states, output in zip(waveforms, every, last, strict=True):
        assert states.shape == (source.steps(len(waveform)), 3, 24)
        assert torch.equal(states[:, -1], output)
        with torch.no_grad():
            alone = source.hidden_states(source.inputs([waveform]))
        torch.testing.assert_close(states[:, 1], alone[1][0, : len(states)], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["wav2vec2-bert", "whisper"])
@pytest.mark.parametrize("frame", [3, 8])
def test_a_frame_of_a_spectrum_is_where_the_source_says(family: str, frame: int) -> None:
    source = encoder(family)
    waveform = speech(0.3)[0]
    center = round((source.first_center_seconds + frame * source.step_seconds) * 16_000)
    changed = waveform.clone()
    changed[center - 40 : center + 40] += 0.3
    before, after = (source.features([it], all_layers=True)[0][:, 0] for it in (waveform, changed))
    change = (after - before).norm(dim=1)
    affected = (change > 0.2 * change.max()).nonzero()[:, 0]
    assert (int(affected.min()) + int(affected.max())) / 2 == frame


def test_a_frame_of_a_waveform_is_in_the_middle_of_what_it_sees() -> None:
    source = encoder("wav2vec2-layer")
    values = speech(0.05)[0][None].requires_grad_()
    source.model.feature_extractor(values)[0, :, 7].sum().backward()
    assert values.grad is not None
    seen = values.grad[0].nonzero()[:, 0]
    middle = (int(seen.min()) + int(seen.max()) + 1) / 2 / 16_000
    assert middle == pytest.approx(source.first_center_seconds + 7 * source.step_seconds)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "whisper"])
def test_long_recordings_are_cut_where_frames_follow_each_other(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = encoder(family)
    module = "filterbanks" if family == "wav2vec2-bert" else "waveforms"
    waveform = speech(0.35)[0]
    whole = source.features([waveform])[0]
    monkeypatch.setattr(f"inattention.encoders.hugging_face.{module}.LONGEST_SECONDS", 0.1)
    parts = list(source.parts(waveform))
    assert len(parts) > 2
    assert sum(part.steps[0] for part in parts) == len(whole)
    assert source.features([waveform])[0].shape == whole.shape


def test_whisper_encodes_long_recordings_in_windows_of_its_length() -> None:
    source = encoder("whisper")
    waveform = speech(2.3)[0]
    found = source.features([waveform])[0]
    assert len(found) == source.steps(len(waveform)) == 115
    torch.testing.assert_close(found[50:100], source.features([waveform[16_000:32_000]])[0])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_crop_has_the_requested_frames_and_maps_that_sum_to_one(family: str) -> None:
    source = encoder(family)
    waveform = speech(0.4)[0]
    starts = source.starts(len(waveform), 9)
    assert starts == source.steps(len(waveform)) - 8
    crops = [source.crop(waveform, start, 9) for start in (0, starts - 1)]
    maps = source.maps(torch.stack([crop.inputs for crop in crops]))
    assert maps.shape == (2, 2, 3, 9, 9)
    torch.testing.assert_close(maps.sum(-1), torch.ones(2, 2, 3, 9))
    assert crops[1].log_mel.shape[0] == 9
    assert crops[1].start_seconds == pytest.approx((starts - 1) * source.step_seconds)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "whisper"])
def test_too_short_recordings_are_refused(family: str) -> None:
    source = encoder(family)
    needed = source.samples(1)
    with pytest.raises(ValueError, match=f"is too short .*: {needed - 1} samples .* at least {needed}"):
        source.features([speech(1.0)[0][: needed - 1]])
    assert len(source.features([speech(1.0)[0][:needed]])[0]) == 1


@pytest.mark.parametrize("family", [name for name in FAMILIES if "wavlm" not in name and "bert" not in name])
def test_attention_modules_are_in_order_and_have_their_projections(family: str) -> None:
    source = encoder(family)
    handles = source.attention_modules()
    assert [handle.path.split("layers.")[1].split(".")[0] for handle in handles] == ["0", "1"]
    for handle in handles:
        assert isinstance(handle, AttentionHandle)
        assert source.model.get_submodule(handle.path) is handle.module
        assert (handle.width, handle.heads, handle.head_dim) == (24, 3, 8)
        assert handle.query is handle.module.q_proj
        assert handle.output is handle.module.out_proj


@pytest.mark.parametrize("family", ["wavlm", "wavlm-layer"])
def test_wavlms_attention_is_refused_by_name(family: str) -> None:
    with pytest.raises(ValueError, match="wavlm: attention cannot be replaced: a position bias"):
        encoder(family).attention_modules()


def test_berts_attention_is_refused_unless_it_has_no_positions() -> None:
    for kind in ("relative_key", "relative", "rotary"):
        with pytest.raises(ValueError, match=f"wav2vec2-bert: .* relative positions \\('{kind}'\\)"):
            encoder_of(bert_model(position_embeddings_type=kind)).attention_modules()
    handles = encoder_of(bert_model(position_embeddings_type=None)).attention_modules()
    assert handles[1].query is handles[1].module.linear_q


def test_a_head_on_an_encoder_is_left_out() -> None:
    inner = waveform_model("wav2vec2")
    config = transformers.Wav2Vec2Config(**{**inner.config.to_dict(), "vocab_size": 5})
    whole = transformers.Wav2Vec2ForCTC(config).eval()
    whole.wav2vec2.load_state_dict(inner.state_dict(), strict=False)
    waveforms = speech(0.2)
    assert torch.equal(encoder_of(whole).features(waveforms)[0], encoder_of(inner).features(waveforms)[0])


def test_a_feature_extractor_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="WhisperFeatureExtractor, returns input_features, the encoder takes"):
        encoder_of(waveform_model("hubert"), transformers.WhisperFeatureExtractor())
    with pytest.raises(ValueError, match="returns 3000 frames of 80 bins, the encoder takes 100 of 8"):
        encoder_of(whisper_model(), transformers.WhisperFeatureExtractor())


def test_models_keep_their_mode() -> None:
    source = encoder_of(waveform_model("wav2vec2-layer").train())
    one, two = source.features(speech(0.2) * 2)
    assert torch.equal(one, two)
    assert source.model.training
