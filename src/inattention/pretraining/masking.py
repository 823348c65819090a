"""Masking: which frames of an utterance are hidden from the model, and what replaces them.

Source: the study's section on pre-training; `MaskingConfig` names what differs from the authors' code.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from inattention.audio.config import FeatureConfig
from inattention.audio.frames import stack, statistics, with_deltas
from inattention.pretraining.config import MaskingConfig

Corruption = Literal["zero", "replace", "keep"]


def span_starts(time: int, config: MaskingConfig) -> int:
    """Return the number of frames at which a span can start; utterances with fewer than two are skipped."""
    return max(0, (time - config.span_steps) // config.start_every + 1)


def draw_mask(time: int, config: MaskingConfig, generator: torch.Generator) -> Bool[Tensor, " time"]:
    """Draw a mask of non-overlapping spans: about ``proportion`` of all frames, at least one span.

    >>> mask = draw_mask(100, MaskingConfig(span_steps=2), torch.Generator().manual_seed(0))
    >>> int(mask.sum())
    14
    """
    spans = max(1, int(config.proportion * time) // config.span_steps)
    if config.start_every > 1:
        starts = torch.randperm(span_starts(time, config), generator=generator)[:spans] * config.start_every
    else:
        # Drawing among the frames that remain when each span is shrunk to one gives spans that cannot overlap.
        shrunk = time - spans * (config.span_steps - 1)
        starts = torch.randperm(shrunk, generator=generator)[:spans].sort().values
        starts = starts + torch.arange(spans) * (config.span_steps - 1)
    mask = torch.zeros(time, dtype=torch.bool)
    for offset in range(config.span_steps):
        mask[starts + offset] = True
    return mask


def draw_corruption(config: MaskingConfig, generator: torch.Generator) -> Corruption:
    """Draw what replaces the masked frames: one choice for the whole utterance."""
    draw = float(torch.rand((), generator=generator))
    if draw < config.zeroed:
        return "zero"
    return "replace" if draw < config.zeroed + config.replaced else "keep"


def corrupt(
    frames: Float[Tensor, "log_mel_frames mels"],
    mask: Bool[Tensor, " time"],
    corruption: Corruption,
    features: FeatureConfig,
    *,
    before_deltas: bool,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "time size"], Float[Tensor, "time size"]]:
    """Compute a model's input features with masked frames, and without masking.

    Args:
        frames: log-mel frames of the whole utterance, ``features.stack`` of them per encoder frame.
        mask: the frames to hide.
        corruption: what they become: zero (the mean), other frames of the utterance, or themselves.
        features: how log-mel frames become input features.
        before_deltas: mask the static bands and compute deltas from the result; normalisation uses the statistics of
            the unmasked utterance either way.
        generator: draws the other frames.

    Returns:
        Masked and unmasked features.
    """
    dims = with_deltas(frames, features)
    mean, deviation = statistics(dims) if features.normalise else (dims.new_zeros(1), dims.new_ones(1))
    clean = stack((dims - mean) / deviation, features.stack)
    if corruption == "keep":
        return clean, clean
    time = len(clean)
    source = torch.arange(time)
    if corruption == "replace":
        source[mask] = torch.randint(time, (int(mask.sum()),), generator=generator)
    if not before_deltas:
        hidden = clean[source]
    else:
        static = stack(frames, features.stack)[source].reshape(-1, frames.shape[1])
        static = torch.cat([static, frames[len(static) :]])  # the remainder that stacking drops still feeds deltas
        if corruption == "zero":
            static[: time * features.stack][mask.repeat_interleave(features.stack)] = frames.mean(0)
        hidden = stack((with_deltas(static, features) - mean) / deviation, features.stack)
    if corruption == "zero":
        hidden = torch.where(mask[:, None], 0.0, hidden)
    return hidden, clean
