"""The worker of `audio_facts`: reads audio files and measures their levels.

A process of its own, so that a decoder that crashes or hangs costs one file. It imports nothing heavy.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from inattention.audio.decoding import Audio, AudioError, check_rate, open_audio
from inattention.audio.limits import SILENCE, TRUNCATED
from inattention.corpora.core.audio_facts import AudioJob, Facts
from inattention.corpora.workers.serving import serve

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
    with open_audio(job.path) as audio:
        check_rate(audio.samplerate)
        levels: dict[str, float] = {}
        if job.decode:
            columns = job.channels or list(range(audio.channels))
            if not all(0 <= column < audio.channels for column in columns):
                raise AudioError(f"has {audio.channels} channels, and not all of {columns}")
            levels = _levels(audio, job.first, job.samples, columns)
        damage = audio.damage
        if damage and job.truncated == "skip":
            raise AudioError(damage)
        if not audio.frames:
            raise AudioError(damage or "holds no samples")
        return Facts(audio.samplerate, audio.channels, audio.frames, **levels, damage=damage)


def _levels(audio: Audio, first: int, wanted: int | None, columns: list[int]) -> dict[str, Any]:
    """Decode a piece of a file block by block, and return the levels of `Facts`; none for a file without samples."""
    rate = audio.samplerate
    sums = _Sums(max(1, round(FRAME_SECONDS * rate)))
    for samples in audio.blocks(first, wanted):
        wave = samples[:, columns].mean(axis=1, dtype=np.float64)
        if not np.isfinite(wave).all():
            where = (first + sums.done + int(np.flatnonzero(~np.isfinite(wave))[0])) / rate
            raise AudioError(f"holds NaN or infinite samples ({_length(audio, wanted)}, the first at {where:.3f} s)")
        sums.add(wave, int((np.abs(samples[:, columns]) >= CLIPPED).any(axis=1).sum()))
    if wanted is not None and sums.done < wanted:
        raise AudioError(f"{TRUNCATED}: {sums.done / rate:.3f} s of {wanted / rate:.3f} s can be read")
    if not sums.done:
        return {}
    if sums.high - sums.low < SILENCE:
        raise AudioError(
            f"is silent ({_length(audio, wanted)}, its samples lie between {sums.low:g} and {sums.high:g})"
        )
    return sums.levels()


def _length(audio: Audio, wanted: int | None) -> str:
    return f"{(audio.frames if wanted is None else wanted) / audio.samplerate:.3f} s of audio"


@dataclass
class _Sums:
    """Running sums over the blocks of one channel.

    Attributes:
        frame: Samples of a frame, whose loudness decides what is a pause.
        rest: Samples at the end of the last block that do not fill a frame.
    """

    frame: int
    done: int = 0
    square: float = 0.0
    clipped: int = 0
    low: float = np.inf
    high: float = -np.inf
    loudness: list[Float[np.ndarray, " frames"]] = field(default_factory=list)
    rest: Float[np.ndarray, " samples"] = field(default_factory=lambda: np.zeros(0))

    def add(self, wave: Float[np.ndarray, " samples"], clipped: int) -> None:
        """Add a block and its number of clipped samples."""
        self.low, self.high = min(self.low, float(wave.min())), max(self.high, float(wave.max()))
        self.clipped += clipped
        self.square += float(wave @ wave)
        self.done += len(wave)
        wave = np.concatenate([self.rest, wave])
        whole = wave[: len(wave) // self.frame * self.frame].reshape(-1, self.frame)
        self.rest = wave[whole.size :]
        self.loudness.append(np.sqrt(np.square(whole).mean(axis=1)))

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
