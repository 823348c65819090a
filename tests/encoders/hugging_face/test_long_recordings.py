"""Recordings of any length through encoders of `transformers`, read piece by piece."""

from typing import Any

import numpy as np
import pytest
import torch

from hugging_face_models import WAVEFORMS, bert_model, waveform_model, whisper_model
from inattention.audio.reader import long_audio
from inattention.encoders.converted import converted_copy
from inattention.encoders.converted_attention import Conversion, Replacement
from inattention.encoders.hugging_face import encoder_of, filterbanks, waveforms
from inattention.encoders.hugging_face.source import HuggingFaceEncoder
from inattention.model.reach import UnlimitedReach


def speech(samples: int) -> torch.Tensor:
    """Return noise that is not centred, so that normalisation matters."""
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(samples)) + 0.05


def long(
    source: HuggingFaceEncoder, samples: torch.Tensor, seconds: float | None = None, **options: Any
) -> torch.Tensor:
    blocks = None if seconds is None else source.blocks(seconds, **options)
    audio = long_audio(samples.numpy(), source.sampling_rate, rate=source.sampling_rate)
    frames, pieces = source.long_features(audio, blocks=blocks)
    found = torch.cat(list(pieces))
    assert len(found) == frames
    return found


def converted(family: str, row: str, heads: tuple[int, ...] | None = None) -> HuggingFaceEncoder:
    replacement = Replacement(row=row, heads=heads)
    return encoder_of(converted_copy(waveform_model(family), Conversion(layers=(replacement,) * 2, max_length=60)))


@pytest.mark.parametrize("family", [*WAVEFORMS, "wav2vec2-bert"])
def test_a_long_recording_has_the_features_of_the_whole(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = encoder_of(bert_model() if family == "wav2vec2-bert" else waveform_model(family))
    for room in (waveforms, filterbanks):
        monkeypatch.setattr(room, "LONGEST_SECONDS", 40.3 * source.step_seconds)
    monkeypatch.setattr(filterbanks, "BLOCK_FRAMES", 64)
    for steps in (1, 39, 40, 41, 161):
        samples = speech(source.samples(steps) + source.hop // 2)
        (whole,) = source.features([samples])
        torch.testing.assert_close(long(source, samples), whole, atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", ["wav2vec2-layer", "hubert-layer", "data2vec-audio"])
@pytest.mark.parametrize("row", ["local@window=2", "none", "toeplitz@table"])
def test_blocks_of_a_converted_encoder_are_one_pass_over_the_whole(family: str, row: str) -> None:
    source = converted(family, row)
    for steps in (1, 19, 20, 21, 40, 41, 60):
        samples = speech(source.samples(steps) + source.hop // 2)
        (whole,) = source.features([samples])
        got = long(source, samples, 20 * source.step_seconds)
        torch.testing.assert_close(got, whole, atol=1e-5, rtol=0)


def test_the_mechanisms_of_a_converted_encoder_are_put_back() -> None:
    source = converted("wav2vec2-layer", "toeplitz@table")
    before = [type(it.module.mechanism) for it in source.attention_modules()]
    long(source, speech(source.samples(90)), 20 * source.step_seconds)
    assert [type(it.module.mechanism) for it in source.attention_modules()] == before


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (lambda: encoder_of(waveform_model("wav2vec2-layer")), "layer 1 of 2: has query-key attention"),
        (lambda: converted("wav2vec2-layer", "none", heads=(0,)), "layer 1 of 2: has query-key attention"),
        (lambda: converted("wav2vec2-layer", "uniform"), "layer 1 of 2: uniform has no limited reach"),
        (lambda: converted("wav2vec2", "none"), "convolution 1: is normalised over all frames"),
        (lambda: encoder_of(waveform_model("wavlm-layer")), "query-key attention|depend on all frames"),
        (lambda: encoder_of(bert_model()), "depend on all frames"),
    ],
)
def test_an_encoder_without_a_limited_reach_is_refused(source: Any, reason: str) -> None:
    with pytest.raises(UnlimitedReach, match=reason):
        source().blocks(1.0)


@pytest.mark.parametrize("silence", [None, 5])
def test_whisper_hears_windows_of_its_longest_input(silence: int | None) -> None:
    source = encoder_of(whisper_model())
    source.silence = silence
    for steps in (1, 49, 50, 51, 100, 130):
        samples = speech(steps * source.hop - 7)
        (whole,) = source.features([samples])
        assert torch.equal(long(source, samples), whole)
        assert torch.equal(long(source, samples, 50 * source.step_seconds), whole)


def test_windows_of_whisper_overlap_and_each_frame_is_kept_where_it_lies_deepest() -> None:
    source = encoder_of(whisper_model())
    samples = speech(100 * source.hop)
    got = long(source, samples, 25 * source.step_seconds)
    windows = [source.features([samples[start * source.hop : (start + 50) * source.hop]])[0] for start in (0, 25, 50)]
    expected = torch.cat([windows[0][:37], windows[1][12:37], windows[2][12:]])
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=0)


def test_windows_of_whisper_that_would_not_meet_are_refused() -> None:
    source = encoder_of(whisper_model())
    with pytest.raises(ValueError, match="at most every 1 s, not every 2 s"):
        source.blocks(2.0)
    with pytest.raises(ValueError, match="a bound does not apply"):
        source.blocks(1.0, 1e-3)


def test_normalisation_is_over_the_whole_recording() -> None:
    source = encoder_of(waveform_model("wav2vec2-layer"))
    samples = torch.cat([speech(4000), 0.1 * speech(4000)])
    audio = long_audio(samples.numpy(), source.sampling_rate, rate=source.sampling_rate)
    got = np.concatenate(list(source._normalised(audio)))
    np.testing.assert_allclose(got, source.inputs([samples]).values[0].numpy(), atol=1e-5)
