"""Where the steps of a study are done: in processes of this machine, or on the machines of a Ray cluster.

Both are given a step when it can start, and tell when it has ended. What is to be done, in which order, and what its
outcomes are does not depend on them: outcomes stand in the study's folder, which all machines must see.
"""

import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from inattention.corpora.core.corpus import INFO_FILE, Corpus
from inattention.study.execution.jobs import perform
from inattention.study.planning.config import StudyConfig
from inattention.study.planning.plan import Step

ExecutorName = Literal["local", "ray"]
SECONDS_TO_END = 20  # for workers that are asked to end: a training step and a checkpoint
STARTS = 3  # that are tried for a cluster of the study's own
LOST_WORKERS = 3  # that a step may cost on a cluster before it counts as failed


class ExecutorError(ValueError):
    """Steps cannot be done in the way that is asked for; the message says what to do."""


@runtime_checkable
class Executor(Protocol):
    """Does steps, several at once."""

    slots: int

    def submit(self, step: Step) -> None:
        """Begin a step, or let it wait for a place."""
        ...

    def ended(self, seconds: float) -> list[tuple[Step, BaseException | None]]:
        """Give the steps that have ended, each with its error if it failed; wait so long for the first."""
        ...

    def stop(self) -> None:
        """Ask what is under way to end, which writes checkpoints; what does not listen is killed."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


def make_executor(
    name: str, config: StudyConfig, corpus: Corpus, folder: Path, *, jobs: int = 0, todo: int = 1
) -> Executor:
    """Make an executor by name.

    Args:
        name: ``local`` or ``ray``.
        config: the study's settings.
        corpus: the study's corpus.
        folder: the study's folder.
        jobs: steps that run at once; 0 for one a processor here, or as many as the cluster has room for.
        todo: how many steps there are.

    Raises:
        ExecutorError: if there is none of that name, or Ray is not installed.
    """
    if name == "local":
        return LocalProcesses(config, corpus, folder, jobs or os.cpu_count() or 1)
    if name == "ray":
        return RayCluster(config, corpus, folder, jobs, jobs or todo)
    raise ExecutorError(f"there is no executor {name!r}: choose local or ray")


class LocalProcesses:
    """Processes of this machine, a thread each."""

    def __init__(self, config: StudyConfig, corpus: Corpus, folder: Path, jobs: int) -> None:
        self.what = (config, corpus, folder)
        self.slots = jobs
        self.running: dict[Future, Step] = {}
        spawn = multiprocessing.get_context("spawn")
        self.pool = ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_begin_worker, initargs=(os.getpid(),))

    def submit(self, step: Step) -> None:
        """Begin a step."""
        self.running[self.pool.submit(perform, step, *self.what)] = step

    def ended(self, seconds: float) -> list[tuple[Step, BaseException | None]]:
        """Give the steps that have ended.

        Raises:
            RuntimeError: if a worker process was lost, which loses all that run.
        """
        done, _ = wait(self.running, timeout=seconds, return_when=FIRST_COMPLETED)
        ended = [(self.running.pop(future), future.exception()) for future in done]
        for _, error in ended:
            if isinstance(error, BrokenProcessPool):
                raise RuntimeError(
                    "a worker process ended without a word (out of memory, or killed); "
                    "the same command goes on, with fewer --jobs if memory is short"
                ) from error
        return ended

    def stop(self) -> None:
        """Ask workers to end; those that do not listen are killed."""
        processes = list(self.pool._processes.values())
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + SECONDS_TO_END
        for process in processes:
            process.join(max(0.0, deadline - time.monotonic()))
            process.kill()

    def close(self) -> None:
        """End the workers."""
        self.pool.shutdown(wait=True, cancel_futures=True)


def _begin_worker(parent: int) -> None:
    """Settle a worker: one thread, interrupts left to the parent, and an end when the parent ends."""
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class RayCluster:
    """A Ray cluster: the one that RAY_ADDRESS names, else one on this machine that is made for the study.

    A step whose worker is lost is done again elsewhere, from its last checkpoint. A step has a processor, and a GPU
    where the cluster has some.
    """

    def __init__(self, config: StudyConfig, corpus: Corpus, folder: Path, jobs: int, slots: int) -> None:
        try:
            ray: Any = import_module("ray")  # an extra
        except ImportError:
            raise ExecutorError("Ray is not installed: pip install 'inattention[cluster]'") from None
        self.ray = ray
        self.what = (config, corpus, folder)
        self.slots = slots
        self.running: dict[Any, Step] = {}
        self.ours = not ray.is_initialized()
        if self.ours:
            _begin(ray, jobs)
        gpus = 1 if ray.cluster_resources().get("GPU") and config.training.accelerator != "cpu" else 0
        remote = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=LOST_WORKERS)
        self.perform = remote(perform_on_a_machine)

    def submit(self, step: Step) -> None:
        """Hand a step to the cluster."""
        self.running[self.perform.options(name=step.title).remote(step, *self.what)] = step

    def ended(self, seconds: float) -> list[tuple[Step, BaseException | None]]:
        """Give the steps that have ended; a lost machine costs no more than the step that it had too often."""
        done, _ = self.ray.wait(list(self.running), num_returns=1, timeout=seconds)
        ended: list[tuple[Step, BaseException | None]] = []
        for reference in done:
            step = self.running.pop(reference)
            try:
                self.ray.get(reference)
            except self.ray.exceptions.RayError as error:
                ended.append((step, getattr(error, "cause", None) or error))
            else:
                ended.append((step, None))
        return ended

    def stop(self) -> None:
        """Interrupt the steps that run, as Ctrl-C does; those that do not listen are killed."""
        references: Sequence[Any] = list(self.running)
        for force in (False, True):
            for reference in references:
                self.ray.cancel(reference, force=force)
            if references:
                _, references = self.ray.wait(references, num_returns=len(references), timeout=SECONDS_TO_END)

    def close(self) -> None:
        """Leave the cluster; one that was made for the study ends."""
        if self.ours:
            self.ray.shutdown()


def _begin(ray: Any, jobs: int) -> None:
    """Enter the cluster that is named, or make one; on a busy machine that may take more than Ray's half minute."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**quiet)
        return
    for start in range(STARTS):
        try:
            ray.init(address="local", num_cpus=jobs or None, include_dashboard=False, **quiet)
        except Exception as error:  # it has no kind of its own
            ray.shutdown()
            if "timed out during startup" not in str(error):
                raise
            if start == STARTS - 1:
                raise ExecutorError("Ray does not start on this machine, which may be too busy for it") from error
        else:
            return


def perform_on_a_machine(step: Step, config: StudyConfig, corpus: Corpus, study: Path) -> None:
    """Do a step on whatever machine of a cluster this is.

    Raises:
        ExecutorError: if the machine does not see the study's folder or its corpus.
    """
    import torch

    for path in (study / "study.json", corpus.folder / INFO_FILE):
        if not path.is_file():
            raise ExecutorError(
                f"{socket.gethostname()} does not see {path}: the study and its corpus must stand in folders that all "
                "machines of the cluster share under one name"
            )
    torch.set_num_threads(1)
    perform(step, config, corpus, study)
