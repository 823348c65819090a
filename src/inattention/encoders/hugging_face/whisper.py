"""Whisper's encoder, at the length of the speech as well as at the 30 s that `transformers` insists on."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from inattention.audio.reader import check_samples
from inattention.audio.spans import Tape, chunks
from inattention.audio.spans import blocks as span_blocks
from inattention.audio.streaming import LongAudio
from inattention.encoders.base import Crop, EncoderInputs
from inattention.encoders.hugging_face.blocks import Blocks, block_frames
from inattention.encoders.hugging_face.eager import recorded_weights
from inattention.encoders.hugging_face.source import HuggingFaceEncoder
from inattention.encoders.whisper_states import whisper_states

STRIDE = 2  # spectral frames of 10 ms in an encoder frame


class WhisperEncoder(HuggingFaceEncoder):
    """Whisper's encoder; Distil-Whisper's is of the same kind.

    An unmodified Whisper was trained on inputs of 30 s, padded with silence, and `features` and `inputs` feed it so.
    The frames of the padding are not among the features. Maps are taken of crops alone, at their own length.

    Args:
        model: a ``WhisperForConditionalGeneration``, a ``WhisperModel``, or its encoder.
        extractor: the feature extractor of its folder; by default OpenAI's.
        name: label in tables and figures.
        silence: number of frames of silence to feed behind the longest utterance, for an encoder that was trained on
            short input; None for 30 s.

    Attributes:
        model: the encoder.
        whole: the model as it was passed, with its decoder if it has one.
    """

    def __init__(
        self, model: nn.Module, extractor: Any | None = None, name: str | None = None, *, silence: int | None = None
    ) -> None:
        self.whole = model
        inner = getattr(model, "model", model)
        encoder = getattr(inner, "encoder", inner)
        super().__init__(encoder, extractor or _default_extractor(encoder.config), name)
        self.silence = silence
        self.longest = self._longest = int(self.config.max_source_positions)
        self.hop = STRIDE * int(self.extractor.hop_length)  # samples
        self.step_seconds = self.hop / self.sampling_rate
        self.first_center_seconds = 0.0
        if (
            self.extractor.nb_max_frames < STRIDE * self._longest
            or self.extractor.feature_size != self.model.num_mel_bins
        ):
            raise ValueError(
                f"{self.name}: its feature extractor returns {self.extractor.nb_max_frames} frames of "
                f"{self.extractor.feature_size} bins, the encoder takes {STRIDE * self._longest} of "
                f"{self.model.num_mel_bins}"
            )

    def steps(self, samples: int) -> int:
        """Return the number of frames of a waveform of this many samples; the last one may be partly silence."""
        return -(-samples // self.hop)

    def crop(self, waveform: Float[Tensor, " samples"], start: int, steps: int) -> Crop:
        """Crop a waveform; the spectrum is that of the crop followed by silence up to 30 s.

        Raises:
            ValueError: if the audio is empty, silent or not finite.
        """
        check_samples(waveform)
        first = start * self.hop
        values = self.inputs([waveform[first : first + steps * self.hop]], steps=steps).values[0]
        return Crop(values, values[:, ::STRIDE].T, first / self.sampling_rate)

    def inputs(self, waveforms: Sequence[Float[Tensor, " _"]], *, steps: int | None = None) -> EncoderInputs:
        """Return log-mel spectrograms of (mels, 2 * frames).

        Args:
            waveforms: each at most 30 s long.
            steps: number of frames, speech and silence; by default all 1500, or as many as `silence` says.

        Raises:
            ValueError: if a waveform is too long, or has no samples.
        """
        counts = tuple(self.steps(len(waveform)) for waveform in waveforms)
        if min(counts) < 1 or max(counts) > (steps or self._longest):
            raise ValueError(
                f"{self.name} takes 1 to {(steps or self._longest) * self.hop} samples at {self.sampling_rate} Hz; "
                f"there are {min(map(len, waveforms))} to {max(map(len, waveforms))}"
            )
        values, _ = self._extract(waveforms)
        if steps is None:
            steps = self._longest if self.silence is None else min(max(counts) + self.silence, self._longest)
        return EncoderInputs(values[..., : STRIDE * steps], None, counts)

    def hidden_states(self, inputs: EncoderInputs) -> tuple[Float[Tensor, "batch time width"], ...]:
        """Return the embedded input and the output of each layer, at any length up to 30 s.

        The last one has passed the final normalisation. At 30 s they are those of `transformers`.
        """
        return whisper_states(self.model, inputs.values)

    def _weights(self, inputs: Float[Tensor, "batch mels frames"]) -> Sequence[Tensor | None]:
        encoder: Any = self.model
        with recorded_weights(layer.self_attn for layer in encoder.layers) as found:
            self.hidden_states(EncoderInputs(inputs, None, ()))
        return found

    def samples(self, steps: int) -> int:
        """Return the smallest number of samples that yields this many frames."""
        return (steps - 1) * self.hop + 1

    def parts(self, waveform: Float[Tensor, " samples"]) -> Iterator[EncoderInputs]:
        """Yield windows of an utterance, of at most 30 s of speech each, as batches of one."""
        for part in torch.split(waveform, self._longest * self.hop):
            yield self.inputs([part])

    def blocks(self, seconds: float, bound: float = 0.0) -> Blocks:
        """Return windows of 30 s that begin every so many seconds; each frame is kept where it lies deepest.

        Raises:
            ValueError: if windows would not meet, or for a bound, as windows leave nothing out.
        """
        longest = self._longest * self.step_seconds
        if bound:
            raise ValueError(f"{self.name} is encoded in windows of {longest:g} s, to which a bound does not apply")
        frames = block_frames(seconds, self.step_seconds)
        if frames > self._longest:
            raise ValueError(
                f"{self.name} has positions for {longest:g} s: windows can begin at most every {longest:g} s, not "
                f"every {seconds:g} s"
            )
        return Blocks(frames)

    def _long_parts(
        self, audio: LongAudio, samples: int, blocks: Blocks | None
    ) -> Iterator[tuple[EncoderInputs, slice]]:
        tape = Tape(audio.blocks(), np.concatenate)
        time, longest = self.steps(samples), self._longest
        if blocks is None or blocks.frames == longest:
            plan = span_blocks(time, longest, 0, 0)
        else:
            plan = chunks(time, longest, blocks.frames)
        for chunk in plan:
            waveform = torch.from_numpy(tape.read(chunk.start * self.hop, chunk.end * self.hop))
            yield self.inputs([waveform]), slice(chunk.keep_start - chunk.start, chunk.keep_end - chunk.start)


def _default_extractor(config: Any) -> Any:
    from transformers import WhisperFeatureExtractor

    seconds = config.max_source_positions * STRIDE * 160 / 16_000
    return WhisperFeatureExtractor(feature_size=config.num_mel_bins, chunk_length=max(1, round(seconds)))
