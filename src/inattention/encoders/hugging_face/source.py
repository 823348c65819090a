"""Base of all encoders of `transformers`: features, hidden states and maps, given their inputs."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inattention.audio.reader import AudioError, check_samples
from inattention.audio.streaming import LongAudio
from inattention.encoders.attention_handles import attention_handles, replaceable_handles
from inattention.encoders.base import AttentionHandle, Crop, EncoderInputs
from inattention.encoders.converted_attention import ConvertedAttention
from inattention.encoders.hugging_face.blocks import Blocks
from inattention.encoders.hugging_face.eager import eager_attention, recorded_weights, weights_per_head
from inattention.model.chunks import evaluating
from inattention.model.reach import UnlimitedReach


class HuggingFaceEncoder(ABC):
    """A trained encoder of `transformers`, fed as it was trained; see `inattention.encoders.base.TrainedEncoder`.

    Args:
        model: the encoder.
        extractor: feature extractor, as its folder has it.
        name: label in tables and figures; defaults to the type of the model.

    Raises:
        ValueError: if the feature extractor is of another kind of encoder.
    """

    frames_per_step = 1
    shortest = 2
    longest: int | None = None
    hop: int  # samples between frames
    step_seconds: float
    first_center_seconds: float

    def __init__(self, model: nn.Module, extractor: Any, name: str | None = None) -> None:
        self.config: Any = model.config
        self.model, self.extractor = model, extractor
        self.name = name or str(self.config.model_type)
        self.layers, self.heads = int(self.config.num_hidden_layers), int(self.config.num_attention_heads)
        self.width = int(self.config.hidden_size)
        expected = str(getattr(model, "main_input_name", "input_values"))
        if expected not in extractor.model_input_names:
            raise ValueError(
                f"{self.name}: its feature extractor, {type(extractor).__name__}, returns "
                f"{extractor.model_input_names[0]}, the encoder takes {expected}"
            )
        self.input_name = expected
        self.sampling_rate = int(extractor.sampling_rate)
        if self.sampling_rate < 1:
            raise ValueError(f"{self.name}: its feature extractor has a sampling rate of {self.sampling_rate} Hz")

    @abstractmethod
    def steps(self, samples: int) -> int:
        """Return the number of frames of a waveform of this many samples."""

    @abstractmethod
    def samples(self, steps: int) -> int:
        """Return the smallest number of samples that yields this many frames."""

    @abstractmethod
    def crop(self, waveform: Float[Tensor, " samples"], start: int, steps: int) -> Crop:
        """Crop a waveform."""

    @abstractmethod
    def inputs(self, waveforms: Sequence[Float[Tensor, " _"]]) -> EncoderInputs:
        """Return a batch as the encoder was trained on it, by its feature extractor, on the CPU."""

    def starts(self, samples: int, steps: int) -> int:
        """Return the number of places at which a crop of this many frames can begin."""
        room = samples - self.samples(steps)
        return 1 + room // self.hop if room >= 0 else 0

    @abstractmethod
    def parts(self, waveform: Float[Tensor, " samples"]) -> Iterator[EncoderInputs]:
        """Yield an utterance as batches of one, cut where it is longer than is encoded at once."""

    def features(
        self, waveforms: Sequence[Float[Tensor, " _"]], *, all_layers: bool = False, layer: int = -1
    ) -> list[Float[Tensor, "_ *layers width"]]:
        """Return one hidden state of each utterance, or all of them, the embedded input first.

        Each is encoded alone: padding would change the result of encoders that were trained without a mask.

        Raises:
            ValueError: if a waveform is too short, silent or not finite, or there is no such layer.
        """
        if not -self.layers - 1 <= layer <= self.layers:
            raise ValueError(f"there is no layer {layer}: {self.name} has hidden states 0 to {self.layers}")
        return [self._features(waveform, None if all_layers else layer) for waveform in waveforms]

    @torch.no_grad()
    def _features(self, waveform: Float[Tensor, " samples"], layer: int | None) -> Float[Tensor, "time *layers width"]:
        check_samples(waveform)
        found = []
        with evaluating(self.model):
            for part in self.parts(waveform):
                states = self.hidden_states(part)
                chosen = torch.stack(states, 2)[0] if layer is None else states[layer][0]
                found.append(chosen[: part.steps[0]].float().cpu())
        return torch.cat(found)

    def blocks(self, seconds: float, bound: float = 0.0) -> Blocks:
        """Return how a long recording is cut into blocks.

        Args:
            seconds: length of a block.
            bound: greatest part of any row of weights that Toeplitz tables may leave out, to see less far.

        Raises:
            UnlimitedReach: if a frame of the output may depend on all frames of the input.
            ValueError: for a length or a bound out of range.
        """
        raise UnlimitedReach(f"{self.name}: has no limited reach: its frames depend on all frames of the input")

    def long_features(
        self, audio: LongAudio, *, layer: int = -1, blocks: Blocks | None = None
    ) -> tuple[int, Iterator[Float[Tensor, "some width"]]]:
        """Return the number of frames of a recording, and its features piece by piece.

        Args:
            audio: the recording, at ``sampling_rate``.
            layer: which hidden state.
            blocks: of one pass over the whole; None for what `features` returns.

        Raises:
            AudioError: if the recording cannot be used.
        """
        samples = audio.check()
        if not self.steps(samples):
            raise AudioError(f"{audio.name}: is too short for a frame of {self.name} ({samples} samples)")
        return self.steps(samples), self._long(audio, samples, layer, blocks)

    def _long(
        self, audio: LongAudio, samples: int, layer: int, blocks: Blocks | None
    ) -> Iterator[Float[Tensor, "some width"]]:
        for part, kept in self._long_parts(audio, samples, blocks):
            with torch.no_grad(), evaluating(self.model), nullcontext() if blocks is None else blocks.installed():
                states = self.hidden_states(part)[layer][0, kept].float().cpu()
            yield states

    @abstractmethod
    def _long_parts(
        self, audio: LongAudio, samples: int, blocks: Blocks | None
    ) -> Iterator[tuple[EncoderInputs, slice]]:
        """Yield a recording as batches of one, with the frames of each that are kept."""

    def hidden_states(self, inputs: EncoderInputs) -> tuple[Float[Tensor, "batch time width"], ...]:
        """Return the embedded input and the output of each layer; the last one is the encoder's output.

        Raises:
            ValueError: if the encoder returns another number of them.
        """
        output = self._run(inputs.values, inputs.mask, output_hidden_states=True)
        states = list(output.hidden_states or ())
        if len(states) != self.layers + 1 or len({state.shape for state in states}) > 1:
            raise ValueError(f"{self.name} returned {len(states)} hidden states of its {self.layers} layers")
        if output.last_hidden_state.shape == states[-1].shape:
            states[-1] = output.last_hidden_state  # with the final normalisation of those that have one
        return tuple(states)

    def attention_modules(self) -> list[AttentionHandle]:
        """Return the self-attention modules, in order.

        Raises:
            ValueError: if their attention cannot be replaced; the message names the kind of encoder and the reason.
        """
        return replaceable_handles(self.model)

    @torch.no_grad()
    def maps(self, inputs: Float[Tensor, "batch ..."]) -> Float[Tensor, "layers batch heads time time"]:
        """Return the attention weights of the encoder.

        Raises:
            ValueError: if the model does not return them for every layer.
        """
        with evaluating(self.model), eager_attention(self.model), weights_per_head():
            found = self._weights(inputs)
        # WavLM repeats its weights as if they were one map for all heads: (batch, heads, heads, time, time).
        maps = [weights[:, 0] if weights.ndim == 5 else weights for weights in found if weights is not None]
        if len(maps) != self.layers:
            raise ValueError(f"{self.name} returned attention weights of {len(maps)} of its {self.layers} layers")
        return torch.stack(maps).float().cpu()

    def _weights(self, inputs: Float[Tensor, "batch ..."]) -> Sequence[Tensor | None]:
        if not any(isinstance(module, ConvertedAttention) for module in self.model.modules()):
            return self._run(inputs, None, output_attentions=True).attentions or ()
        # `transformers` records weights by the class of the attention module, and not those of replaced ones.
        with recorded_weights(handle.module for handle in attention_handles(self.model)) as found:
            self._run(inputs, None)
        return found

    def _run(self, values: Tensor, mask: Tensor | None, **options: bool) -> Any:
        parameter = next(self.model.parameters())
        arguments: dict[str, Any] = {self.input_name: values.to(parameter), **options}
        if mask is not None:
            arguments["attention_mask"] = mask.to(parameter.device)
        with warnings.catch_warnings():
            # WavLM combines a boolean padding mask with a bias of numbers, which PyTorch discourages.
            warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask")
            return self.model(**arguments)

    def _checked_steps(self, waveforms: Sequence[Float[Tensor, " _"]]) -> tuple[int, ...]:
        """Return the numbers of frames of waveforms; raise ValueError if one is too short for a frame."""
        steps = tuple(self.steps(len(waveform)) for waveform in waveforms)
        for waveform, count in zip(waveforms, steps, strict=True):
            if not count:
                raise ValueError(
                    f"is too short for {self.name}: {len(waveform)} samples at {self.sampling_rate} Hz, at least "
                    f"{self.samples(1)} needed"
                )
        return steps

    def _extract(self, waveforms: Sequence[Float[Tensor, " _"]], **options: Any) -> tuple[Tensor, Tensor | None]:
        """Return the feature extractor's output and padding mask."""
        arrays = [waveform.detach().float().cpu().numpy() for waveform in waveforms]
        found = self.extractor(arrays, sampling_rate=self.sampling_rate, return_tensors="pt", **options)
        return found[self.input_name], found.get("attention_mask")
