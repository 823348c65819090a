from pathlib import Path

import pytest

from inattention.study import store
from inattention.study.reporting import report as reporting


@pytest.fixture(scope="session")
def report(study: Path) -> Path:
    """The page of the made-up study."""
    return reporting.write_report(reporting.build_report(store.load(study)))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave figures out, which take most of a report's time, where its text alone is read."""
    monkeypatch.setattr(reporting, "draw_figures", lambda results, tables, curves: {})
