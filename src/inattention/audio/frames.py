"""A model's input from log-mel frames: deltas, normalisation over the utterance, stacking.

Separate from `log_mel` because pre-training masks frames between the two.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from inattention.audio.config import FeatureConfig
from inattention.audio.log_mel import log_mel
from inattention.audio.reader import check_samples

# A band that does not vary (digital silence) has nothing to scale: it becomes zero.
SMALLEST_SPREAD = 1e-5


def delta(frames: Float[Tensor, "frames dims"], width: int) -> Float[Tensor, "frames dims"]:
    """Give the slope of a line fitted over ``width`` frames around each frame; at the ends, that of the end's window.

    The first-order Savitzky-Golay derivative. An utterance shorter than the window uses the longest odd window that
    it holds.

    >>> delta(2 * torch.arange(5.0)[:, None], 3).flatten().tolist()
    [2.0, 2.0, 2.0, 2.0, 2.0]
    """
    width = min(width, len(frames) - (len(frames) + 1) % 2)
    if width < 3:
        return torch.zeros_like(frames)
    half = width // 2
    offsets = torch.arange(-half, half + 1, dtype=frames.dtype, device=frames.device)
    kernel = offsets / offsets.square().sum()
    slopes = F.conv1d(frames.t()[:, None], kernel[None, None])[:, 0].t()
    return torch.cat([slopes[:1].expand(half, -1), slopes, slopes[-1:].expand(half, -1)])


def with_deltas(frames: Float[Tensor, "frames mels"], config: FeatureConfig) -> Float[Tensor, "frames dims"]:
    """Append each band's delta, where the settings ask for it."""
    return torch.cat([frames, delta(frames, config.delta_frames)], dim=1) if config.deltas else frames


def statistics(frames: Float[Tensor, "frames dims"]) -> tuple[Float[Tensor, " dims"], Float[Tensor, " dims"]]:
    """Give the mean and spread of each dimension over the utterance; no spread is zero."""
    mean = frames.mean(0)
    spread = (frames - mean).square().mean(0).sqrt()
    return mean, torch.where(spread < SMALLEST_SPREAD, 1.0, spread)


def stack(frames: Float[Tensor, "frames dims"], count: int) -> Float[Tensor, "time size"]:
    """Join each ``count`` frames to one step; a remainder is dropped.

    >>> stack(torch.arange(5.0)[:, None], 2).tolist()
    [[0.0, 1.0], [2.0, 3.0]]
    """
    time = len(frames) // count
    return frames[: time * count].reshape(time, count * frames.shape[1])


def steps_of(frames: Float[Tensor, "frames mels"], config: FeatureConfig) -> Float[Tensor, "time size"]:
    """Turn log-mel frames into a model's input: deltas, normalisation over the utterance, stacking."""
    frames = with_deltas(frames, config)
    if config.normalise:
        mean, spread = statistics(frames)
        frames = (frames - mean) / spread
    return stack(frames, config.stack)


def features(waveform: Float[Tensor, " samples"], config: FeatureConfig) -> Float[Tensor, "time size"]:
    """Turn a waveform into a model's input.

    Args:
        waveform: one channel at ``config.sampling_rate``.
        config: every number of the features.

    Returns:
        Step s is centred at ``config.first_center_seconds + s * config.step_seconds``.

    Raises:
        ValueError: if the waveform is empty, silent, not finite, or too short for one step.
    """
    check_samples(waveform)
    steps = steps_of(log_mel(waveform, config), config)
    if not len(steps):
        raise ValueError(
            f"the audio is too short: {len(waveform) / config.sampling_rate:.4f} s make no step of "
            f"{config.step_seconds:g} s"
        )
    return steps
