"""What many audio files hold, read in parallel by processes that may crash or hang without harm."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from inattention.corpora.workers.pool import Failure, ask_all


@dataclass(frozen=True)
class Facts:
    """What a file holds, as `_audio_worker.read` says it; the levels are None where only the header was read.

    Attributes:
        rate: Hz.
        channels: Of the file.
        samples: Of the file, in each channel.
        peak: Greatest absolute sample of the average of the channels.
        rms: Root of the mean square.
        clipped: Fraction of samples at full scale.
        pause: Fraction of 20 ms frames more than 40 dB below the loudest.
    """

    rate: int
    channels: int
    samples: int
    peak: float | None = None
    rms: float | None = None
    clipped: float | None = None
    pause: float | None = None

    @property
    def seconds(self) -> float:
        """How long the file is."""
        return self.samples / self.rate


@dataclass(frozen=True)
class Bad:
    """Why a file cannot be used."""

    reason: str


def inspect(
    jobs: Iterable[dict[str, Any]],
    *,
    workers: int | None = None,
    seconds: float | None = None,
    progress: bool = True,
    total: int | None = None,
    what: str = "reading audio",
) -> Iterator[Facts | Bad]:
    """Read audio files, or pieces of them, and say what they hold, in the order of the jobs.

    Args:
        jobs: As `_audio_worker.read` takes them; there may be any number of them.
        workers: Processes; by default one a core.
        seconds: A file that takes longer is given up; by default a minute, and more for large files.
        progress: Show a bar on stderr when it lasts.
        total: How many jobs there are, for the bar.
        what: What the bar calls it.

    Raises:
        CorpusError: Workers is not a positive number, or no worker can be started.
    """
    module = "inattention.corpora.core.audio_worker"
    for answer in ask_all(module, jobs, workers=workers, seconds=seconds, progress=progress, total=total, what=what):
        yield Bad(answer.reason) if isinstance(answer, Failure) else Facts(**answer)
