"""Workers of studies that tests run in this process are forked, and find libraries imported."""

import multiprocessing
from collections.abc import Iterator

import pytest

from inattention.pretraining import (
    linear_baseline,
    module,  # noqa: F401  # so that workers need not import it
)
from inattention.probing.run import probe  # noqa: F401
from inattention.study.execution import local
from small_studies import quick_workers


@pytest.fixture(scope="package", autouse=True)
def forked_workers() -> Iterator[None]:
    """Turn them into forked ones until all tests of studies are done."""
    epochs = linear_baseline.EPOCHS
    quick_workers()
    yield
    local.multiprocessing = multiprocessing
    linear_baseline.EPOCHS = epochs
