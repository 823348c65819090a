"""The worker of `audio_facts`: reads audio files and measures their levels.

A process of its own, so that a decoder that crashes or hangs costs one file. It imports nothing heavy.
"""

import os
import stat
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import soundfile
from jaxtyping import Float

from inattention.audio.decoding import AudioError, check_rate, open_audio
from inattention.audio.limits import SILENCE
from inattention.corpora.core.audio_facts import AudioJob, Facts
from inattention.corpora.workers.serving import serve

BLOCK_SAMPLES = 2**20  # over all channels, so that memory does not grow with a file
FRAME_SECONDS = 0.02
CLIPPED = 0.999
PAUSE_DB = 40.0


def main() -> None:
    """Answer jobs until there are no more."""
    serve(lambda job: asdict(read(AudioJob(**job))), (AudioError, OSError, ValueError, TypeError))


def read(job: AudioJob) -> Facts:
    """Measure a file, or a piece of it.

    Raises:
        AudioError: It cannot be used; the message does not name the file.
    """
    path = os.fsencode(job.path)
    try:
        status = os.stat(path)
    except OSError as error:
        raise AudioError(f"cannot be read as audio ({error.strerror})") from error
    if not stat.S_ISREG(status.st_mode):
        raise AudioError("is no plain file")
    if not status.st_size:
        raise AudioError("is an empty file")
    with open_audio(job.path) as sound:
        check_rate(sound.samplerate)
        if sound.frames <= 0:
            raise AudioError("holds no samples")
        levels: dict[str, float] = {}
        if job.decode:
            columns = job.channels or list(range(sound.channels))
            if not all(0 <= column < sound.channels for column in columns):
                raise AudioError(f"has {sound.channels} channels, and not all of {columns}")
            levels = _levels(sound, job.first, job.samples, columns)
        return Facts(sound.samplerate, sound.channels, sound.frames, **levels)


def _levels(sound: soundfile.SoundFile, first: int, wanted: int | None, columns: list[int]) -> dict[str, Any]:
    """Decode a piece of a file block by block, and return the levels of `Facts`."""
    expected = sound.frames - first if wanted is None else wanted
    rate = sound.samplerate
    if first:
        sound.seek(min(first, sound.frames))
    frame = max(1, round(FRAME_SECONDS * rate))
    block = max(1, BLOCK_SAMPLES // sound.channels // frame) * frame
    sums = _Sums(frame)
    while sums.done < expected:
        samples = sound.read(min(block, expected - sums.done), dtype="float32", always_2d=True)
        if not len(samples):
            break
        wave = samples[:, columns].mean(axis=1, dtype=np.float64)
        if not np.isfinite(wave).all():
            where = (first + sums.done + int(np.flatnonzero(~np.isfinite(wave))[0])) / rate
            raise AudioError(f"holds NaN or infinite samples (the first at {where:.3f} s)")
        sums.add(wave, int((np.abs(samples[:, columns]) >= CLIPPED).any(axis=1).sum()))
    if not sums.done:
        raise AudioError("holds no samples")
    if sums.done < expected:
        raise AudioError(f"is cut off: {sums.done / rate:.3f} s of {expected / rate:.3f} s can be read")
    if sums.high - sums.low < SILENCE:
        raise AudioError(f"is silent (its samples lie between {sums.low:g} and {sums.high:g})")
    return sums.levels()


@dataclass
class _Sums:
    """Running sums over the blocks of one channel.

    Attributes:
        frame: Samples of a frame, whose loudness decides what is a pause.
    """

    frame: int
    done: int = 0
    square: float = 0.0
    clipped: int = 0
    low: float = np.inf
    high: float = -np.inf
    loudness: list[Float[np.ndarray, " frames"]] = field(default_factory=list)

    def add(self, wave: Float[np.ndarray, " samples"], clipped: int) -> None:
        """Add a block and its number of clipped samples."""
        self.low, self.high = min(self.low, float(wave.min())), max(self.high, float(wave.max()))
        self.clipped += clipped
        self.square += float(wave @ wave)
        whole = wave[: len(wave) // self.frame * self.frame].reshape(-1, self.frame)
        self.loudness.append(np.sqrt(np.square(whole).mean(axis=1)))
        self.done += len(wave)

    def levels(self) -> dict[str, float]:
        """Return the levels of all blocks together."""
        loudness = np.concatenate(self.loudness)
        quiet = loudness < loudness.max() * 10 ** (-PAUSE_DB / 20) if len(loudness) else np.zeros(1)
        return {
            "peak": max(abs(self.low), abs(self.high)),
            "rms": float(np.sqrt(self.square / self.done)),
            "clipped": self.clipped / self.done,
            "pause": float(quiet.mean()),
        }


if __name__ == "__main__":
    main()
