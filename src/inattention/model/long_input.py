"""Encode a recording of any length piece by piece, so that memory does not grow with it."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from inattention.audio.feature_stream import FeatureStream
from inattention.audio.spans import Chunk, Tape, blocks, chunks
from inattention.model.chunks import evaluating, hidden_state
from inattention.model.encoder import Encoder
from inattention.model.reach import LimitedEncoder, limit_encoder

# Frames of the chunks that are encoded at once.
_AT_ONCE = 1600


@dataclass(frozen=True)
class BlockPlan:
    """Blocks of one pass over a recording.

    Attributes:
        limited: the encoder.
        frames: frames that each block adds.
    """

    limited: LimitedEncoder
    frames: int


def plan_blocks(encoder: Encoder, block_seconds: float | None, bound: float = 0.0) -> BlockPlan | None:
    """Return how a recording is encoded in blocks; None for chunks.

    Args:
        encoder: the encoder.
        block_seconds: length of the blocks; None for chunks.
        bound: greatest part of any row of weights that Toeplitz tables may leave out.

    Raises:
        UnlimitedReach: if the mechanism of a layer has no limited reach.
        ValueError: for a length or a bound out of range.
    """
    if block_seconds is None:
        if bound:
            raise ValueError("a bound goes with blocks: set the length of a block too")
        return None
    if not 0 < block_seconds < float("inf"):
        raise ValueError(f"the length of a block must be above 0 seconds, not {block_seconds}")
    frames = max(1, round(block_seconds / encoder.config.features.step_seconds))
    return BlockPlan(limit_encoder(encoder, bound), frames)


def encode_stream(
    encoder: Encoder,
    stream: FeatureStream,
    plan: BlockPlan | None,
    *,
    layer: int | None = -1,
    frames_at_once: int = _AT_ONCE,
) -> Iterator[Float[Tensor, "*layers some width"]]:
    """Yield the frames of a recording: of blocks if they are planned, else of chunks.

    Args:
        encoder: the encoder.
        stream: the recording.
        plan: blocks, or None for chunks.
        layer: which hidden state; None for all, as a first axis.
        frames_at_once: frames of the chunks that are encoded at once, at least one chunk.
    """
    layer = -1 if layer == encoder.config.layers else layer  # the last one comes without the others
    if plan is not None:
        return encode_blocks(plan.limited, stream, block=plan.frames, layer=layer)
    batch_size = max(1, frames_at_once // encoder.config.max_length)
    return encode_chunks(encoder, stream, layer=layer, batch_size=batch_size)


def encode_chunks(
    encoder: Encoder, stream: FeatureStream, *, layer: int | None = -1, batch_size: int = 4
) -> Iterator[Float[Tensor, "*layers some width"]]:
    """Yield the frames that `inattention.model.chunks.encode` returns: of chunks that overlap by half.

    Args:
        encoder: used in evaluation mode; each module's mode is restored.
        stream: the recording.
        layer: which hidden state; None for all, as a first axis.
        batch_size: chunks that are encoded at once.
    """
    plan = chunks(stream.time, encoder.config.max_length)
    tape = Tape(stream.inputs(), lambda arrays: torch.cat(list(arrays)))
    for first in range(0, len(plan), batch_size):
        group = plan[first : first + batch_size]
        inputs = torch.stack([tape.read(chunk.start, chunk.end) for chunk in group])
        hidden = _encoded(encoder, inputs, layer, 0)
        yield torch.cat([_kept(states, chunk) for states, chunk in zip(hidden, group, strict=True)], dim=-2)


def encode_blocks(
    limited: LimitedEncoder, stream: FeatureStream, *, block: int, layer: int | None = -1
) -> Iterator[Float[Tensor, "*layers some width"]]:
    """Yield the frames of one pass over the whole recording, block by block.

    Each block is encoded with the frames around it that its output depends on, at their own positions.

    Args:
        limited: an encoder of limited reach, in evaluation mode or not.
        stream: the recording.
        block: frames that each block adds.
        layer: which hidden state; None for all, as a first axis.
    """
    tape = Tape(stream.inputs(), lambda arrays: torch.cat(list(arrays)))
    reach = limited.reach
    for chunk in blocks(stream.time, block, reach.back, reach.ahead, reach.grid):
        inputs = tape.read(chunk.start, chunk.end)[None]
        yield _kept(_encoded(limited.encoder, inputs, layer, chunk.start)[0], chunk)


@torch.no_grad()
def _encoded(encoder: Encoder, inputs: Tensor, layer: int | None, first_frame: int) -> Tensor:
    with evaluating(encoder):
        return hidden_state(encoder, inputs.to(next(encoder.parameters())), None, layer, first_frame)


def _kept(states: Tensor, chunk: Chunk) -> Tensor:
    return states[..., chunk.keep_start - chunk.start : chunk.keep_end - chunk.start, :]
