"""Workers of studies find libraries imported."""

import multiprocessing
from collections.abc import Iterator

import pytest

from inattention.pretraining import module  # noqa: F401  # so that workers need not import it
from inattention.probing.run import probe  # noqa: F401
from inattention.study.execution import local
from small_studies import fork_workers


@pytest.fixture(scope="package", autouse=True)
def forked_workers() -> Iterator[None]:
    """Fork the workers of studies that tests run in this process."""
    fork_workers()
    yield
    local.multiprocessing = multiprocessing
