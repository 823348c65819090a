"""Worker processes that make parts of a corpus, fed with jobs over pipes, whose results are kept for a later run.

An answer `{"error": message}` ends the run with that message.
"""

import importlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from inattention.corpora.core.corpus import CorpusError
from inattention.corpora.core.writer import CorpusWriter
from inattention.corpora.workers.process import ask, start


def run_jobs(
    module: str, jobs: list[dict[str, Any]], writer: CorpusWriter, *, workers: int, progress: bool, unit: str
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each job with its result, in the order of the jobs; results of an earlier, interrupted run are taken over.

    Args:
        module: The module that works, such as `inattention.corpora.readers.espeak.worker`.
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


class _Worker:
    """A worker process whose error ends the run."""

    def __init__(self, module: str) -> None:
        self._process = start(module)

    def ask(self, job: dict[str, Any]) -> dict[str, Any]:
        result = ask(self._process, job)
        if result is None:
            raise CorpusError(f"the process that makes {job['id']} has ended: see its message above")
        if "error" in result:
            raise CorpusError(result["error"])
        return result

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """End it by the end of its jobs, and wait for that."""
        self._process.communicate()
