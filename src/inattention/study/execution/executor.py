"""Executors: where the jobs of a study run.

An executor is given a job when it can start, and returns its record when it has ended. Which jobs run, in which order,
and what their results are does not depend on it: outputs are written to the study's folder, which all machines must
see.
"""

from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from inattention.study.planning.plan import Job
from inattention.study.records import Record

SETTINGS = "study.json"  # in the study's folder
SECONDS_TO_END = 20  # for workers that are asked to end: a training step and a checkpoint


class ExecutorError(ValueError):
    """Jobs cannot run in the way that is asked for; the message says what to do."""


class WorkerLost(RuntimeError):
    """A process in which jobs ran has ended; results so far are kept, and the same call resumes."""


class Ended(NamedTuple):
    """A job that has ended, with its record or its error."""

    job: Job
    result: Record | BaseException


@runtime_checkable
class Executor(Protocol):
    """Runs jobs, several at once.

    Attributes:
        slots: number of jobs that it may be given at once.
    """

    slots: int

    def submit(self, job: Job, model: str | None) -> None:
        """Start a job, or queue it.

        Args:
            job: the job.
            model: folder of the model that it needs, relative to the study's.
        """
        ...

    def ended(self, seconds: float) -> list[Ended]:
        """Return the jobs that have ended, waiting at most so long for the first."""
        ...

    def stop(self) -> None:
        """Ask running jobs to end, which saves checkpoints; kill those that do not."""
        ...

    def close(self) -> None:
        """Release all resources."""
        ...


def check_shared(paths: list[Path], machine: str) -> None:
    """Raise if a machine of a cluster does not see a file.

    Raises:
        ExecutorError: with the first path that is missing.
    """
    for path in paths:
        if not path.is_file():
            raise ExecutorError(
                f"{machine} does not see {path}: the study and its corpus must be in folders that all machines of the "
                "cluster share under the same path"
            )
