"""A file is fed as the model is: features of recordings of any length are those of `inattention extract`."""

from typing import Any

import pytest
import torch

from graph_runners import graph_runner
from hugging_face_models import speech, waveform_model, whisper_model
from inattention.encoders.base import FeatureSource
from inattention.encoders.converted import converted_copy
from inattention.encoders.converted_attention import Conversion, Replacement
from inattention.encoders.hugging_face import WaveformEncoder, WhisperEncoder
from inattention.encoders.hugging_face import waveforms as waveforms_module
from inattention.encoders.ours import EncoderSource
from inattention.export.checks.exported import ExportedSource
from inattention.export.subject import OurSubject, Subject, WaveformSubject, WhisperSubject
from small_models import small_model


def converted(model: Any) -> Any:
    layers = (Replacement(row="toeplitz"),) * model.config.num_hidden_layers
    return converted_copy(model, Conversion(layers=layers, max_length=60))


SUBJECTS = {
    "ours": lambda: OurSubject(EncoderSource(small_model(attention="toeplitz"))),
    "whisper": lambda: WhisperSubject(WhisperEncoder(whisper_model())),
    "converted whisper": lambda: WhisperSubject(WhisperEncoder(converted(whisper_model()))),
    "hubert": lambda: WaveformSubject(WaveformEncoder(converted(waveform_model("hubert")))),
    "wav2vec2": lambda: WaveformSubject(WaveformEncoder(waveform_model("wav2vec2-layer"))),
}


@pytest.mark.parametrize("kind", SUBJECTS)
def test_features_are_those_of_the_model(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waveforms_module, "LONGEST_SECONDS", 0.04)  # pieces
    subject: Subject = SUBJECTS[kind]()
    layers = subject.source.layers
    file = ExportedSource(graph_runner(subject, [0, layers]), subject, [0, layers])
    assert isinstance(file, FeatureSource)
    waves = (
        speech(0.0016, 0.07) if isinstance(subject, WaveformSubject) else speech(0.06, 2.3)
    )  # a frame; several parts
    for layer in (0, -1):
        expected = subject.source.features(waves, layer=layer)
        for one, other in zip(file.features(waves, layer=layer), expected, strict=True):
            scale = other.square().mean().sqrt()
            torch.testing.assert_close(one / scale, other / scale, atol=1e-4, rtol=0)


def test_a_converted_whisper_hears_speech_and_silence_and_an_unmodified_one_its_whole_window() -> None:
    (wave,) = speech(0.2)
    frames = {}
    for kind in ("whisper", "converted whisper"):
        (part,) = SUBJECTS[kind]().parts(wave)
        frames[kind] = part.valid.shape[1]
        assert (part.start, part.end) == (0, 10)
    assert frames == {"whisper": 50, "converted whisper": 10 + 25}


def test_a_hidden_state_that_the_file_does_not_have() -> None:
    subject = SUBJECTS["ours"]()
    file = ExportedSource(graph_runner(subject, [2]), subject, [2])
    with pytest.raises(ValueError, match="has the hidden states 2 alone"):
        file.features(speech(0.5), layer=1)
