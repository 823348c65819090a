"""Encoders from folders and hub names: their own feature extractor, complete weights, and errors that help."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch

from hugging_face_models import bert_model, speech, waveform_model, whisper_model
from inattention.audio.reader import load_audio
from inattention.encoders.base import TrainedEncoder
from inattention.encoders.hub import model_folder
from inattention.encoders.hugging_face import load_hugging_face
from inattention.encoders.open import open_encoder, open_features, open_source
from inattention.model.loading import ModelFolderError

transformers = pytest.importorskip("transformers")


def saved(model: Any, folder: Path, **extractor: Any) -> Path:
    """Save an encoder with a feature extractor of these settings."""
    model.save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(**extractor).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("normalise", [True, False])
def test_an_encoder_is_fed_by_the_feature_extractor_of_its_folder(normalise: bool, tmp_path: Path) -> None:
    source = open_encoder(str(saved(waveform_model("wavlm"), tmp_path / "wavlm", do_normalize=normalise)))
    (waveform,) = speech(0.2)
    values = source.inputs([waveform]).values[0]
    assert abs(float(values.mean())) < 1e-4 if normalise else torch.equal(values, waveform)
    assert torch.equal(source.crop(waveform, 0, 5).inputs, source.inputs([waveform[: source.samples(5)]]).values[0])  # ty: ignore[unresolved-attribute]


def test_whether_waveforms_are_normalised_changes_features_and_maps(tmp_path: Path) -> None:
    sources = [
        open_source(str(saved(waveform_model("wavlm"), tmp_path / str(it), do_normalize=it))) for it in (True, False)
    ]
    (waveform,) = speech(0.3)
    one, other = (source.maps(source.crop(waveform, 0, 20).inputs[None]) for source in sources)
    assert (one - other).abs().max() > 1e-4


def test_the_sampling_rate_and_the_mask_are_those_of_the_folder(tmp_path: Path) -> None:
    settings = {"sampling_rate": 8000, "return_attention_mask": True}
    source = open_encoder(str(saved(waveform_model("hubert"), tmp_path / "a", **settings)))
    assert source.sampling_rate == 8000
    assert source.step_seconds == 20 / 8000
    assert source.inputs(speech(0.1)).mask is not None


def test_a_feature_extractor_inside_a_processor_is_found(tmp_path: Path) -> None:
    whisper_model(max_source_positions=50).save_pretrained(tmp_path)
    extractor = transformers.WhisperFeatureExtractor(feature_size=8, chunk_length=2)
    (tmp_path / "processor_config.json").write_text(
        json.dumps({"feature_extractor": extractor.to_dict(), "processor_class": "WhisperProcessor"})
    )
    source = open_encoder(str(tmp_path))
    assert source.extractor.chunk_length == 2  # ty: ignore[unresolved-attribute]


def test_a_folder_without_feature_extractor_gets_that_of_the_published_encoders(tmp_path: Path) -> None:
    for name, model in (("bert", bert_model()), ("whisper", whisper_model()), ("hubert", waveform_model("hubert"))):
        model.save_pretrained(tmp_path / name)
        assert len(open_features(str(tmp_path / name)).features(speech(0.3))[0])


def test_adapters_are_left_out(tmp_path: Path) -> None:
    model = bert_model(add_adapter=True, num_adapter_layers=1)
    model.save_pretrained(tmp_path)
    plain = bert_model()
    plain.load_state_dict(model.state_dict(), strict=False)
    found = open_encoder(str(tmp_path)).features(speech(0.3))[0]
    assert len(found) == 14
    from inattention.encoders.hugging_face import encoder_of

    torch.testing.assert_close(found, encoder_of(plain).features(speech(0.3))[0])  # ty: ignore[unresolved-attribute]


def test_half_precision_is_loaded_as_single(tmp_path: Path) -> None:
    waveform_model("wav2vec2").half().save_pretrained(tmp_path)
    assert {p.dtype for p in load_hugging_face(str(tmp_path)).parameters()} == {torch.float32}


def test_missing_weights_are_never_replaced_by_random_ones(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    model = waveform_model("wav2vec2")
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.layers.1.attention.k_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelFolderError, match=r"1 weights are missing, such as encoder\.layers\.1\.attention\.k_proj"):
        load_hugging_face(str(tmp_path))


def test_pickled_weights_are_refused_with_what_to_do(tmp_path: Path) -> None:
    waveform_model("wav2vec2").config.save_pretrained(tmp_path)
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelFolderError, match=r"has no model\.safetensors; .*pickles.* are not read: load and save"):
        open_source(str(tmp_path))


def test_a_broken_feature_extractor_is_refused(tmp_path: Path) -> None:
    folder = saved(waveform_model("wav2vec2"), tmp_path)
    (folder / "preprocessor_config.json").write_text('{"feature_extractor_type": "Nothing"}')
    with pytest.raises(ModelFolderError, match="its feature extractor cannot be loaded"):
        open_source(str(folder))
    transformers.WhisperFeatureExtractor().save_pretrained(folder)
    with pytest.raises(ModelFolderError, match="the encoder takes input_values"):
        open_source(str(folder))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the hub with one model, some/hubert, and no network."""
    import huggingface_hub.constants

    folder = tmp_path / "hub"
    snapshot = folder / "models--some--hubert" / "snapshots" / "0123"
    snapshot.parent.mkdir(parents=True)
    saved(waveform_model("hubert"), snapshot, do_normalize=False)
    (folder / "models--some--hubert" / "refs").mkdir()
    (folder / "models--some--hubert" / "refs" / "main").write_text("0123")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return folder


def test_a_hub_name_in_the_cache_works_offline(cache: Path) -> None:
    source = open_source("some/hubert")
    assert isinstance(source, TrainedEncoder)
    assert source.name == "some/hubert"
    assert not source.extractor.do_normalize  # ty: ignore[unresolved-attribute]
    assert model_folder("some/hubert").name == "0123"


def test_an_unknown_name_is_answered_with_where_it_was_looked_for_and_what_to_do(cache: Path) -> None:
    with pytest.raises(ModelFolderError, match="some/other: is no folder") as refused:
        open_source("some/other")
    assert str(cache) in str(refused.value)
    assert "`hf download some/other`" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_model_whose_weights_are_not_in_the_cache_is_refused(cache: Path) -> None:
    (cache / "models--some--hubert" / "snapshots" / "0123" / "model.safetensors").unlink()
    with pytest.raises(ModelFolderError, match="`hf download some/hubert`"):
        open_source("some/hubert")


@pytest.mark.parametrize("name", ["", "./nowhere", "/no/where", "a/b/c", "mistyped", "../some/model"])
def test_what_can_be_no_hub_name_is_not_looked_for_there(name: str) -> None:
    with pytest.raises(ModelFolderError, match="there is no such folder"):
        model_folder(name)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelFolderError, match="is a file"):
        model_folder(str(tmp_path / "model.safetensors"))


WEIGHTS = "INATTENTION_WEIGHTS"


@pytest.mark.slow
@pytest.mark.skipif(WEIGHTS not in os.environ, reason=f"{WEIGHTS} names no folder of real models (recipes/whisper)")
def test_real_whisper_is_encoded_as_transformers_does() -> None:
    folder = Path(os.environ[WEIGHTS]) / "whisper-tiny.en"
    source: Any = open_encoder(str(folder))
    inputs = source.inputs(speech(3.0))
    with torch.no_grad():
        expected = source.model(inputs.values).last_hidden_state
        torch.testing.assert_close(source.hidden_states(inputs)[-1], expected, atol=1e-4, rtol=1e-4)
    assert len(source.attention_modules()) == 4


@pytest.mark.parametrize("layer", [-1, 0, 1])
def test_features_of_files_are_extracted_layer_by_layer(layer: int, tmp_path: Path) -> None:
    from extractions import extract, read, sound

    folder = saved(waveform_model("wavlm"), tmp_path / "model", do_normalize=False)
    (tmp_path / "in").mkdir()
    for name, seconds in (("a", 0.3), ("b", 0.5), ("short", 0.001)):
        soundfile.write(tmp_path / "in" / f"{name}.wav", sound(seconds), 16_000)
    done = extract(str(folder), tmp_path / "in", tmp_path / "out", layer=layer)
    assert (done.extracted, list(done.bad_files)) == (2, ["short.wav"])
    source = open_features(str(folder))
    features, times, metadata = read(tmp_path / "out" / "a.wav.safetensors")
    expected = source.features([load_audio(tmp_path / "in" / "a.wav", 16_000)], layer=layer)[0]
    assert torch.equal(features, expected)
    torch.testing.assert_close(times[:2], torch.tensor([0.00078125, 0.00203125]), check_dtype=False)
    again = extract(str(folder), tmp_path / "in", tmp_path / "out", layer=layer)
    assert (again.extracted, again.done_before) == (0, 2)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    with pytest.raises(ValueError, match="another model"):
        extract(str(folder), tmp_path / "in", tmp_path / "out", layer=layer)
    assert int(metadata["layer"]) == layer % 3


def test_hidden_states_of_any_layer_are_probed(tmp_path: Path) -> None:
    from inattention.cli.probe import run_probe
    from inattention.probing.config import ProbeConfig
    from toy_corpus import utterances, write_corpus

    folder = saved(waveform_model("hubert"), tmp_path / "hubert")
    corpus = write_corpus(tmp_path / "corpus", utterances(train=2, dev=1, test=1))
    settings: Any = {"tasks": ("speaker-utterance",), "epochs": 1, "bootstrap_draws": 10, "device": "cpu"}
    for layer in (0, 2, "weighted"):
        report = run_probe(str(folder), corpus.folder, None, ProbeConfig(layer=layer, **settings))
        assert (report.source, report.layer, report.width) == ("hubert", str(layer), 24)
    with pytest.raises(ValueError, match="there is no layer 3: hubert has hidden states 0 to 2"):
        run_probe(str(folder), corpus.folder, None, ProbeConfig(layer=3, **settings))
    with pytest.raises(ValueError, match="a number from 0"):
        ProbeConfig(layer=-1)
