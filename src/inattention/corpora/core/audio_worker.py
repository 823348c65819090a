"""The process that reads audio files and says what they hold: jobs on stdin, answers on stdout, a line of JSON each.

Run by `inattention.corpora.core.audio_facts`, as a process of its own so that a decoder that crashes or hangs costs
one file and nothing more; and it imports nothing heavy.
"""

import json
import os
import stat
import sys
from typing import Any

import numpy as np
import soundfile
from jaxtyping import Float

from inattention.audio.limits import HIGHEST_RATE, LOWEST_RATE, SILENCE

BLOCK_SAMPLES = 2**20  # over all channels, so that memory does not grow with a file
FRAME_SECONDS = 0.02
CLIPPED = 0.999
PAUSE_DB = 40.0


def main() -> None:
    """Answer jobs until there are no more."""
    for line in sys.stdin:
        job = json.loads(line)
        try:
            answer = read(job)
        except _Unusable as error:
            answer = {"error": str(error)}
        except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError, OSError, MemoryError) as error:
            # Without the path, which libsndfile would say again.
            reason = str(getattr(error, "error_string", error)) or type(error).__name__
            answer = {"error": f"cannot be read as audio ({' '.join(reason.split())})"}
        print(json.dumps(answer), flush=True)


class _Unusable(ValueError):
    """Why a file cannot be used."""


def read(job: dict[str, Any]) -> dict[str, Any]:
    """Say what a file, or a piece of it, holds.

    Args:
        job: `path`; `decode`, whether to read the samples and not the header alone; optionally `first` and `samples`,
            a piece of the file, and `channels`, those that are averaged.

    Returns:
        `rate`, `channels` and `samples` (in each channel) of the file; and if decoded, of the average of the channels:
        `peak`, `rms`, `clipped` (fraction of samples) and `pause` (fraction of 20 ms frames more than 40 dB below the
        loudest).
    """
    path: Any = os.fsencode(job["path"])  # as bytes, which soundfile takes too: a name need not be UTF-8
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise _Unusable("is no plain file")
    if not os.stat(path).st_size:
        raise _Unusable("is an empty file")
    with soundfile.SoundFile(path) as file:
        rate, channels, samples = file.samplerate, file.channels, file.frames
        if not LOWEST_RATE <= rate <= HIGHEST_RATE:
            raise _Unusable(f"its header says {rate} Hz, which no speech has ({LOWEST_RATE} to {HIGHEST_RATE})")
        if samples <= 0:
            raise _Unusable("holds no samples")
        facts: dict[str, Any] = {"rate": rate, "channels": channels, "samples": samples}
        if job["decode"]:
            columns = job.get("channels") or list(range(channels))
            if not all(0 <= column < channels for column in columns):
                raise _Unusable(f"has {channels} channels, and not all of {columns}")
            facts |= _levels(file, job.get("first", 0), job.get("samples"), columns)
        return facts


def _levels(file: soundfile.SoundFile, first: int, wanted: int | None, columns: list[int]) -> dict[str, float]:
    """Decode a piece of a file, block by block."""
    expected = file.frames - first if wanted is None else wanted
    if first:
        file.seek(min(first, file.frames))
    frame = max(1, round(FRAME_SECONDS * file.samplerate))
    block = max(1, BLOCK_SAMPLES // file.channels // frame) * frame
    done, square, clipped = 0, 0.0, 0
    low, high = np.inf, -np.inf
    frames: list[Float[np.ndarray, " frames"]] = []
    while done < expected:
        samples = file.read(min(block, expected - done), dtype="float32", always_2d=True)
        if not len(samples):
            break
        wave = samples[:, columns].mean(axis=1, dtype=np.float64)
        if not np.isfinite(wave).all():
            where = (first + done + int(np.flatnonzero(~np.isfinite(wave))[0])) / file.samplerate
            raise _Unusable(f"holds NaN or infinite samples (the first at {where:.3f} s)")
        low, high = min(low, float(wave.min())), max(high, float(wave.max()))
        clipped += int((np.abs(samples[:, columns]) >= CLIPPED).any(axis=1).sum())
        square += float(wave @ wave)
        whole = wave[: len(wave) // frame * frame].reshape(-1, frame)
        frames.append(np.sqrt(np.square(whole).mean(axis=1)))
        done += len(samples)
    if not done:
        raise _Unusable("holds no samples")
    if done < expected:
        rate = file.samplerate
        raise _Unusable(f"is cut off: {done / rate:.3f} s of {expected / rate:.3f} s can be read")
    if high - low < SILENCE:
        raise _Unusable(f"is silent (its samples lie between {low:g} and {high:g})")
    loudness = np.concatenate(frames)
    quiet = loudness < loudness.max() * 10 ** (-PAUSE_DB / 20) if len(loudness) else np.zeros(1)
    return {
        "peak": max(abs(low), abs(high)),
        "rms": float(np.sqrt(square / done)),
        "clipped": clipped / done,
        "pause": float(quiet.mean()),
    }


if __name__ == "__main__":
    main()
