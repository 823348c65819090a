"""Rate, length and levels of many audio files, read in parallel by processes that may crash or hang."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from inattention.audio.limits import TRUNCATED, Truncated
from inattention.corpora.workers.pool import Failure, ask_all

_SECONDS = re.compile(rf"{TRUNCATED}: ([\d.]+) s\b|[^(]*\(([\d.]+) s of audio\b")


@dataclass(frozen=True, kw_only=True)
class AudioJob:
    """A file to read, or a piece of it.

    Attributes:
        path: The file.
        decode: Read the samples too, not only the header.
        first: First sample of the piece.
        samples: Length of the piece, the rest of the file by default.
        channels: Channels that are averaged, numbered from 0; all by default.
        truncated: Skip a file that ends before its header says, or use what is there.
    """

    path: str
    decode: bool
    first: int = 0
    samples: int | None = None
    channels: list[int] | None = None
    truncated: Truncated = "skip"


@dataclass(frozen=True)
class Facts:
    """Rate, length and levels of a file; the levels are None where only the header was read.

    Attributes:
        rate: Hz.
        channels: Number of channels of the file.
        samples: Length of the file, in each channel.
        peak: Greatest absolute sample of the average of the channels.
        rms: Root of the mean square.
        clipped: Fraction of samples at full scale.
        pause: Fraction of 20 ms frames more than 40 dB below the loudest.
        damage: Why the file ends too early, where what is there is used; else empty.
    """

    rate: int
    channels: int
    samples: int
    peak: float | None = None
    rms: float | None = None
    clipped: float | None = None
    pause: float | None = None
    damage: str = ""

    @property
    def seconds(self) -> float:
        """Duration of the file."""
        return self.samples / self.rate


@dataclass(frozen=True)
class Bad:
    """The reason why a file cannot be used."""

    reason: str

    @property
    def category(self) -> str | None:
        """The kind of reason, where it is one of those that have an option; see `Ledger.skip`."""
        return "truncated" if self.reason.startswith(TRUNCATED) else None

    @property
    def seconds(self) -> float:
        """Duration of what can be decoded, where the reason states it; else 0.

        >>> Bad("is truncated: 1.500 s of 2.000 s can be read").seconds, Bad("holds no samples").seconds
        (1.5, 0.0)
        """
        found = _SECONDS.match(self.reason)
        return float(found[1] or found[2]) if found else 0.0


def inspect(
    jobs: Iterable[AudioJob],
    *,
    workers: int | None = None,
    seconds: float | None = None,
    progress: bool = True,
    total: int | None = None,
    what: str = "reading audio",
) -> Iterator[Facts | Bad]:
    """Read audio files, or pieces of them, and return what they hold, in the order of the jobs.

    Args:
        jobs: Any number of files or pieces.
        workers: Number of processes; one per core by default.
        seconds: Time limit of a file; by default a minute, and more for large files.
        progress: Show a progress bar on stderr if the work lasts.
        total: Number of jobs, for the bar.
        what: Label of the bar.

    Raises:
        CorpusError: `workers` is not positive, or no worker can be started.
    """
    answers = ask_all(
        "inattention.corpora.core.audio_worker",
        (asdict(job) for job in jobs),
        workers=workers,
        seconds=seconds,
        progress=progress,
        total=total,
        what=what,
    )
    for answer in answers:
        yield Bad(answer.reason) if isinstance(answer, Failure) else Facts(**answer)
