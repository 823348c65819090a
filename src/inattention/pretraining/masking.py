"""Which steps of an utterance are hidden, and what the model sees in their place (facts of the study, section 1)."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from inattention.audio.config import FeatureConfig
from inattention.audio.frames import stack, statistics, with_deltas
from inattention.pretraining.config import MaskingConfig

Corruption = Literal["zero", "replace", "keep"]


def slots(time: int, config: MaskingConfig) -> int:
    """Count the places where a span can start; utterances with fewer than two are not used."""
    return max(0, (time - config.span_steps) // config.start_every + 1)


def choose_steps(time: int, config: MaskingConfig, generator: torch.Generator) -> Bool[Tensor, " time"]:
    """Choose the steps to hide: spans that do not overlap, about ``proportion`` of all steps, at least one span.

    >>> chosen = choose_steps(100, MaskingConfig(span_steps=2), torch.Generator().manual_seed(0))
    >>> int(chosen.sum())
    14
    """
    spans = max(1, int(config.proportion * time) // config.span_steps)
    if config.start_every > 1:
        places = torch.randperm(slots(time, config), generator=generator)[:spans] * config.start_every
    else:
        # Drawing among the steps that are left when each span has shrunk to one gives spans that cannot overlap.
        shrunk = time - spans * (config.span_steps - 1)
        places = torch.randperm(shrunk, generator=generator)[:spans].sort().values
        places = places + torch.arange(spans) * (config.span_steps - 1)
    chosen = torch.zeros(time, dtype=torch.bool)
    for offset in range(config.span_steps):
        chosen[places + offset] = True
    return chosen


def choose_corruption(config: MaskingConfig, generator: torch.Generator) -> Corruption:
    """Draw what an utterance's hidden steps become: one choice for the whole utterance."""
    draw = float(torch.rand((), generator=generator))
    if draw < config.zeroed:
        return "zero"
    return "replace" if draw < config.zeroed + config.replaced else "keep"


def corrupt(
    frames: Float[Tensor, "frames mels"],
    chosen: Bool[Tensor, " time"],
    how: Corruption,
    features: FeatureConfig,
    *,
    before_deltas: bool,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "time size"], Float[Tensor, "time size"]]:
    """Make a model's input with steps hidden.

    Args:
        frames: log-mel frames of the whole utterance.
        chosen: the steps to hide.
        how: what they become: zero (the mean), other steps of the utterance, or what they are.
        features: how frames become steps.
        before_deltas: hide static frames first and compute deltas from what is left; normalisation is that of the
            whole utterance either way.
        generator: draws the other steps.

    Returns:
        The input with steps hidden, and as it is.
    """
    dims = with_deltas(frames, features)
    mean, spread = statistics(dims) if features.normalise else (dims.new_zeros(1), dims.new_ones(1))
    clean = stack((dims - mean) / spread, features.stack)
    if how == "keep":
        return clean, clean
    time = len(clean)
    source = torch.arange(time)
    if how == "replace":
        source[chosen] = torch.randint(time, (int(chosen.sum()),), generator=generator)
    if not before_deltas:
        hidden = clean[source]
    else:
        static = stack(frames, features.stack)[source].reshape(-1, frames.shape[1])
        static = torch.cat([static, frames[len(static) :]])  # the remainder that stacking drops still feeds deltas
        if how == "zero":
            static[: time * features.stack][chosen.repeat_interleave(features.stack)] = frames.mean(0)
        hidden = stack((with_deltas(static, features) - mean) / spread, features.stack)
    if how == "zero":
        hidden = torch.where(chosen[:, None], 0.0, hidden)
    return hidden, clean
