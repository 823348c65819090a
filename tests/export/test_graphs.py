"""What is exported computes what the model does, before any file is written: each utterance as alone, in any batch."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hugging_face_models import WAVEFORMS, speech, waveform_model, whisper_model
from inattention import attention
from inattention.encoders.converted import converted_copy
from inattention.encoders.converted_attention import Conversion, Replacement
from inattention.encoders.hugging_face import WaveformEncoder, WhisperEncoder
from inattention.encoders.ours import EncoderSource
from inattention.export.config import ExportConfig
from inattention.export.prepare import prepare
from inattention.export.subject import FAMILIES, OurSubject, Subject, WaveformSubject, WhisperSubject
from small_models import small_model

FIXED = [name for name in attention.mechanisms() if attention.card(name).input_independent]
ROWS = ("toeplitz", "toeplitz@form=table", "patterned", "none")


def batch_of(subject: Subject, *seconds: float) -> list[Tensor]:
    return [wave[: int(subject.source.sampling_rate * s)] for wave, s in zip(speech(*seconds), seconds, strict=True)]


def graph_of(subject: Subject, states: Sequence[int], **settings: Any) -> tuple[nn.Module, float]:
    prepared = prepare(subject.model, ExportConfig(**settings), subject.longest, 20)
    return subject.graph(prepared.model, states).eval(), prepared.bound


def assert_as_alone(subject: Subject, waveforms: Sequence[Tensor], **settings: Any) -> None:
    """Compare every hidden state of a batch with each utterance's own; what stands in the padding is no number."""
    states = range(subject.source.layers + 1)
    graph, bound = graph_of(subject, states, **settings)
    features, mask, counts = subject.batch(waveforms)
    if features.ndim == 3 and features.shape[1] == mask.shape[1]:
        features = torch.where(mask[..., None], features, float("nan"))
    with torch.no_grad():
        outputs = graph(features, mask)
    for row, (waveform, count) in enumerate(zip(waveforms, counts, strict=True)):
        for got, expected in zip(outputs, subject.reference(waveform, states), strict=True):
            assert len(expected) == count
            error = (got[row, :count] - expected).abs().max() / expected.square().mean().sqrt()
            assert error < 2e-5 + 10 * bound


def converted(model: Any, row: str, **fields: Any) -> Any:
    layers = (Replacement(row=row, **fields),) * model.config.num_hidden_layers
    return converted_copy(model, Conversion(layers=layers, max_length=60))


@pytest.mark.parametrize("name", [*FIXED, "qk", "sparse-strided", "sparse-fixed"])
@pytest.mark.parametrize("maps", ["shared", "per-layer"])
def test_ours(name: str, maps: str) -> None:
    subject = OurSubject(EncoderSource(small_model(attention=name, maps=maps)))
    assert_as_alone(subject, batch_of(subject, 1.7, 0.9, 0.1))


@pytest.mark.parametrize("form", ["dense", "band", "fft", "two-level"])
@pytest.mark.parametrize("options", [{}, {"form": "table"}])
def test_every_form(form: str, options: dict[str, str]) -> None:
    subject = OurSubject(EncoderSource(small_model(attention="toeplitz", attention_options=options)))
    assert_as_alone(subject, batch_of(subject, 1.7, 0.9, 0.1), form=form)


def test_weights_that_nearly_vanish_keep_their_softmax() -> None:
    model = small_model(attention="synthesizer-random")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("maps"):
                parameter.mul_(60)
    subject = OurSubject(EncoderSource(model))
    assert_as_alone(subject, batch_of(subject, 1.7, 0.9, 0.1))


@pytest.mark.parametrize("row", ROWS)
def test_converted_whisper(row: str) -> None:
    subject = WhisperSubject(WhisperEncoder(converted(whisper_model(), row)))
    assert_as_alone(subject, batch_of(subject, 0.9, 0.5, 0.07))


def test_whisper_with_single_heads_replaced() -> None:
    subject = WhisperSubject(WhisperEncoder(converted(whisper_model(), "toeplitz", heads=(0, 2))))
    assert_as_alone(subject, batch_of(subject, 0.9, 0.5))


def test_whisper_with_queries_and_keys() -> None:
    subject = WhisperSubject(WhisperEncoder(whisper_model()))
    assert_as_alone(subject, batch_of(subject, 0.9, 0.5))


@pytest.mark.parametrize("family", [it for it in WAVEFORMS if it.removesuffix("-layer") in FAMILIES])
@pytest.mark.parametrize("row", ["", "toeplitz"])
def test_waveform_encoders(family: str, row: str) -> None:
    """Families that were trained without a mask too: the padding of a batch changes nothing here."""
    model = waveform_model(family)
    subject = WaveformSubject(WaveformEncoder(converted(model, row) if row else model))
    assert_as_alone(subject, batch_of(subject, 0.05, 0.03, 0.011))


def test_the_model_is_left_as_it_was() -> None:
    model = small_model(attention="toeplitz")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    graph_of(OurSubject(EncoderSource(model)), [2])
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
