"""Worker processes that answer jobs about files, any of which may crash or hang without harm to the others.

A job that kills its worker, or takes too long, is answered here with an error, and the worker is started anew.
"""

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from inattention.corpora.core.corpus import CorpusError
from inattention.corpora.workers.process import ask, cores, start

SECONDS_FOR_A_FILE = 60.0
BYTES_A_SECOND = 500_000  # the slowest decoder does several times as much
SECONDS_BEFORE_PROGRESS = 1.0


def ask_all(
    module: str,
    jobs: Iterable[dict[str, Any]],
    *,
    workers: int | None,
    seconds: float | None = None,
    progress: bool,
    total: int | None,
    what: str,
) -> Iterator[dict[str, Any]]:
    """Put jobs to workers and give their answers, in the order of the jobs.

    Jobs are taken as they are needed, so that there may be any number of them.

    Args:
        module: The module that works.
        jobs: Each with the `path` of its file, and whatever else the module needs, as JSON.
        workers: Processes; by default one a core.
        seconds: A job that takes longer is given up; by default a minute, and more for large files.
        progress: Show a bar on stderr when it lasts.
        total: How many jobs there are, for the bar.
        what: What the bar calls it.

    Returns:
        The module's answers, or `{"error": reason}`.

    Raises:
        CorpusError: Workers is not a positive number, or no worker can be started.
    """
    from tqdm import tqdm

    if workers is not None and workers < 1:
        raise CorpusError(f"workers must be at least 1, not {workers}")
    count = workers or cores()
    bar = tqdm(
        total=total,
        desc=what,
        unit="file",
        delay=SECONDS_BEFORE_PROGRESS,
        disable=not progress,
        file=sys.stderr,
        leave=False,
    )
    idle: SimpleQueue[_Worker] = SimpleQueue()
    started = [_Worker(module) for _ in range(count)]
    for worker in started:
        idle.put(worker)

    def run(job: dict[str, Any]) -> dict[str, Any]:
        worker = idle.get()
        try:
            return worker.ask(job, seconds or _allowed(job["path"]))
        finally:
            idle.put(worker)

    waiting: deque[Future[dict[str, Any]]] = deque()
    pool = ThreadPoolExecutor(count)
    try:
        for job in jobs:
            waiting.append(pool.submit(run, job))
            if len(waiting) > 4 * count:
                yield waiting.popleft().result()
                bar.update()
        while waiting:
            yield waiting.popleft().result()
            bar.update()
    finally:
        for future in waiting:
            future.cancel()
        for worker in started:
            worker.kill()
        pool.shutdown()
        bar.close()


def _allowed(path: str) -> float:
    try:
        return SECONDS_FOR_A_FILE + os.path.getsize(os.fsencode(path)) / BYTES_A_SECOND
    except (OSError, ValueError):
        return SECONDS_FOR_A_FILE


class _Worker:
    """A worker process, started when it is first needed and again when it has died."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, job: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Put one job to it; a worker that dies or does not answer in time is killed, and the answer is an error."""
        process = self._process = self._process or self._start()
        late = threading.Timer(seconds, process.kill)
        late.start()
        try:
            answer = ask(process, job)
        finally:
            in_time = not late.finished.is_set()
            late.cancel()
        if answer is None:
            code = process.wait()
            _close(process)
            self._process = None
            if not in_time:
                return {"error": f"takes more than {seconds:.0f} s to read"}
            return {"error": f"cannot be read (the process that read it died: {code})"}
        return answer

    def _start(self) -> "subprocess.Popen[bytes]":
        try:
            return start(self._module, quiet=True)  # decoders complain on stderr of what the answer says better
        except OSError as error:
            raise CorpusError(f"no process that reads files can be started ({error})") from error

    def kill(self) -> None:
        """End it, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            _close(self._process)


def _close(process: "subprocess.Popen[bytes]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                continue
