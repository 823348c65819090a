"""Hidden states of Whisper's encoder at any length up to 30 s, where `transformers` insists on 30 s."""

from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

# Frames of silence, of 20 ms, that a converted Whisper hears behind its speech.
SILENCE_FRAMES = 25


def whisper_states(
    encoder: Any, mel: Float[Tensor, "batch mels frames"], **options: Any
) -> tuple[Float[Tensor, "batch time width"], ...]:
    """Return the embedded input and the output of each layer; the last one has passed the final normalisation.

    Less than 30 s get the positions of the first frames. At 30 s the states are those of `transformers`.

    Args:
        encoder: Whisper's encoder, converted or not.
        mel: log-mel spectrum; two of its frames are one of the encoder.
        **options: for the layers.

    Raises:
        ValueError: if the input is longer than the encoder's positions.
    """
    hidden = F.gelu(encoder.conv1(mel.to(encoder.conv1.weight)))
    hidden = F.gelu(encoder.conv2(hidden)).transpose(1, 2)
    positions = encoder.embed_positions.weight
    if hidden.shape[1] > len(positions):
        raise ValueError(f"the encoder takes at most {len(positions)} frames, not {hidden.shape[1]}")
    hidden = F.dropout(hidden + positions[: hidden.shape[1]], encoder.dropout, encoder.training)
    states = [hidden]
    for layer in encoder.layers:
        states.append(layer(states[-1], None, **options))
    states[-1] = encoder.layer_norm(states[-1])
    return tuple(states)
