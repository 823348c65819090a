"""An exported file against PyTorch: the same hidden states, on recordings of real lengths, alone and in batches."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from inattention.export.config import ExportError, Precision
from inattention.export.subject import Subject

Runner = Callable[[np.ndarray, np.ndarray], Sequence[np.ndarray]]

# Seconds of the recordings that are compared, if the model takes so long ones.
SECONDS = (0.4, 1.9, 5.0, 20.0)
MOST_FRAMES = 1500
# Relative error between exact forms: float32 sums in another order, whose rounding adds up over layers.
FLOAT_TOLERANCE = 1e-4
_ROUNDED_LAYERS = 4  # that stay within it
# A single feature may differ more: a trained encoder amplifies rounding in some frames. Of Whisper base with fixed
# maps, one frame of a thousand is off by 1e-3, with a relative error of 1e-5 of the whole; an error of ours is larger.
FEATURE_TOLERANCE = 1e-2
LOW_PRECISION_TOLERANCE = 0.25
TWO_LEVEL_TOLERANCE = 0.05  # in float32; of converted Whispers 4e-3 was measured
_SMALLEST = 1e-30  # of divisors: a hidden state may be zero


def batches(subject: Subject, recordings: Sequence[Tensor] = ()) -> list[list[Tensor]]:
    """Return batches at the encoder's sampling rate: the longest alone, the others together.

    Args:
        subject: the encoder.
        recordings: what is compared; by default noise of several lengths.
    """
    limit = min(subject.longest, MOST_FRAMES) * subject.source.step_seconds
    waves = [it[: int(limit * subject.source.sampling_rate)] for it in recordings] or _noise(subject, limit)
    waves.sort(key=len)
    return [waves[-1:], waves[:-1]] if len(waves) > 1 else [waves]


def _noise(subject: Subject, limit: float) -> list[Tensor]:
    seconds = sorted({min(it, limit) for it in SECONDS})
    generator = torch.Generator().manual_seed(0)
    rate = subject.source.sampling_rate
    waves = []
    for duration in seconds:
        samples = max(1, int(duration * rate))
        loudness = 0.05 * (1.2 + torch.sin(torch.arange(samples) * (2 * torch.pi * 4 / rate)))
        waves.append(loudness * torch.randn(samples, generator=generator))
    return waves


def compare(
    run: Runner, subject: Subject, states: Sequence[int], groups: Sequence[Sequence[Tensor]]
) -> tuple[float, float]:
    """Return the greatest difference of a file from PyTorch, and the relative error.

    Args:
        run: returns a file's outputs for features and a padding mask.
        subject: the encoder in PyTorch.
        states: numbers of the hidden states that the file returns.
        groups: waveforms that are encoded at once, see `batches`.

    Returns:
        The greatest difference of a feature over its own size and the root mean square of the hidden state, and the
        root of the summed squared differences over that of the summed squares; of the worst output.

    Raises:
        ExportError: if the file or the model returns NaN or infinity, or the file another number of frames.
    """
    greatest, squares, sizes = 0.0, np.zeros(len(states)), np.zeros(len(states))
    for waveforms in groups:
        features, mask, counts = subject.batch(waveforms)
        outputs = run(features.numpy(), mask.numpy())
        for row, (waveform, count) in enumerate(zip(waveforms, counts, strict=True)):
            for place, expected in enumerate(subject.reference(waveform, states)):
                got, wanted = outputs[place][row, :count], expected.float().cpu().numpy()
                if not np.isfinite(wanted).all():
                    raise ExportError(
                        f"hidden state {states[place]} of {subject.source.name} is NaN or infinite in PyTorch; nothing "
                        "was written"
                    )
                if got.shape != wanted.shape or not np.isfinite(got).all():
                    raise ExportError(
                        f"the exported file returns {got.shape} for an utterance of {wanted.shape}, or numbers that "
                        "are not finite; nothing was written"
                    )
                difference = got.astype(np.float64) - wanted
                size = np.square(wanted.astype(np.float64))
                scale = max(float(np.sqrt(size.mean())), _SMALLEST)
                greatest = max(greatest, float((np.abs(difference) / (np.abs(wanted) + scale)).max()))
                squares[place] += np.square(difference).sum()
                sizes[place] += size.sum()
    return greatest, float(np.sqrt((squares / np.maximum(sizes, _SMALLEST)).max()))


def tolerance(layers: int, band: float, precision: Precision, *, exact: bool) -> float:
    """Return the greatest relative error that is allowed.

    Args:
        layers: number of layers.
        band: the largest part of a row that a band leaves out: an average of values moves by at most twice that part
            of the largest value, in each layer.
        precision: of the linear layers.
        exact: linear layers in float32, and forms that compute the same sums.
    """
    if precision != "float32":
        return LOW_PRECISION_TOLERANCE
    if not exact:
        return TWO_LEVEL_TOLERANCE
    return FLOAT_TOLERANCE * max(1.0, layers / _ROUNDED_LAYERS) + 2 * band * layers


def check(greatest: float, relative: float, allowed: float, *, exact: bool) -> None:
    """Raise if a file does not compute what the model does.

    Args:
        greatest: greatest difference of a feature.
        relative: relative error.
        allowed: greatest relative error.
        exact: see `tolerance`; then no feature may differ much, either.

    Raises:
        ExportError: with the difference and what was allowed.
    """
    far = allowed + FEATURE_TOLERANCE
    if not relative <= allowed:
        found = f"has a relative error of {relative:.2g} where {allowed:.2g} is allowed"
    elif exact and not greatest <= far:
        found = f"differs from PyTorch by {greatest:.2g} of a feature's size where {far:.2g} is allowed"
    else:
        return
    raise ExportError(f"the exported file {found}; nothing was written")
