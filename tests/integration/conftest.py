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


@pytest.fixture(scope="module")
def forked_workers() -> Iterator[None]:
    """Fork the workers of studies that tests run in this process, which have imported all libraries then."""
    epochs = linear_baseline.EPOCHS
    quick_workers()
    yield
    local.multiprocessing = multiprocessing
    linear_baseline.EPOCHS = epochs
