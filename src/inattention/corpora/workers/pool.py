"""The one process pool of corpora: workers that answer jobs over pipes, any of which may crash or hang.

A worker is a fresh interpreter (`python -P -m MODULE`, see `serving`) that reads a job and writes its answer, a line
of JSON each. A job that crashes its worker, or takes too long, costs that job alone: its answer is a `Failure`, and the
next job of that worker starts another.

Why not a pool of a library (`concurrent.futures`, `multiprocessing`, pebble): forked processes inherit the locks of
PyTorch's threads, and both spawned and fork-server processes import the caller's `__main__` first. A user's script
without an `if __name__ == "__main__"` guard would run again in each worker, and one with it would load all that it
imports. A module of ours in its own interpreter loads only what it needs, one BLAS thread included.
"""

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Protocol, TypeVar, runtime_checkable

from inattention.corpora.errors import CorpusError
from inattention.main_guard import end_if_run_again
from inattention.progress import bar as progress_bar

SECONDS_FOR_A_FILE = 60.0
BYTES_A_SECOND = 500_000  # the slowest decoder reads several times as much
JOBS_AHEAD = 4  # of the one that is waited for, per worker

# Numerical libraries start a thread per core unless told otherwise.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

Job = Mapping[str, Any]
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Failure:
    """A job without an answer: the worker reported an error, died, or took too long."""

    reason: str


@runtime_checkable
class ResultStore(Protocol):
    """Where `run_jobs` keeps results, so that an interrupted run resumes."""

    def recall(self, job: str) -> Any | None:
        """Return the recorded result of a job, or None."""

    def record(self, job: str, result: Any) -> None:
        """Keep the result of a job."""


def cores() -> int:
    """Return how many processes can run at once on this machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ask_all(
    module: str,
    jobs: Iterable[Job],
    *,
    workers: int | None,
    seconds: float | None = None,
    progress: bool,
    total: int | None,
    what: str,
) -> Iterator[dict[str, Any] | Failure]:
    """Answer jobs about files in parallel, in the order of the jobs.

    Jobs are taken as they are needed, so there may be any number of them. What decoders write to stderr is dropped,
    because the answer says it better.

    Args:
        module: The module of the workers.
        jobs: JSON, each with the `path` of its file.
        workers: Number of processes; one per core by default.
        seconds: Time limit of a job; by default a minute, and more for large files.
        progress: Show a progress bar on stderr if the work lasts.
        total: Number of jobs, for the bar.
        what: Label of the bar.

    Raises:
        CorpusError: `workers` is not positive, or no worker can be started.
    """
    with (
        WorkerPool(module, workers, quiet=True) as pool,
        progress_bar(total=total, desc=what, unit="file", show=progress) as bar,
    ):
        for answer in pool.map(lambda job: pool.ask(job, seconds or seconds_for(job["path"])), jobs):
            yield answer
            bar.update()


def run_jobs(
    module: str, jobs: list[dict[str, Any]], store: ResultStore, *, workers: int | None, progress: bool, unit: str
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Return each job with its result, in the order of the jobs, and end at the first failure.

    Results are recorded as they come, and results of an earlier, interrupted run are reused.

    Args:
        module: The module of the workers.
        jobs: JSON, each with an `id` of its own that is a valid file name.
        store: Keeps finished results.
        workers: Number of processes, at most; one per core by default.
        progress: Show a progress bar on stderr if the work lasts.
        unit: What the bar calls a job.

    Raises:
        CorpusError: A job failed, `workers` is not positive, or no worker can be started.
    """

    def result_of(job: dict[str, Any]) -> dict[str, Any]:
        result = store.recall(job["id"])
        if result is None:
            result = pool.ask(job)
            if isinstance(result, Failure):
                raise CorpusError(result.reason)
            store.record(job["id"], result)
        return result

    with (
        WorkerPool(module, min(cores() if workers is None else workers, max(1, len(jobs)))) as pool,
        progress_bar(total=len(jobs), unit=unit, show=progress) as bar,
    ):
        for job, result in zip(jobs, pool.map(result_of, jobs), strict=True):
            yield job, result
            bar.update()


def seconds_for(path: str) -> float:
    """Return the time limit of a job about a file."""
    try:
        return SECONDS_FOR_A_FILE + os.path.getsize(os.fsencode(path)) / BYTES_A_SECOND
    except (OSError, ValueError):
        return SECONDS_FOR_A_FILE


class WorkerPool:
    """Worker processes that end with the `with` block, however it ends.

    Args:
        module: The module of the workers.
        workers: Number of processes; one per core by default.
        quiet: Drop what workers write to stderr.

    Raises:
        CorpusError: `workers` is not positive.
    """

    def __init__(self, module: str, workers: int | None = None, *, quiet: bool = False) -> None:
        end_if_run_again()
        if workers is not None and workers < 1:
            raise CorpusError(f"workers must be at least 1, not {workers}")
        self.count = workers or cores()
        self._workers = [Worker(module, quiet=quiet) for _ in range(self.count)]
        self._idle: SimpleQueue[Worker] = SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(self.count)

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.kill()
        self._threads.shutdown()

    def ask(self, job: Job, seconds: float | None = None) -> dict[str, Any] | Failure:
        """Return a worker's answer to a job; wait for a worker that has no other job.

        Args:
            job: JSON.
            seconds: Time limit; none by default.
        """
        worker = self._idle.get()
        try:
            return worker.ask(job, seconds)
        finally:
            self._idle.put(worker)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Return `function` of each item, in order, run in one thread per worker.

        A few items beyond the one that is waited for are taken, so that neither items nor results fill the memory.
        """
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(self._threads.submit(function, item))
            if len(waiting) > JOBS_AHEAD * self.count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class Worker:
    """One worker process, started with its first job, and again after it died.

    Args:
        module: The module that it runs.
        quiet: Drop what it writes to stderr.
    """

    def __init__(self, module: str, *, quiet: bool = False) -> None:
        self._module = module
        self._quiet = quiet
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._ended = False

    def ask(self, job: Job, seconds: float | None = None) -> dict[str, Any] | Failure:
        """Return the answer to a job.

        Args:
            job: JSON.
            seconds: Time limit, after which the process is killed; none by default.

        Raises:
            CorpusError: No process can be started.
        """
        with self._lock:
            if self._ended:
                return Failure("its worker was stopped")
            process = self._process = self._process or self._start()
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, give_up) if seconds else None
        if timer:
            timer.start()
        try:
            answer = _exchange(process, job)
        finally:
            if timer:
                timer.cancel()
        if answer is None:
            code = process.wait()
            _close(process)
            self._process = None
            if late.is_set():
                return Failure(f"takes more than {seconds:.0f} s")
            return Failure(f"the worker process of {job.get('id', 'this item')} died (exit code {code})")
        if late.is_set():  # it answered while it was being killed: the next job starts another
            process.wait()
            _close(process)
            self._process = None
        return Failure(answer["error"]) if "error" in answer else answer

    def _start(self) -> "subprocess.Popen[bytes]":
        try:
            return subprocess.Popen(
                # -P: files of strangers in the current folder must not be imported.
                [sys.executable, "-P", "-m", self._module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL if self._quiet else None,
                env=os.environ | _ONE_THREAD,
                start_new_session=True,  # an interrupt from the keyboard reaches this process, which kills its workers
            )
        except OSError as error:
            raise CorpusError(f"no worker process can be started ({error})") from error

    def kill(self) -> None:
        """End the process at once, and start no other."""
        with self._lock:
            self._ended = True
            process = self._process
        if process is not None:
            process.kill()
            process.wait()
            _close(process)


def _exchange(process: "subprocess.Popen[bytes]", job: Job) -> dict[str, Any] | None:
    """Send one job to a worker and return its answer; None if it died instead."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(job).encode() + b"\n")
        process.stdin.flush()
        answer = process.stdout.readline()
    except (BrokenPipeError, ValueError):  # ValueError: the pipe was closed by `kill`
        return None
    return json.loads(answer) if answer.endswith(b"\n") else None


def _close(process: "subprocess.Popen[bytes]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                continue
