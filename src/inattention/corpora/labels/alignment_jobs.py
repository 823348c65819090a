"""Forced alignment in worker processes: jobs, results, and running them.

This module is light to import; the aligner itself (`inattention.corpora.labels.alignment`) is loaded by the workers.
"""

import importlib.util
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from inattention.corpora.errors import CorpusError
from inattention.corpora.labels.acceptance import Facts
from inattention.corpora.workers.pool import Failure, ask_all

_WORKER = "inattention.corpora.labels.alignment_worker"


class PhoneInterval(NamedTuple):
    """A phone of the inventory, from `start` to `end` seconds."""

    symbol: str
    start: float
    end: float


@dataclass(frozen=True)
class Aligned:
    """The phones of a text in speech.

    Attributes:
        phones: One after the other, without gaps, over the whole of the speech, silence included.
        facts: What the acceptance rule measured.
        attempt: The number of the successful attempt, starting from 1.
    """

    phones: tuple[PhoneInterval, ...]
    facts: Facts
    attempt: int


@dataclass(frozen=True)
class Refused:
    """Speech and text that were not aligned.

    Attributes:
        reason: Why not.
        facts: What the acceptance rule measured, if there was an alignment to measure.
    """

    reason: str
    facts: Facts | None = None


AlignmentResult = Aligned | Refused


def result_to_json(result: AlignmentResult) -> dict[str, Any]:
    """Return a result as JSON data; the facts of a refusal are dropped."""
    return {"refused": result.reason} if isinstance(result, Refused) else asdict(result)


def result_from_json(data: dict[str, Any]) -> AlignmentResult:
    """Read what `result_to_json` returned; other keys are ignored."""
    if "refused" in data:
        return Refused(data["refused"])
    return Aligned(tuple(PhoneInterval(*phone) for phone in data["phones"]), Facts(**data["facts"]), data["attempt"])


@dataclass(frozen=True)
class AlignJob:
    """An audio file to be aligned with a text.

    Attributes:
        path: The file.
        text: What is spoken there, as written.
    """

    path: str
    text: str


def require_pocketsphinx(otherwise: str) -> None:
    """Raise unless the aligner is installed, before any other work is done.

    Args:
        otherwise: How the user can do without it, for the message.

    Raises:
        CorpusError: pocketsphinx is not installed.
    """
    if importlib.util.find_spec("pocketsphinx") is None:
        raise CorpusError(
            "forced alignment needs pocketsphinx, which is not installed: pip install 'inattention[align]', or "
            f"{otherwise}"
        )


def align_texts(jobs: Sequence[tuple[Path, str]], *, workers: int | None, progress: bool) -> Iterator[AlignmentResult]:
    """Align texts with audio files in parallel, in the order of the jobs.

    Args:
        jobs: Audio files, each with what is spoken there.
        workers: Processes; by default one per core.
        progress: Show a progress bar on stderr.

    Raises:
        CorpusError: pocketsphinx is not installed.
    """
    require_pocketsphinx("do without --align")
    asked = [asdict(AlignJob(os.fspath(path), text)) for path, text in jobs]
    if not asked:
        return
    for answer in ask_all(_WORKER, asked, workers=workers, progress=progress, total=len(asked), what="aligning"):
        yield Refused(answer.reason) if isinstance(answer, Failure) else result_from_json(answer)
