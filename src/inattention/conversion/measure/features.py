"""Hidden states of a trained or converted encoder as features of probes."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from inattention.audio.reader import check_samples
from inattention.conversion.measure.transcripts import SILENCE_FRAMES
from inattention.conversion.trained.speech import SAMPLING_RATE
from inattention.conversion.trained.whisper import FRAMES_PER_SECOND, encode
from inattention.encoders.converted import TrainedModel, whisper_embedding

_FRAME = SAMPLING_RATE // FRAMES_PER_SECOND  # samples


class EncoderFeatures:
    """Hidden states of an encoder, each utterance encoded alone; see `inattention.encoders.base.FeatureSource`.

    Frames of the silence behind the speech are not among the features.

    Args:
        loaded: the model.
        name: label in messages.
        own_length: a Whisper hears its speech and half a second of silence, instead of 30 s.
    """

    frames_per_step = 1
    sampling_rate = SAMPLING_RATE

    def __init__(self, loaded: TrainedModel, name: str, *, own_length: bool) -> None:
        self.loaded, self.name, self.own_length = loaded, name, own_length
        config: Any = loaded.model.config
        self.layers, self.width = int(config.num_hidden_layers), int(config.hidden_size)
        if loaded.is_whisper:
            self.step_seconds, self.first_center_seconds = 1 / FRAMES_PER_SECOND, 0.0
            return
        self.step_seconds = math.prod(config.conv_stride) / SAMPLING_RATE
        seen, stride = 1, 1
        for kernel, step in zip(config.conv_kernel, config.conv_stride, strict=True):
            seen, stride = seen + (kernel - 1) * stride, stride * step
        self.first_center_seconds = seen / 2 / SAMPLING_RATE

    def features(
        self, waveforms: Sequence[Float[Tensor, " _"]], *, all_layers: bool = False
    ) -> list[Float[Tensor, "_ *layers width"]]:
        """Return the encoder's output for each utterance, or all hidden states, the embedded input first.

        Raises:
            ValueError: if a waveform is too long for Whisper, too short, silent or not finite.
        """
        found = [self._states(waveform) for waveform in waveforms]
        return [states if all_layers else states[:, -1] for states in found]

    @torch.inference_mode()
    def _states(self, waveform: Float[Tensor, " samples"]) -> Float[Tensor, "time layers width"]:
        check_samples(waveform)
        states = self._whisper(waveform) if self.loaded.is_whisper else self._waveform(waveform)
        return states.transpose(0, 1).float().cpu()

    def _whisper(self, waveform: Float[Tensor, " samples"]) -> Float[Tensor, "layers time width"]:
        model: Any = self.loaded.model
        longest = len(model.model.encoder.embed_positions.weight)
        spoken = math.ceil(len(waveform) / _FRAME)
        if spoken > longest:
            raise ValueError(f"is longer than the {longest // FRAMES_PER_SECOND} s that Whisper hears")
        mel = _input(self.loaded, waveform)
        if self.own_length:
            mel = mel[:, :, : 2 * (spoken + SILENCE_FRAMES)]
        return torch.cat([whisper_embedding(model.model.encoder, mel), encode(model, mel)])[:, :spoken]

    def _waveform(self, waveform: Float[Tensor, " samples"]) -> Float[Tensor, "layers time width"]:
        model: Any = self.loaded.model
        if len(waveform) < 2 * self.first_center_seconds * SAMPLING_RATE:
            raise ValueError(f"is too short for {self.name}: {len(waveform)} samples")
        output = model(_input(self.loaded, waveform), output_hidden_states=True)
        return torch.cat([*output.hidden_states[:-1], output.last_hidden_state])


def _input(loaded: TrainedModel, waveform: Float[Tensor, " samples"]) -> Tensor:
    values = loaded.extractor(waveform.float().numpy(), sampling_rate=SAMPLING_RATE, return_tensors="pt")
    return values["input_features" if loaded.is_whisper else "input_values"].to(loaded.model.device)
