"""Encode recordings of any length: in batches of similar lengths, long ones in overlapping chunks."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from inattention.audio.spans import chunks
from inattention.model.config import AudioTransformerConfig
from inattention.model.encoder import Encoder


@torch.no_grad()
def encode(
    encoder: Encoder,
    utterances: Sequence[Float[Tensor, "_ size"]],
    *,
    layer: int | None = -1,
    batch_size: int = 16,
) -> list[Tensor]:
    """Encode utterances of any length; the output of each is the same as alone.

    Args:
        encoder: used in evaluation mode; each module's mode is restored.
        utterances: input features, on any device.
        layer: which hidden state (0 is the embedded input, -1 the last layer); None for all, as a first axis.
        batch_size: chunks that are encoded at once.

    Returns:
        A tensor of (time, width), or (layers, time, width), for each utterance, on the encoder's device.

    Raises:
        ValueError: if there is no such layer, an utterance is empty or of another size than the encoder's input, or
            ``batch_size`` is under 1.
    """
    config = encoder.config
    _check(config, utterances, layer, batch_size)
    layer = -1 if layer == config.layers else layer  # the last one comes without the others
    weight = next(encoder.parameters())
    pieces = [(i, chunk) for i, frames in enumerate(utterances) for chunk in chunks(len(frames), config.max_length)]
    pieces.sort(key=lambda piece: piece[1].end - piece[1].start)
    states = (config.layers + 1,) if layer is None else ()
    results = [weight.new_empty(*states, len(frames), config.width) for frames in utterances]
    with evaluating(encoder):
        for first in range(0, len(pieces), batch_size):
            group = pieces[first : first + batch_size]
            features, valid = _pad([utterances[i][chunk.start : chunk.end] for i, chunk in group], weight)
            hidden = hidden_state(encoder, features, valid, layer)
            for row, (i, chunk) in enumerate(group):
                kept = hidden[row, ..., chunk.keep_start - chunk.start : chunk.keep_end - chunk.start, :]
                results[i][..., chunk.keep_start : chunk.keep_end, :] = kept
    return results


def _check(
    config: AudioTransformerConfig,
    utterances: Sequence[Float[Tensor, "_ size"]],
    layer: int | None,
    batch_size: int,
) -> None:
    """Raise ValueError for arguments that `encode` does not accept."""
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    for i, frames in enumerate(utterances):
        if not len(frames) or frames.shape[1:] != (config.input_size,):
            raise ValueError(
                f"utterance {i} must be of (time, {config.input_size}), as config.features says, "
                f"not of {tuple(frames.shape)}"
            )
    check_layer(config, layer)


def check_layer(config: AudioTransformerConfig, layer: int | None) -> None:
    """Raise ValueError if there is no such hidden state."""
    if layer is not None and not -config.layers - 1 <= layer <= config.layers:
        raise ValueError(
            f"there is no layer {layer}: the model has hidden states 0 to {config.layers}, and -1 is the last"
        )


@contextmanager
def evaluating(model: nn.Module) -> Generator[None]:
    """Put a model in evaluation mode, and restore the mode of each of its modules afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    if any(training for _, training in modes):  # otherwise what mechanisms cached in evaluation would be dropped
        model.eval()
    try:
        yield
    finally:
        for module, training in modes:  # a parent before its children, whose modes may differ
            if module.training != training:
                module.train(training)


def _pad(
    pieces: Sequence[Float[Tensor, "_ size"]], like: Tensor
) -> tuple[Float[Tensor, "batch time size"], Bool[Tensor, "batch time"] | None]:
    """Join pieces to a batch, with the device and type of another tensor; the mask is None if none is padded."""
    longest = max(len(piece) for piece in pieces)
    features = like.new_zeros(len(pieces), longest, pieces[0].shape[1])
    valid = torch.zeros(len(pieces), longest, dtype=torch.bool, device=like.device)
    for row, piece in enumerate(pieces):
        features[row, : len(piece)] = piece
        valid[row, : len(piece)] = True
    return features, None if all(len(piece) == longest for piece in pieces) else valid


def hidden_state(
    encoder: Encoder, features: Tensor, valid: Tensor | None, layer: int | None, first_frame: int = 0
) -> Tensor:
    """Return one hidden state, (batch, time, width), or all, (batch, layers, time, width).

    Args:
        encoder: the encoder.
        features: its input.
        valid: True at real frames; None if all are.
        layer: number of the hidden state; None for all.
        first_frame: position of the first frame.
    """
    place = {"first_frame": first_frame} if first_frame else {}
    output = encoder(features, valid, output_hidden_states=layer != -1, **place)
    if layer == -1:
        return output.last_hidden_state
    if layer is None:
        return torch.stack(output.hidden_states, dim=1)
    return output.hidden_states[layer]
