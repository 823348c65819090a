"""Our encoders as a source: features and maps are the model's own, and its frames are counted right."""

import pytest
import torch

from inattention.audio.frames import features as features_of
from inattention.encoders.base import FeatureSource, MapSource
from inattention.encoders.mel import MelSource
from inattention.encoders.ours import EncoderSource
from small_models import SMALL_FEATURES, small_model


@pytest.fixture(scope="module")
def source() -> EncoderSource:
    return EncoderSource(small_model(attention="qk"), "small")


def waveform(samples: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def test_an_encoder_is_a_source_of_features_and_of_maps_and_mel_features_have_no_maps(source: EncoderSource) -> None:
    assert isinstance(source, FeatureSource)
    assert isinstance(source, MapSource)
    mel = MelSource(SMALL_FEATURES)
    assert isinstance(mel, FeatureSource)
    assert not isinstance(mel, MapSource)


def test_all_layers_are_the_embedded_input_and_every_layer(source: EncoderSource) -> None:
    short, long = waveform(16_000), waveform(20_000, seed=1)
    last, every = source.features([short, long]), source.features([short, long], all_layers=True)
    for alone, layers in zip(last, every, strict=True):
        assert layers.shape == (len(alone), source.layers + 1, source.width)
        torch.testing.assert_close(layers[:, -1], alone)
    (mel,) = MelSource(SMALL_FEATURES).features([short], all_layers=True)
    assert mel.shape[1] == MelSource(SMALL_FEATURES).layers + 1


@pytest.mark.parametrize("samples", [0, 1, 599, 600, 16_000, 20_001])
def test_frames_are_counted_before_they_are_computed(samples: int, source: EncoderSource) -> None:
    counted = source.steps(samples)
    if counted:
        assert counted == len(features_of(waveform(samples), SMALL_FEATURES))
    assert source.starts(samples, 10) == max(0, counted - 9)


def test_a_crop_is_cut_from_the_features_of_the_whole_utterance(source: EncoderSource) -> None:
    audio = waveform(16_000)
    crop = source.crop(audio, 4, 12)
    torch.testing.assert_close(crop.inputs, features_of(audio, SMALL_FEATURES)[4:16])
    assert crop.log_mel.shape == (12, SMALL_FEATURES.mels)
    assert crop.start_seconds == 4 * source.step_seconds
    maps = source.maps(crop.inputs[None])
    torch.testing.assert_close(maps, source.model.attention_maps(crop.inputs[None]))


def test_each_module_keeps_its_own_mode() -> None:
    model = small_model(attention="qk").train()
    model.encoder.embed.eval()
    EncoderSource(model).maps(torch.randn(1, 10, SMALL_FEATURES.size))
    assert model.training
    assert not model.encoder.embed.training
