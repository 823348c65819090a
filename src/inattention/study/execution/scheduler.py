"""Run the jobs of a study side by side, each as soon as the model that it needs is there."""

import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from inattention.pretraining.stopping import RunDiverged
from inattention.progress import bar as progress_bar
from inattention.study.execution.executor import Executor
from inattention.study.execution.jobs import CURVE
from inattention.study.planning.plan import Job
from inattention.study.records import Failure, Record
from inattention.study.store import Store

TITLES_SHOWN = 8
SECONDS_BETWEEN_LOOKS = 1.0
_TAIL_BYTES = 4096  # of a curve, which hold its last line


def run_jobs(jobs: Sequence[Job], store: Store, executor: Executor, *, progress: bool) -> None:
    """Run jobs and store each result as it comes; a failed job costs only those that need it.

    Args:
        jobs: what is to do.
        store: of the study.
        executor: where jobs run; it is closed afterwards.
        progress: show a progress bar.
    """
    schedule, done = _Schedule(jobs, store), FractionDone(store.folder)
    total = len(schedule.waiting)
    try:
        with progress_bar(total=total, desc="study", unit="job", show=progress) as bar:
            while schedule.waiting or schedule.running:
                schedule.start(executor)
                for job, result in executor.ended(SECONDS_BETWEEN_LOOKS) if schedule.running else ():
                    schedule.finish(job, result)
                left, running = schedule.waiting, schedule.running
                bar.n = round(total - len(left) - len(running) + sum(map(done, running)), 2)
                bar.set_postfix_str(", ".join(job.id.title for job in running[:TITLES_SHOWN]))
    except BaseException:
        executor.stop()
        raise
    finally:
        executor.close()


def reason(error: BaseException) -> str:
    """Return an error as one line; the traceback goes to stderr, unless the error is one that we raise on purpose."""
    if os.environ.get("INATTENTION_DEBUG") or not isinstance(error, ValueError | OSError | RunDiverged):
        traceback.print_exception(error, file=sys.stderr)
    return f"{type(error).__name__}: {error}".splitlines()[0]


class _Schedule:
    """Jobs that wait, run and have failed.

    Args:
        jobs: what is to do. Of jobs with the same fingerprint, as of two rows that mean the same, the first runs.
        store: where results are stored.
    """

    def __init__(self, jobs: Sequence[Job], store: Store) -> None:
        different: dict[str, Job] = {}
        for job in jobs:
            different.setdefault(job.id.fingerprint, job)
        self.waiting = list(different.values())
        self.running: list[Job] = []
        self._store = store
        self._unfinished = {job.id.fingerprint for job in self.waiting}
        self._failed: set[str] = set()

    def start(self, executor: Executor) -> None:
        """Start the jobs whose model is there, as many as there are slots; fail those whose model never will be."""
        ready = [job for job in self.waiting if job.needs is None or job.needs.fingerprint not in self._unfinished]
        for job in ready:
            if job.needs and job.needs.fingerprint in self._failed:
                self.waiting.remove(job)
                self._fail(job, f"needs {job.needs.title}, which failed")
            elif len(self.running) < executor.slots:
                self.waiting.remove(job)
                self.running.append(job)
                executor.submit(job, self._model_of(job))

    def _model_of(self, job: Job) -> str | None:
        """Return the folder of the model that a job needs, relative to the study's."""
        if job.needs is None:
            return None
        return str(PurePosixPath(self._store.records[job.needs.fingerprint].folder) / job.model)

    def finish(self, job: Job, result: Record | BaseException) -> None:
        """Store the result of a job that has ended, or its failure."""
        self.running.remove(job)
        if isinstance(result, BaseException):
            self._fail(job, reason(result))
        else:
            self._store.append(result)
            self._unfinished.remove(job.id.fingerprint)

    def _fail(self, job: Job, error: str) -> None:
        self._store.append(Failure(job.id, error))
        self._unfinished.remove(job.id.fingerprint)
        self._failed.add(job.id.fingerprint)


class FractionDone:
    """Fraction of a running job that is done: pre-training tells by its curve, others do not.

    A curve is read again only when it has grown, and then its end alone.
    """

    def __init__(self, study: Path) -> None:
        self._study = study
        self._known: dict[Path, tuple[int, float]] = {}

    def __call__(self, job: Job) -> float:
        """Return the fraction of a job that is done."""
        if job.id.kind != "pretrain" or job.run is None or not job.run.training.steps:
            return 0.0
        curve = self._study / job.id.folder / CURVE
        size = curve.stat().st_size if curve.is_file() else 0
        known, fraction = self._known.get(curve, (0, 0.0))
        if size and size != known:
            fraction = min(0.99, _last_step(curve, size) / job.run.training.steps)
            self._known[curve] = size, fraction
        return fraction


def _last_step(curve: Path, size: int) -> int:
    with curve.open("rb") as file:
        file.seek(max(0, size - _TAIL_BYTES))
        lines = file.read().splitlines()
    return int(json.loads(lines[-1])["step"]) if lines else 0
