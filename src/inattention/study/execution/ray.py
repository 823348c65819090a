"""Run jobs on the machines of a Ray cluster."""

import os
import socket
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from inattention.corpora.core.corpus import INFO_FILE, Corpus
from inattention.study.execution.executor import SECONDS_TO_END, SETTINGS, Ended, ExecutorError, check_shared
from inattention.study.execution.jobs import run_job
from inattention.study.planning.plan import Job
from inattention.study.records import Record

NO_RAY = "Ray is not installed: pip install 'inattention[cluster]'"
STARTS = 3  # attempts to start a cluster of the study's own
LOST_WORKERS = 3  # that a job may cost before it counts as failed


class RayCluster:
    """A Ray cluster: the one that RAY_ADDRESS names, else one on this machine that is started for the study.

    A job whose worker is lost runs again elsewhere, from its last checkpoint. A job has a processor, and a GPU where
    the cluster has some.

    Args:
        study: the study's folder.
        corpus: the study's corpus.
        jobs: number of processors of a cluster that is started here; 0 for all.
        slots: number of jobs submitted at once.
        gpus: whether jobs can use a GPU.

    Raises:
        ExecutorError: if Ray is not installed, or does not start.
    """

    def __init__(self, study: Path, corpus: Corpus, jobs: int, slots: int, *, gpus: bool) -> None:
        try:
            ray: Any = import_module("ray")  # an extra
        except ImportError:
            raise ExecutorError(NO_RAY) from None
        self.ray = ray
        self.study, self.corpus = study, corpus
        self.slots = slots
        self.running: dict[Any, Job] = {}
        self.ours = not ray.is_initialized()
        if self.ours:
            _begin(ray, jobs)
        one_gpu = 1 if gpus and ray.cluster_resources().get("GPU") else 0
        self.remote = ray.remote(num_cpus=1, num_gpus=one_gpu, max_retries=LOST_WORKERS)(run_on_a_machine)

    def submit(self, job: Job, model: str | None) -> None:
        """Queue a job on the cluster."""
        reference = self.remote.options(name=job.id.title).remote(job, self.study, model, self.corpus.folder)
        self.running[reference] = job

    def ended(self, seconds: float) -> list[Ended]:
        """Return the jobs that have ended; a job fails after `LOST_WORKERS` lost workers."""
        done, _ = self.ray.wait(list(self.running), num_returns=1, timeout=seconds)
        ended = []
        for reference in done:
            job = self.running.pop(reference)
            try:
                result = self.ray.get(reference)
            except self.ray.exceptions.RayError as error:
                result = getattr(error, "cause", None) or error
            ended.append(Ended(job, result))
        return ended

    def stop(self) -> None:
        """Interrupt running jobs, as Ctrl-C does; kill those that do not end."""
        references: Sequence[Any] = list(self.running)
        for force in (False, True):
            for reference in references:
                self.ray.cancel(reference, force=force)
            if references:
                _, references = self.ray.wait(references, num_returns=len(references), timeout=SECONDS_TO_END)

    def close(self) -> None:
        """Leave the cluster; one that was started for the study ends."""
        if self.ours:
            self.ray.shutdown()


def run_on_a_machine(job: Job, study: Path, model: str | None, corpus: Path) -> Record:
    """Run a job on whatever machine of a cluster this is.

    Raises:
        ExecutorError: if the machine does not see the study's folder or its corpus.
    """
    import torch

    check_shared([study / SETTINGS, corpus / INFO_FILE], socket.gethostname())
    torch.set_num_threads(1)
    return run_job(job, study, model)


def _begin(ray: Any, jobs: int) -> None:
    """Connect to the cluster that is named, or start one; on a busy machine that may take more than Ray's timeout."""
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
