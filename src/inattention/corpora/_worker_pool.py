"""Worker processes that make parts of a corpus, fed with jobs over pipes.

Each worker is a fresh interpreter (`python -m MODULE`), not a fork: this process may hold torch's threads, which a
fork would not survive, and a worker may itself fork. The module answers each line of JSON on its stdin with a line of
JSON on its stdout; an answer `{"error": message}` ends the run with that message.
"""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from inattention.corpora.base import CorpusError
from inattention.corpora.writer import CorpusWriter

# Numerical libraries start threads of their own unless told not to.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def run_jobs(
    module: str, jobs: list[dict[str, Any]], writer: CorpusWriter, *, workers: int, progress: bool, unit: str
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each job with its result, in the order of the jobs; results of an earlier, interrupted run are taken over.

    Args:
        module: The module that works, such as `inattention.corpora._espeak_worker`.
        jobs: Each with an `id` of its own that is fit for a file's name, and whatever else the module needs, as JSON.
        writer: Keeps finished results.
        workers: Processes at most.
        progress: Show a bar on stderr.
        unit: What the bar calls a job.

    Raises:
        CorpusError: A worker failed.
    """
    from tqdm import tqdm

    idle: SimpleQueue[_Worker] = SimpleQueue()
    started: list[_Worker] = []

    def run(job: dict[str, Any]) -> dict[str, Any]:
        result = writer.recall(job["id"])
        if result is None:
            worker = idle.get()
            try:
                result = worker.ask(job)
            finally:
                idle.put(worker)
            writer.record(job["id"], result)
        return result

    try:
        for _ in range(min(workers, len(jobs))):
            started.append(_Worker(module))
            idle.put(started[-1])
        with ThreadPoolExecutor(max(1, len(started))) as pool:
            try:
                results = pool.map(run, jobs)
                importlib.import_module("lhotse")  # seconds, which the caller would spend while the workers idle
                yield from zip(jobs, tqdm(results, total=len(jobs), unit=unit, disable=not progress), strict=True)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for worker in started:
                    worker.kill()
                raise
    finally:
        for worker in started:
            worker.close()


def cores() -> int:
    """How many processes can work at once here."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Worker:
    """A worker process: one line of JSON in, one line of JSON out."""

    def __init__(self, module: str) -> None:
        # -P: a stranger's files in the current folder must not be taken for ours.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | _ONE_THREAD,
            start_new_session=True,  # an interrupt from the keyboard is for this process, which then stops its workers
        )

    def ask(self, job: dict[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps(job).encode() + b"\n")
            stdin.flush()
            answer = stdout.readline()
        except BrokenPipeError:
            answer = b""
        if not answer:
            raise CorpusError(f"the process that makes {job['id']} has ended: see its message above")
        result = json.loads(answer)
        if "error" in result:
            raise CorpusError(result["error"])
        return result

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """End it by the end of its jobs, and wait for that."""
        self._process.communicate()
