"""Encoders as plain functions of features and a padding mask, which is what a file holds.

The output at a real frame is that of the utterance alone, whatever stands in the padding and however long it is: what
each convolution sees behind the last real frame is zero.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from inattention.attention import AttentionMechanism
from inattention.attention.ops.padding import zero_invalid
from inattention.model.encoder import Encoder, position_frequencies, positions


class EncoderGraph(nn.Module):
    """One of our encoders.

    Args:
        encoder: the encoder, prepared for export.
        states: numbers of the hidden states to return.
    """

    places: Tensor

    def __init__(self, encoder: Encoder, states: Sequence[int]) -> None:
        super().__init__()
        self.encoder, self.states = encoder, tuple(states)
        config = encoder.config
        # One more than is used, so that a crop is a proper part at every length.
        self.register_buffer("places", positions(config.max_length + 1, config.width, torch.zeros(1)))

    def forward(
        self, features: Float[Tensor, "batch time size"], valid: Bool[Tensor, "batch time"]
    ) -> tuple[Float[Tensor, "batch time width"], ...]:
        """Return the wanted hidden states."""
        return self.from_position(features, valid, self.places[: features.shape[1]])

    def from_position(
        self, features: Tensor, valid: Tensor, places: Float[Tensor, "time width"]
    ) -> tuple[Float[Tensor, "batch time width"], ...]:
        """Return the wanted hidden states of frames at given positions."""
        encoder = self.encoder
        embedded = encoder.embed(zero_invalid(features, valid)) + places
        hidden = encoder.embed_norm(embedded)
        found = [hidden]
        with ExitStack() as stack:
            for mechanism in encoder.mechanisms:
                assert isinstance(mechanism, AttentionMechanism)
                stack.enter_context(mechanism.one_pass())
            for layer, mechanism in encoder.depth()[: max(self.states)]:
                hidden = layer(hidden, valid, mechanism)
                found.append(hidden)
        return tuple(found[state] for state in self.states)


class PlacedGraph(EncoderGraph):
    """One of our encoders that also takes parts of longer recordings, whose first frame has any position.

    Args:
        encoder: the encoder, prepared for export.
        states: numbers of the hidden states to return.
    """

    frequencies: Tensor

    def __init__(self, encoder: Encoder, states: Sequence[int]) -> None:
        super().__init__(encoder, states)
        del self.places
        self.register_buffer("frequencies", position_frequencies(encoder.config.width))

    def forward(  # ty: ignore[incompatible-method-override]
        self,
        features: Float[Tensor, "batch time size"],
        valid: Bool[Tensor, "batch time"],
        first_frame: Tensor,
    ) -> tuple[Float[Tensor, "batch time width"], ...]:
        """Return the wanted hidden states; ``first_frame`` is a whole number."""
        frame = (torch.arange(features.shape[1]) + first_frame).to(torch.float32)
        angle = frame[:, None] * self.frequencies
        return self.from_position(features, valid, torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1))


class WhisperGraph(nn.Module):
    """Whisper's encoder, for any length up to its positions.

    Args:
        encoder: the encoder, prepared for export.
        states: numbers of the hidden states to return.
    """

    places: Tensor

    def __init__(self, encoder: Any, states: Sequence[int]) -> None:
        super().__init__()
        self.encoder, self.states = encoder, tuple(states)
        self.register_buffer("places", F.pad(encoder.embed_positions.weight.detach().clone(), (0, 0, 0, 1)))
        del encoder.embed_positions

    def forward(
        self, features: Float[Tensor, "batch mels frames"], valid: Bool[Tensor, "batch time"]
    ) -> tuple[Float[Tensor, "batch time width"], ...]:
        """Return the wanted hidden states; two frames of the spectrum are one of the encoder."""
        encoder = self.encoder
        time = valid.shape[1]
        real = valid[:, None, :, None].expand(-1, -1, -1, 2).flatten(2)
        hidden = F.gelu(encoder.conv1(torch.where(real, features, 0.0)))
        hidden = F.gelu(encoder.conv2(torch.where(real, hidden, 0.0))).transpose(1, 2)
        hidden = hidden + self.places[:time]
        return _layers(encoder.layers, hidden, valid, self.states, encoder.layer_norm)


class WaveformGraph(nn.Module):
    """An encoder of waveforms through strided convolutions, such as wav2vec 2.0 and HuBERT.

    Args:
        model: the model, prepared for export.
        states: numbers of the hidden states to return.
    """

    def __init__(self, model: Any, states: Sequence[int]) -> None:
        super().__init__()
        self.model, self.states = model, tuple(states)
        config = model.config
        self.stages = list(zip(config.conv_kernel, config.conv_stride, strict=True))
        self.stable = bool(getattr(config, "do_stable_layer_norm", False))

    def forward(
        self, features: Float[Tensor, "batch samples"], valid: Bool[Tensor, "batch samples"]
    ) -> tuple[Float[Tensor, "batch time width"], ...]:
        """Return the wanted hidden states; the first samples of each utterance are its real ones."""
        encoder = self.model.encoder
        hidden, real = self._convolved(torch.where(valid, features, 0.0)[:, None], valid.sum(1))
        projected = self.model.feature_projection(hidden.transpose(1, 2))
        hidden = zero_invalid(projected[0] if isinstance(projected, tuple) else projected, real)
        hidden = hidden + self._positions(hidden, real)
        if not self.stable:
            hidden = encoder.layer_norm(hidden)
        return _layers(encoder.layers, hidden, real, self.states, encoder.layer_norm if self.stable else None)

    def _convolved(self, hidden: Tensor, lengths: Tensor) -> tuple[Tensor, Bool[Tensor, "batch time"]]:
        """Return the output of the convolutions and the mask of its real frames."""
        real = torch.empty(0)
        for stage, (kernel, stride) in zip(self.model.feature_extractor.conv_layers, self.stages, strict=True):
            lengths = torch.div(lengths - kernel, stride, rounding_mode="floor") + 1
            norm = getattr(stage, "layer_norm", None)
            if not isinstance(norm, nn.GroupNorm):
                hidden = stage(hidden)
                continue
            hidden = stage.conv(hidden)
            real = torch.arange(hidden.shape[2], device=hidden.device) < lengths[:, None]
            hidden = stage.activation(_normalised(hidden, real, norm))
        return hidden, torch.arange(hidden.shape[2], device=hidden.device) < lengths[:, None]

    def _positions(self, hidden: Tensor, real: Tensor) -> Tensor:
        """Return the positional embedding; where convolutions follow each other, none sees another's padding."""
        embed = self.model.encoder.pos_conv_embed
        if not hasattr(embed, "layers"):
            return embed(hidden)
        turned = hidden.transpose(1, 2)
        for layer in embed.layers:
            turned = torch.where(real[:, None], layer(turned), 0.0)
        return turned.transpose(1, 2)


def _normalised(hidden: Tensor, real: Tensor, norm: nn.GroupNorm) -> Float[Tensor, "batch channels time"]:
    """Return each channel normalised over an utterance's real frames, as a group norm of single channels does alone."""
    mask = real[:, None].to(hidden.dtype)
    count = mask.sum(2, keepdim=True).clamp(min=1)
    centred = hidden - (hidden * mask).sum(2, keepdim=True) / count
    variance = (centred.square() * mask).sum(2, keepdim=True) / count
    return centred * torch.rsqrt(variance + norm.eps) * norm.weight[:, None] + norm.bias[:, None]


def _layers(
    layers: Any, hidden: Tensor, valid: Tensor, states: Sequence[int], norm: nn.Module | None
) -> tuple[Float[Tensor, "batch time width"], ...]:
    """Run layers of `transformers`; the last hidden state passes the final normalisation."""
    found = [hidden]
    mask = valid[:, None, None, :]
    for layer in layers[: max(states)]:
        output = layer(hidden, attention_mask=mask)
        hidden = output[0] if isinstance(output, tuple) else output
        found.append(hidden)
    if norm is not None and max(states) == len(layers):
        found[-1] = norm(found[-1])
    return tuple(found[state] for state in states)
