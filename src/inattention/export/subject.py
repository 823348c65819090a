"""What can be exported: encoders with their graphs, inputs to try, and what a runtime must know to feed them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from inattention.attention import AttentionMechanism
from inattention.audio.frames import features as features_of
from inattention.encoders.base import EncoderInputs
from inattention.encoders.converted_attention import ConvertedAttention
from inattention.encoders.hugging_face import WaveformEncoder, WhisperEncoder
from inattention.encoders.hugging_face.whisper import STRIDE
from inattention.encoders.open import open_source
from inattention.encoders.ours import EncoderSource
from inattention.encoders.whisper_states import SILENCE_FRAMES
from inattention.export.config import ExportError
from inattention.export.graphs import EncoderGraph, WaveformGraph, WhisperGraph
from inattention.model.chunks import chunks, evaluating

# A longer recording of a waveform encoder is cut, as `inattention extract` cuts it.
LONGEST_SECONDS = 60.0
# Families of `transformers` whose layers need nothing but hidden states and a padding mask.
FAMILIES = ("wav2vec2", "hubert", "data2vec-audio", "unispeech", "unispeech-sat")


class Part(NamedTuple):
    """A section of an utterance that is encoded at once, as a batch of one; frames ``start:end`` of it are kept."""

    features: Float[Tensor, "1 ..."]
    valid: Bool[Tensor, "1 _"]
    start: int
    end: int


@runtime_checkable
class Subject(Protocol):
    """An encoder that can be exported."""

    source: Any
    longest: int

    @property
    def model(self) -> nn.Module:
        """The module whose attention is replaced before `graph` is made of it."""
        ...

    def graph(self, model: nn.Module, states: Sequence[int]) -> nn.Module:
        """Return the function that is exported."""
        ...

    def shapes(self) -> tuple[dict[int, Any], dict[int, Any]]:
        """Return the dynamic dimensions of features and mask."""
        ...

    def batch(self, waveforms: Sequence[Tensor]) -> tuple[Tensor, Tensor, list[int]]:
        """Return features, mask, and the number of real frames of each utterance."""
        ...

    def reference(self, waveform: Tensor, states: Sequence[int]) -> list[Float[Tensor, "time width"]]:
        """Return the hidden states of one utterance by PyTorch."""
        ...

    def parts(self, waveform: Tensor) -> list[Part]:
        """Return what an encoder is fed with for an utterance of any length, by `inattention extract` and the runtime.

        Raises:
            ValueError: if the audio cannot be used.
        """
        ...

    def features(self) -> dict[str, Any]:
        """Return what a runtime needs to make features."""
        ...


@dataclass
class OurSubject:
    """One of our encoders."""

    source: EncoderSource

    def __post_init__(self) -> None:
        self.longest = self.source.model.config.max_length
        for mechanism in self.source.model.encoder.mechanisms:
            assert isinstance(mechanism, AttentionMechanism)
            self.longest = min(self.longest, mechanism.longest or self.longest)

    @property
    def model(self) -> nn.Module:
        """The encoder."""
        return self.source.model.encoder

    def graph(self, model: Any, states: Sequence[int]) -> nn.Module:
        """Return the function that is exported."""
        return EncoderGraph(model, states)

    def shapes(self) -> tuple[dict[int, Any], dict[int, Any]]:
        """Return the dynamic dimensions of features and mask."""
        shape = {0: torch.export.Dim("batch"), 1: torch.export.Dim("time", max=self.longest)}
        return shape, shape

    def batch(self, waveforms: Sequence[Tensor]) -> tuple[Tensor, Tensor, list[int]]:
        """Return features, mask, and the number of real frames of each utterance."""
        inputs = [features_of(it, self.source.config)[: self.longest] for it in waveforms]
        counts = [len(it) for it in inputs]
        return nn.utils.rnn.pad_sequence(inputs, batch_first=True), _mask(counts), counts

    @torch.no_grad()
    def reference(self, waveform: Tensor, states: Sequence[int]) -> list[Float[Tensor, "time width"]]:
        """Return the hidden states of one utterance by PyTorch."""
        frames = features_of(waveform, self.source.config)[None, : self.longest]
        with evaluating(self.source.model):
            hidden = self.source.model(frames, output_hidden_states=True).hidden_states
        assert hidden is not None
        return [hidden[state][0] for state in states]

    def parts(self, waveform: Tensor) -> list[Part]:
        """Return chunks that overlap by half."""
        frames = features_of(waveform, self.source.config)
        return [
            Part(
                frames[None, it.start : it.end],
                _mask([it.end - it.start]),
                it.keep_start - it.start,
                it.keep_end - it.start,
            )
            for it in chunks(len(frames), self.longest)
        ]

    def features(self) -> dict[str, Any]:
        """Return what a runtime needs to make features."""
        return {"kind": "log-mel", **asdict(self.source.config)}


@dataclass
class WhisperSubject:
    """Whisper's encoder, converted or not.

    A converted one hears its speech and a little silence, an unmodified one 30 s.
    """

    source: WhisperEncoder

    def __post_init__(self) -> None:
        self.longest = int(self.source.longest or 0)
        converted = any(isinstance(it, ConvertedAttention) for it in self.source.model.modules())
        self.source.silence = SILENCE_FRAMES if converted else None

    @property
    def model(self) -> nn.Module:
        """The encoder."""
        return self.source.model

    def graph(self, model: Any, states: Sequence[int]) -> nn.Module:
        """Return the function that is exported."""
        return WhisperGraph(model, states)

    def shapes(self) -> tuple[dict[int, Any], dict[int, Any]]:
        """Return the dynamic dimensions of features and mask."""
        batch, time = torch.export.Dim("batch"), torch.export.Dim("time", max=self.longest)
        return {0: batch, 2: STRIDE * time}, {0: batch, 1: time}

    def batch(self, waveforms: Sequence[Tensor]) -> tuple[Tensor, Tensor, list[int]]:
        """Return features, mask, and the number of real frames of each utterance."""
        inputs = [self.source.inputs([it], steps=self.source.steps(len(it))).values[0].T for it in waveforms]
        counts = [len(it) // STRIDE for it in inputs]
        padded = nn.utils.rnn.pad_sequence(inputs, batch_first=True).transpose(1, 2)
        return padded, _mask(counts), counts

    @torch.no_grad()
    def reference(self, waveform: Tensor, states: Sequence[int]) -> list[Float[Tensor, "time width"]]:
        """Return the hidden states of one utterance by PyTorch, at its own length."""
        with evaluating(self.source.model):
            hidden = self.source.hidden_states(self.source.inputs([waveform], steps=self.source.steps(len(waveform))))
        return [hidden[state][0] for state in states]

    def parts(self, waveform: Tensor) -> list[Part]:
        """Return windows of at most 30 s, with as much silence behind the speech as the model hears."""
        return [
            Part(it.values, _mask([it.values.shape[2] // STRIDE]), 0, it.steps[0]) for it in self.source.parts(waveform)
        ]

    def features(self) -> dict[str, Any]:
        """Return what a runtime needs to make features."""
        extractor = self.source.extractor
        return {
            "kind": "whisper",
            "sampling_rate": int(extractor.sampling_rate),
            "fft_size": int(extractor.n_fft),
            "hop_samples": int(extractor.hop_length),
            "mels": int(extractor.feature_size),
            "silence_frames": self.source.silence,
        }


@dataclass
class WaveformSubject:
    """An encoder of waveforms, converted or not."""

    source: WaveformEncoder

    def __post_init__(self) -> None:
        self.longest = round(LONGEST_SECONDS / self.source.step_seconds)
        for module in self.source.model.modules():
            if isinstance(module, AttentionMechanism) and module.longest is not None:
                self.longest = min(self.longest, module.longest)

    @property
    def model(self) -> nn.Module:
        """The model."""
        model: Any = self.source.model
        return model

    def graph(self, model: Any, states: Sequence[int]) -> nn.Module:
        """Return the function that is exported."""
        embed = model.encoder.pos_conv_embed
        if hasattr(embed, "conv"):
            embed.conv = _plain(embed.conv)
        return WaveformGraph(model, states)

    def shapes(self) -> tuple[dict[int, Any], dict[int, Any]]:
        """Return the dynamic dimensions of features and mask."""
        # A graph is for two frames or more; the padding of a shorter utterance fills the second.
        samples = torch.export.Dim("samples", min=self.source.samples(2), max=self.source.samples(self.longest + 1) - 1)
        shape = {0: torch.export.Dim("batch"), 1: samples}
        return shape, shape

    def batch(self, waveforms: Sequence[Tensor]) -> tuple[Tensor, Tensor, list[int]]:
        """Return features, mask, and the number of real frames of each utterance."""
        inputs = [self._inputs(it).values[0] for it in waveforms]
        counts = [self.source.steps(len(it)) for it in inputs]
        return nn.utils.rnn.pad_sequence(inputs, batch_first=True), _mask([len(it) for it in inputs]), counts

    @torch.no_grad()
    def reference(self, waveform: Tensor, states: Sequence[int]) -> list[Float[Tensor, "time width"]]:
        """Return the hidden states of one utterance by PyTorch."""
        with evaluating(self.source.model):
            hidden = self.source.hidden_states(self._inputs(waveform))
        return [hidden[state][0] for state in states]

    def parts(self, waveform: Tensor) -> list[Part]:
        """Return the pieces of a long recording; one of a single frame is padded, as the graph is for two or more."""
        found = []
        for it in self.source.parts(waveform):
            samples = it.values.shape[1]
            padding = max(0, self.source.samples(2) - samples)
            valid = torch.arange(samples + padding)[None] < samples
            found.append(Part(F.pad(it.values, (0, padding)), valid, 0, it.steps[0]))
        return found

    def features(self) -> dict[str, Any]:
        """Return what a runtime needs to make features."""
        config = self.source.config
        return {
            "kind": "waveform",
            "sampling_rate": self.source.sampling_rate,
            "normalise": bool(self.source.extractor.do_normalize),
            "kernels": list(config.conv_kernel),
            "strides": list(config.conv_stride),
        }

    def _inputs(self, waveform: Tensor) -> EncoderInputs:
        return self.source.inputs([waveform[: self.source.samples(self.longest)]])


def open_subject(model: str) -> OurSubject | WhisperSubject | WaveformSubject:
    """Open a model for export.

    Args:
        model: folder or hub name of one of our encoders, of a converted encoder, or of a Hugging Face encoder.

    Raises:
        ExportError: if an encoder of this kind cannot be exported.
        ModelFolderError: if there is no model.
    """
    source: Any = open_source(model)
    if isinstance(source, EncoderSource):
        return OurSubject(source)
    if isinstance(source, WhisperEncoder):
        return WhisperSubject(source)
    family = str(source.config.model_type).removeprefix("inattention-")
    if isinstance(source, WaveformEncoder) and family in FAMILIES:
        return WaveformSubject(source)
    raise ExportError(f"{model}: encoders of {family} cannot be exported; ours, Whisper and {', '.join(FAMILIES)} can")


def _plain(convolution: Any) -> nn.Conv1d:
    """Return a convolution without weight norm. Removing that would change the class that the original shares."""
    made = nn.Conv1d(
        convolution.in_channels,
        convolution.out_channels,
        convolution.kernel_size[0],
        stride=convolution.stride[0],
        padding=convolution.padding,
        groups=convolution.groups,
        bias=convolution.bias is not None,
    )
    with torch.no_grad():
        made.weight.copy_(convolution.weight)
        if made.bias is not None:
            made.bias.copy_(convolution.bias)
    return made


def _mask(counts: Sequence[int]) -> Tensor:
    return torch.arange(max(counts)) < torch.tensor(counts)[:, None]
