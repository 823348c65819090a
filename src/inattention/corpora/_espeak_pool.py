"""Worker processes that speak, fed with jobs over pipes.

Each worker is a fresh interpreter (`python -m inattention.corpora._espeak_worker`), not a fork: this process may hold
torch's threads, and a worker forks for every utterance, which threads would make unsafe.
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


def speak_all(
    jobs: list[dict[str, Any]], writer: CorpusWriter, *, workers: int, progress: bool
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each job with its result, in the order of the jobs; results of an earlier, interrupted run are taken over.

    Raises:
        CorpusError: A worker failed.
    """
    from tqdm import tqdm

    idle: SimpleQueue[_Worker] = SimpleQueue()
    started: list[_Worker] = []

    def run(job: dict[str, Any]) -> dict[str, Any]:
        result = writer.recall(job["speaker"])
        if result is None:
            worker = idle.get()
            try:
                result = worker.ask(job)
            finally:
                idle.put(worker)
            writer.record(job["speaker"], result)
        return result

    try:
        for _ in range(min(workers, len(jobs))):
            started.append(_Worker())
            idle.put(started[-1])
        with ThreadPoolExecutor(len(started)) as pool:
            try:
                results = pool.map(run, jobs)
                importlib.import_module("lhotse")  # seconds, which the caller would spend while the workers idle
                yield from zip(jobs, tqdm(results, total=len(jobs), unit="voice", disable=not progress), strict=True)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for worker in started:
                    worker.kill()
                raise
    finally:
        for worker in started:
            worker.close()


class _Worker:
    """A worker process: one line of JSON in, one line of JSON out."""

    def __init__(self) -> None:
        # -P: a stranger's files in the current folder must not be taken for ours.
        command = [sys.executable, "-P", "-m", "inattention.corpora._espeak_worker"]
        self._process = subprocess.Popen(
            command,
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
            raise CorpusError(f"the process that speaks {job['voice']} has ended: see its message above")
        result = json.loads(answer)
        if "error" in result:
            raise CorpusError(result["error"])
        return result

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """End it by the end of its jobs, and wait for that."""
        self._process.communicate()
