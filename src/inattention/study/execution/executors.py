"""Choose an executor by name."""

import os
from pathlib import Path

from inattention.study.execution.executor import Executor, ExecutorError
from inattention.study.execution.local import LocalProcesses
from inattention.study.execution.ray import RayCluster
from inattention.study.planning.plan import Plan


def make_executor(name: str, plan: Plan, folder: Path, *, jobs: int = 0, todo: int = 1) -> Executor:
    """Return an executor.

    Args:
        name: ``local`` or ``ray``.
        plan: the study's plan.
        folder: the study's folder.
        jobs: jobs that run at once; 0 for one per processor here, or as many as the cluster has room for.
        todo: number of jobs to run.

    Raises:
        ExecutorError: if there is none of that name, or Ray is not installed.
    """
    if name == "local":
        return LocalProcesses(folder, jobs or os.cpu_count() or 1)
    if name == "ray":
        gpus = plan.config.training.accelerator != "cpu"
        return RayCluster(folder, plan.corpus, jobs, jobs or todo, gpus=gpus)
    raise ExecutorError(f"there is no executor {name!r}: choose local or ray")
