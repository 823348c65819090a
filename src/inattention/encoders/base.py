"""Interfaces of encoders: frozen features for probes, attention maps for analysis and conversion.

A feature source turns whole utterances into features; a map source returns the attention maps of crops of equal length,
so that no map contains padding. A trained encoder of `transformers` is both, and hands out its inputs, hidden states
and attention modules for a conversion. Features of one kind or the other may be only one of them (`mel.MelSource`,
`hugging_face.patches.PatchMaps`). Implementations depend on this module and never the other way round.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class Crop:
    """A section of an utterance.

    Attributes:
        inputs: input of the encoder, without a batch axis.
        log_mel: log-mel spectrum at each frame, to be displayed beside a map.
        start_seconds: start of the section in its utterance.
    """

    inputs: Float[Tensor, "..."]
    log_mel: Float[Tensor, "time mels"]
    start_seconds: float


class Source(Protocol):
    """Properties that every encoder or feature extractor declares."""

    @property
    def name(self) -> str:
        """Label in tables and figures."""
        ...

    @property
    def sampling_rate(self) -> int:
        """Sampling rate of the waveforms that it takes, in Hz."""
        ...

    @property
    def step_seconds(self) -> float | None:
        """Frame shift in seconds; None if frames do not follow each other in time."""
        ...

    @property
    def layers(self) -> int:
        """Number of layers; layers that share their weights count each, and features without a model have none."""
        ...


@runtime_checkable
class FeatureSource(Source, Protocol):
    """A source of features whose times are known.

    Frame t of an utterance is centred at ``first_center_seconds + t * step_seconds``.
    """

    @property
    def step_seconds(self) -> float:
        """Frame shift in seconds."""
        ...

    @property
    def first_center_seconds(self) -> float:
        """Time of the centre of the first frame."""
        ...

    @property
    def frames_per_step(self) -> int:
        """Number of acoustic frames stacked in one frame, evenly spaced over it; 1 without stacking."""
        ...

    @property
    def width(self) -> int:
        """Number of features of a frame."""
        ...

    def features(
        self, waveforms: Sequence[Float[Tensor, " _"]], *, all_layers: bool = False, layer: int = -1
    ) -> list[Float[Tensor, "_ *layers width"]]:
        """Return the features of each utterance, independent of the others in the batch, on the CPU.

        Args:
            waveforms: one channel each, at ``sampling_rate``.
            all_layers: return all hidden states, (time, layers + 1, width) with the embedded input first, instead of
                one, (time, width).
            layer: the hidden state otherwise: 0 is the embedded input, 1 the first layer, -1 the last.

        Raises:
            ValueError: if a waveform cannot be used; the message states the reason.
        """
        ...


@runtime_checkable
class MapSource(Source, Protocol):
    """A source of attention maps of crops of equal length."""

    @property
    def heads(self) -> int:
        """Number of heads of a layer."""
        ...

    @property
    def shortest(self) -> int:
        """Number of frames of the shortest crop."""
        ...

    @property
    def longest(self) -> int | None:
        """Number of frames of the longest crop; None if there is no limit."""
        ...

    def steps(self, samples: int) -> int:
        """Return the number of frames of a waveform of this many samples."""
        ...

    def starts(self, samples: int, steps: int) -> int:
        """Return the number of places at which a crop of this many frames can begin; 0 if the waveform is too short."""
        ...

    def crop(self, waveform: Float[Tensor, " samples"], start: int, steps: int) -> Crop:
        """Crop a waveform.

        Args:
            waveform: one channel, at ``sampling_rate``.
            start: one of the places counted by `starts`.
            steps: number of frames.

        Raises:
            ValueError: if the audio cannot be used.
        """
        ...

    def maps(self, inputs: Float[Tensor, "batch ..."]) -> Float[Tensor, "layers batch heads time time"]:
        """Return the attention maps of a batch of crops of equal length, on the CPU."""
        ...


@dataclass(frozen=True)
class EncoderInputs:
    """A batch of utterances as an encoder was trained on them.

    Attributes:
        values: waveforms or spectrograms, padded to the longest.
        mask: 1 at real samples or spectral frames and 0 at padding; None for an encoder that was trained without.
        steps: number of frames of each utterance, without padding.
    """

    values: Float[Tensor, "batch ..."]
    mask: Tensor | None
    steps: tuple[int, ...]


@dataclass(frozen=True)
class AttentionHandle:
    """A self-attention module of an encoder, with its projections.

    Attributes:
        path: name of the module within the encoder's `model`, for `get_submodule` and `set_submodule`.
        module: the module.
        width: of the hidden states.
        heads: number of heads.
        query: projection of queries; None of a module that was replaced.
        key: projection of keys; None of a module that was replaced.
        value: projection of values.
        output: projection of the heads' joined output.
    """

    path: str
    module: nn.Module
    width: int
    heads: int
    query: nn.Linear | None
    key: nn.Linear | None
    value: nn.Linear
    output: nn.Linear

    @property
    def head_dim(self) -> int:
        """Width of a head."""
        return self.value.out_features // self.heads


@runtime_checkable
class TrainedEncoder(FeatureSource, MapSource, Protocol):
    """An encoder whose attention can be looked into, and be replaced where `attention_modules` allows it.

    Dropout, LayerDrop and masking of `transformers` are active if `model` is in training mode; `features` and `maps`
    use evaluation mode, `inputs` and `hidden_states` leave the mode and gradients to the caller.
    """

    model: nn.Module

    def inputs(self, waveforms: Sequence[Float[Tensor, " _"]]) -> EncoderInputs:
        """Return a batch as the encoder was trained on it, by the folder's own feature extractor, on the CPU.

        Raises:
            ValueError: if a waveform is too short or too long.
        """
        ...

    def hidden_states(self, inputs: EncoderInputs) -> tuple[Float[Tensor, "batch time width"], ...]:
        """Return the embedded input and the output of each layer; the last one is the encoder's output."""
        ...

    def attention_modules(self) -> list[AttentionHandle]:
        """Return the self-attention modules, in order.

        Raises:
            ValueError: if their attention cannot be replaced; the message names the kind of encoder and the reason.
        """
        ...
