"""Run jobs in processes of this machine, one thread each."""

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from pathlib import Path

from inattention.main_guard import NO_GUARD, RUN_AGAIN
from inattention.study.execution.executor import SECONDS_TO_END, Ended, WorkerLost
from inattention.study.execution.jobs import run_job
from inattention.study.planning.plan import Job


class LocalProcesses:
    """Processes of this machine, one thread each.

    Args:
        study: the study's folder.
        jobs: number of processes.
    """

    def __init__(self, study: Path, jobs: int) -> None:
        self.study = study
        self.slots = jobs
        self.running: dict[Future, Job] = {}
        self._processes: list[BaseProcess] = []
        spawn = multiprocessing.get_context("spawn")
        self.pool = ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_begin_worker, initargs=(os.getpid(),))

    def submit(self, job: Job, model: str | None) -> None:
        """Start a job."""
        self.running[self.pool.submit(run_job, job, self.study, model)] = job
        self._processes = list(self.pool._processes.values())  # which a broken pool forgets

    def ended(self, seconds: float) -> list[Ended]:
        """Return the jobs that have ended.

        Raises:
            WorkerLost: if a worker process was lost, which loses all running jobs.
        """
        done, _ = wait(self.running, timeout=seconds, return_when=FIRST_COMPLETED)
        ended = []
        for future in done:
            error = future.exception()
            if isinstance(error, BrokenProcessPool):
                raise self._lost() from error
            ended.append(Ended(self.running.pop(future), error or future.result()))
        return ended

    def _lost(self) -> WorkerLost:
        for process in self._processes:
            process.join(SECONDS_TO_END)
        if any(process.exitcode == RUN_AGAIN for process in self._processes):
            return WorkerLost(NO_GUARD)
        return WorkerLost(
            "a worker process ended unexpectedly (out of memory, or killed); "
            "the same command resumes the study, with fewer --jobs if memory is short"
        )

    def stop(self) -> None:
        """Ask workers to end; kill those that do not."""
        for process in self._processes:
            process.terminate()
        deadline = time.monotonic() + SECONDS_TO_END
        for process in self._processes:
            process.join(max(0.0, deadline - time.monotonic()))
            process.kill()

    def close(self) -> None:
        """End the workers."""
        self.pool.shutdown(wait=True, cancel_futures=True)


def _begin_worker(parent: int) -> None:
    """Set up a worker: one thread, interrupts left to the parent, and an end when the parent ends."""
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
