"""The model's input from log-mel frames: deltas, normalisation over the utterance, stacking.

Separate from `log_mel`, because pre-training masks between the two. Each utterance is computed on its own.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from inattention.audio.config import FeatureConfig
from inattention.audio.feature_stream import Arithmetic, FeatureStream
from inattention.audio.log_mel import log_mel, log_mel_of_padded
from inattention.audio.reader import AudioError, check_samples
from inattention.audio.streaming import LongAudio

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
    half, inner = width // 2, slopes(frames, width)
    return torch.cat([inner[:1].expand(half, -1), inner, inner[-1:].expand(half, -1)])


def slopes(frames: Float[Tensor, "frames dims"], width: int) -> Float[Tensor, "inner dims"]:
    """Return the slope of a line fitted over `width` frames around each frame that has so many."""
    half = width // 2
    offsets = torch.arange(-half, half + 1, dtype=frames.dtype, device=frames.device)
    kernel = offsets / offsets.square().sum()
    return F.conv1d(frames.t()[:, None], kernel[None, None])[:, 0].t()


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
        raise ValueError(_too_short(len(waveform), config))
    return steps


def feature_stream(audio: LongAudio, config: FeatureConfig) -> FeatureStream:
    """Return the model's input from a recording of any length, block by block, after a check of the whole.

    Args:
        audio: The recording, at `config.sampling_rate`.
        config: Settings of the features.

    Raises:
        AudioError: The recording cannot be used, or is too short for one frame.
    """
    stream = FeatureStream(
        blocks=lambda: map(torch.from_numpy, audio.blocks()),
        samples=audio.check(),
        arithmetic=Arithmetic(
            join=lambda arrays, axis: torch.cat(list(arrays), axis),
            log_mel=lambda samples: log_mel_of_padded(samples.float(), config),
            slopes=slopes,
            array=lambda values: torch.from_numpy(values).float(),
            single=lambda frames: frames,
        ),
        hop=config.hop_samples,
        fft_size=config.fft_size,
        delta_frames=config.delta_frames if config.deltas else 0,
        normalise=config.normalise,
        stack=config.stack,
        smallest_deviation=SMALLEST_DEVIATION,
    )
    if not stream.time:
        raise AudioError(f"{audio.name}: {_too_short(stream.samples, config)}")
    return stream


def _too_short(samples: int, config: FeatureConfig) -> str:
    return f"the audio is too short: {samples / config.sampling_rate:.4f} s make no frame of {config.step_seconds:g} s"
