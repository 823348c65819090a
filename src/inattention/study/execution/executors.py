"""Choose an executor by name."""

import os
from importlib.util import find_spec
from pathlib import Path

from inattention.study.execution.executor import Executor, ExecutorError
from inattention.study.execution.local import LocalProcesses
from inattention.study.execution.ray import NO_RAY, RayCluster
from inattention.study.planning.plan import Plan

EXECUTORS = ("local", "ray")


def check_executor(name: str) -> None:
    """Raise if jobs cannot run in the way that is asked for, before anything is created.

    Raises:
        ExecutorError: if there is no executor of that name, or Ray is not installed.
    """
    if name not in EXECUTORS:
        raise ExecutorError(f"there is no executor {name!r}: choose local or ray")
    if name == "ray" and find_spec("ray") is None:
        raise ExecutorError(NO_RAY)


def make_executor(name: str, plan: Plan, folder: Path, *, jobs: int = 0, todo: int = 1) -> Executor:
    """Return an executor.

    Args:
        name: ``local`` or ``ray``, see `check_executor`.
        plan: the study's plan.
        folder: the study's folder.
        jobs: jobs that run at once; 0 for one per processor here, or as many as the cluster has room for.
        todo: number of jobs to run.

    Raises:
        ExecutorError: if there is none of that name, or Ray is not installed.
    """
    check_executor(name)
    if name == "local":
        return LocalProcesses(folder, jobs or os.cpu_count() or 1)
    gpus = plan.config.training.accelerator != "cpu"
    return RayCluster(folder, plan.corpus, jobs, jobs or todo, gpus=gpus)
