"""What all tests share: one thread, shapes checked at every call, and no network."""

import os
import shutil
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.pop("COLUMNS", None)  # which pytest-xdist sets, and which narrows tables

import pytest
import torch

import typechecks

# Shape annotations of the whole package become checks. It must stand before the first import of it.
typechecks.install("inattention")
torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that open a browser as slow."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("slow")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a window, for tests that open pages."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("there is no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api")
    quiet = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with playwright.sync_playwright() as engine:
        chromium = engine.chromium.launch(
            executable_path=found, args=[*quiet, "--disable-component-update", "--disable-sync"]
        )
        yield chromium
        chromium.close()
