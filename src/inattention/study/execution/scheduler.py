"""Run the jobs of a study side by side, each as soon as the model that it needs is there."""

import json
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from inattention.study.execution.executor import Executor
from inattention.study.execution.jobs import CURVE
from inattention.study.planning.plan import Job
from inattention.study.records import Failure
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
    waiting = list({job.id.fingerprint: job for job in jobs}.values())  # two rows may mean the same
    running: list[Job] = []
    done = _FractionDone(store.folder)
    todo, failed = {job.id.fingerprint for job in waiting}, set[str]()
    try:
        with tqdm(total=len(waiting), desc="study", unit="job", disable=not progress) as bar:
            while waiting or running:
                for job in [it for it in waiting if it.needs is None or it.needs.fingerprint not in todo]:
                    needed = job.needs.fingerprint if job.needs else ""
                    if needed in failed and job.needs:
                        waiting.remove(job)
                        _fail(job, f"needs {job.needs.title}, which failed", store, todo, failed)
                    elif len(running) < executor.slots:
                        waiting.remove(job)
                        running.append(job)
                        executor.submit(job, store.records[needed].folder if needed else None)
                for job, result in executor.ended(SECONDS_BETWEEN_LOOKS) if running else ():
                    running.remove(job)
                    if isinstance(result, BaseException):
                        _fail(job, reason(result), store, todo, failed)
                    else:
                        store.append(result)
                        todo.remove(job.id.fingerprint)
                bar.n = round(bar.total - len(waiting) - len(running) + sum(map(done, running)), 2)
                bar.set_postfix_str(", ".join(job.id.title for job in running[:TITLES_SHOWN]))
    except BaseException:
        executor.stop()
        raise
    finally:
        executor.close()


def reason(error: BaseException) -> str:
    """Return an error as one line; the traceback goes to stderr."""
    traceback.print_exception(error, file=sys.stderr)
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _fail(job: Job, error: str, store: Store, todo: set[str], failed: set[str]) -> None:
    store.append(Failure(job.id, error))
    todo.remove(job.id.fingerprint)
    failed.add(job.id.fingerprint)


class _FractionDone:
    """Fraction of a running job that is done: pre-training tells by its curve, others do not.

    A curve is read again only when it has grown, and then its end alone.
    """

    def __init__(self, study: Path) -> None:
        self._study = study
        self._known: dict[Path, tuple[int, float]] = {}

    def __call__(self, job: Job) -> float:
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
