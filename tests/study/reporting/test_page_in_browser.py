"""The report's page in a browser: no errors, no requests, narrow and wide screens."""

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_the_report_without_errors_requests_or_sideways_scrolling(
    browser: Any, report: Path, width: int, scheme: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda it: None if it.url.startswith(("data:", report.as_uri())) else troubles.append(it.url))
    page.goto(report.as_uri())
    assert not troubles
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for table in ("table1", "table2", "differences", "theory", "others"):
        assert page.locator(f"#{table}").is_visible()
    broken = page.evaluate("[...document.images].filter(it => it.complete && !it.naturalWidth).length")
    assert broken == 0
    page.close()


def test_the_first_column_stays_when_a_table_is_scrolled(browser: Any, report: Path) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 900})
    page.goto(report.as_uri())
    head = page.locator("#table2 tbody th").first
    before = head.bounding_box()
    page.locator("#table2").evaluate("table => { table.parentElement.scrollLeft = 300 }")
    assert page.locator("#table2").evaluate("table => table.parentElement.scrollLeft") == 300
    assert head.bounding_box() == before
    page.close()


def test_each_task_of_the_time_figure_can_be_chosen_by_keyboard(browser: Any, report: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(report.as_uri())
    assert page.locator("#pane-speaker-utterance").is_visible()
    page.locator("#choose-speaker-utterance").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#pane-speaker-frame").is_visible()
    assert not page.locator("#pane-speaker-utterance").is_visible()
    page.close()


def test_labels_of_the_figures_lie_inside_them_and_apart(browser: Any, report: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(report.as_uri())
    boxes = page.evaluate(
        """[...document.querySelectorAll('#pane-speaker-utterance .wide-only svg text')].map(text => {
            const it = text.getBoundingClientRect(), of = text.closest('svg').getBoundingClientRect();
            return [it.left - of.left, it.top - of.top, it.right - of.left, it.bottom - of.top, of.width, of.height];
        })"""
    )
    assert len(boxes) > 20
    for number, (left, top, right, bottom, width, height) in enumerate(boxes):
        assert left > -1
        assert top > -1
        assert right < width + 1
        assert bottom < height + 1
        for other in boxes[:number]:
            wide = min(right, other[2]) - max(left, other[0])
            high = min(bottom, other[3]) - max(top, other[1])
            assert wide < 2 or high < 5  # line boxes are taller than letters
    page.close()
