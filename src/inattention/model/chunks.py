"""Encoding recordings of any length: overlapping chunks where they are too long, batches of like lengths elsewhere."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

if TYPE_CHECKING:
    from inattention.model.transformer import AudioTransformer


class Chunk(NamedTuple):
    """Steps ``start:end`` of an utterance go through the encoder; ``keep_start:keep_end`` of them are kept."""

    start: int
    end: int
    keep_start: int
    keep_end: int


def chunks(time: int, longest: int) -> list[Chunk]:
    """Cover an utterance with chunks that overlap by half; each step is kept where it lies deepest.

    Args:
        time: steps of the utterance.
        longest: steps of the longest chunk; every chunk of a longer utterance has this length.

    >>> chunks(5, 10)
    [Chunk(start=0, end=5, keep_start=0, keep_end=5)]
    >>> [(c.start, c.end) for c in chunks(25, 10)]
    [(0, 10), (5, 15), (10, 20), (15, 25)]
    """
    if time <= longest:
        return [Chunk(0, time, 0, time)]
    hop = max(1, longest // 2)
    starts = [*range(0, time - longest, hop), time - longest]
    # Where two neighbours overlap, the boundary lies in the middle of the overlap.
    boundaries = [0, *((b + a + longest) // 2 for a, b in pairwise(starts)), time]
    return [
        Chunk(start, start + longest, low, high)
        for start, low, high in zip(starts, boundaries[:-1], boundaries[1:], strict=True)
    ]


@torch.no_grad()
def encode(
    model: "AudioTransformer",
    utterances: Sequence[Float[Tensor, "_ size"]],
    *,
    layer: int | None = -1,
    batch_size: int = 16,
) -> list[Tensor]:
    """Encode utterances of any length; each comes out as it would alone.

    Args:
        model: the encoder; it is used in evaluation mode and left as it was.
        utterances: input features, on any device.
        layer: which hidden state (0 is the embedded input, -1 the last layer); None for all, as a first axis.
        batch_size: chunks that go through the encoder at once.

    Returns:
        A tensor of (time, width), or (layers, time, width), for each utterance, on the model's device.

    Raises:
        ValueError: if there is no such layer, an utterance is empty or of another size than the model's input, or
            ``batch_size`` is under 1.
    """
    config = model.config
    _check(model, utterances, layer, batch_size)
    layer = -1 if layer == config.layers else layer  # the last one comes without the others
    weight = next(model.parameters())
    pieces = [(i, chunk) for i, steps in enumerate(utterances) for chunk in chunks(len(steps), config.max_length)]
    pieces.sort(key=lambda piece: piece[1].end - piece[1].start)
    states = (config.layers + 1,) if layer is None else ()
    results = [weight.new_empty(*states, len(steps), config.width) for steps in utterances]
    with _evaluating(model):
        for first in range(0, len(pieces), batch_size):
            group = pieces[first : first + batch_size]
            features, valid = _pad([utterances[i][chunk.start : chunk.end] for i, chunk in group], weight)
            hidden = _hidden(model, features, valid, layer)
            for row, (i, chunk) in enumerate(group):
                kept = hidden[row, ..., chunk.keep_start - chunk.start : chunk.keep_end - chunk.start, :]
                results[i][..., chunk.keep_start : chunk.keep_end, :] = kept
    return results


def _check(
    model: "AudioTransformer", utterances: Sequence[Float[Tensor, "_ size"]], layer: int | None, batch_size: int
) -> None:
    """Refuse what `encode` cannot take."""
    config = model.config
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    for i, steps in enumerate(utterances):
        if not len(steps) or steps.shape[1:] != (config.input_size,):
            raise ValueError(
                f"utterance {i} must be of (time, {config.input_size}), as config.features says, "
                f"not of {tuple(steps.shape)}"
            )
    if layer is not None and not -config.layers - 1 <= layer <= config.layers:
        raise ValueError(
            f"there is no layer {layer}: the model has hidden states 0 to {config.layers}, and -1 is the last"
        )


@contextmanager
def _evaluating(model: nn.Module) -> Generator[None]:
    """Put a model in evaluation mode, and leave each of its modules in the mode that it had."""
    modes = [(module, module.training) for module in model.modules()]
    if any(training for _, training in modes):  # else what mechanisms keep while in evaluation would be dropped
        model.eval()
    try:
        yield
    finally:
        for module, training in modes:  # a parent before its children, which may have a mode of their own
            if module.training != training:
                module.train(training)


def _pad(
    pieces: Sequence[Float[Tensor, "_ size"]], like: Tensor
) -> tuple[Float[Tensor, "batch time size"], Bool[Tensor, "batch time"]]:
    """Join pieces to a batch, with the device and type of another tensor."""
    longest = max(len(piece) for piece in pieces)
    features = like.new_zeros(len(pieces), longest, pieces[0].shape[1])
    valid = torch.zeros(len(pieces), longest, dtype=torch.bool, device=like.device)
    for row, piece in enumerate(pieces):
        features[row, : len(piece)] = piece
        valid[row, : len(piece)] = True
    return features, valid


def _hidden(model: "AudioTransformer", features: Tensor, valid: Tensor, layer: int | None) -> Tensor:
    """Give one hidden state, (batch, time, width), or all, (batch, layers, time, width)."""
    output = model(features, valid, output_hidden_states=layer != -1)
    if layer == -1:
        return output.last_hidden_state
    if layer is None:
        return torch.stack(output.hidden_states, dim=1)
    return output.hidden_states[layer]
