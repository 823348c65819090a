"""The model's input from log-mel frames: deltas, normalisation over the utterance, stacking.

Separate from `log_mel`, because pre-training masks between the two. Each utterance is computed on its own.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from inattention.audio.config import FeatureConfig
from inattention.audio.log_mel import log_mel
from inattention.audio.reader import check_samples

# A band that varies less (digital silence) is not scaled: it becomes zero.
SMALLEST_DEVIATION = 1e-5


def delta(frames: Float[Tensor, "frames dims"], width: int) -> Float[Tensor, "frames dims"]:
    """Return the slope of a line fitted over `width` frames around each; at the ends, over the first or last `width`.

    The first-order Savitzky-Golay derivative. An utterance shorter than the window uses its longest odd window.

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
    """Return frames with each band's delta appended, if `config.deltas`."""
    return torch.cat([frames, delta(frames, config.delta_frames)], dim=1) if config.deltas else frames


def statistics(frames: Float[Tensor, "frames dims"]) -> tuple[Float[Tensor, " dims"], Float[Tensor, " dims"]]:
    """Return the mean and standard deviation of each dimension over the utterance; 1 for a deviation of almost 0."""
    mean = frames.mean(0)
    deviation = (frames - mean).square().mean(0).sqrt()
    return mean, torch.where(deviation < SMALLEST_DEVIATION, 1.0, deviation)


def stack(frames: Float[Tensor, "frames dims"], count: int) -> Float[Tensor, "time size"]:
    """Join every `count` frames; a remainder is dropped.

    >>> stack(torch.arange(5.0)[:, None], 2).tolist()
    [[0.0, 1.0], [2.0, 3.0]]
    """
    time = len(frames) // count
    return frames[: time * count].reshape(time, count * frames.shape[1])


def steps_of(frames: Float[Tensor, "frames mels"], config: FeatureConfig) -> Float[Tensor, "time size"]:
    """Return the model's input from log-mel frames: deltas, normalisation over the utterance, stacking."""
    frames = with_deltas(frames, config)
    if config.normalise:
        mean, deviation = statistics(frames)
        frames = (frames - mean) / deviation
    return stack(frames, config.stack)


def features(waveform: Float[Tensor, " samples"], config: FeatureConfig) -> Float[Tensor, "time size"]:
    """Return the model's input from a waveform.

    Args:
        waveform: One channel at `config.sampling_rate`.
        config: Settings of the features.

    Returns:
        Frame t is centred at `config.first_center_seconds + t * config.step_seconds`.

    Raises:
        ValueError: The waveform is empty, silent, not finite, or too short for one frame.
    """
    check_samples(waveform)
    steps = steps_of(log_mel(waveform, config), config)
    if not len(steps):
        raise ValueError(
            f"the audio is too short: {len(waveform) / config.sampling_rate:.4f} s make no frame of "
            f"{config.step_seconds:g} s"
        )
    return steps
