"""The atlas: a self-contained page in a real browser, with the values that were captured."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inattention.analysis.atlas import LARGEST_BYTES, Made, _room, atlas_html
from inattention.analysis.capture import Captured
from inattention.analysis.heads import heads_of
from inattention.provenance import provenance
from made_captures import captured_of
from made_maps import make

HEADS = ("diagonal", "increasing", "decreasing", "sparse", "diagonal")
STEPS = 32
EVIL = '</script><script>alert("x")</script>'


@pytest.fixture(scope="module")
def captured() -> Captured:
    layers = [
        np.stack([make(kind, 6, STEPS, 0.4, seed=10 * layer + head) for head, kind in enumerate(HEADS)], axis=1)
        for layer in range(2)
    ]
    return captured_of(np.stack(layers, axis=1))


def made(label: str = "qk-0 (qk)") -> Made:
    return Made("runs/qk-0", label, "tones", {"seed": 0}, provenance(), "Tones, made for tests.")


@pytest.fixture(scope="module")
def atlas(captured: Captured, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("atlas") / "atlas.html"
    path.write_text(atlas_html(captured, made()), encoding="utf-8")
    return path


def test_a_page_keeps_its_size_limit_for_any_model() -> None:
    for heads in (1, 12, 72, 144, 400, 1000):
        for steps in (16, 96, 128, 512, 1500):
            for singles in (1, 32):
                side, shown = _room(heads, steps, singles)
                assert side <= steps
                assert heads * side**2 * (2 + shown) * 4 / 3 <= LARGEST_BYTES
                assert shown >= min(singles, 2)


def test_long_maps_are_averaged_to_cells(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inattention.analysis.atlas.LARGEST_BYTES", 30_000)
    page = atlas_html(captured, made())
    assert len(page) < 120_000
    assert f"{STEPS} frames averaged to" in page


def test_names_of_models_and_cuts_are_shown_and_not_executed(captured: Captured) -> None:
    class Tags(HTMLParser):
        scripts = 0

        def handle_starttag(self, tag: str, attrs: Any) -> None:
            self.scripts += tag == "script"

    single = captured.singles[0]
    evil = type(single)(EVIL, 0.0, single.maps, single.log_mel)
    page = atlas_html(captured_with(captured, evil), made(EVIL))
    tags = Tags()
    tags.feed(page)
    assert tags.scripts == 2


def captured_with(captured: Captured, single: Any) -> Captured:
    return type(captured)(**{**captured.__dict__, "singles": (single, *captured.singles[1:])})


def test_a_capture_of_one_utterance_has_a_page_too(captured: Captured) -> None:
    one = captured_of(captured.singles[0].maps[None].astype(float), step_seconds=None)
    page = atlas_html(one, made())
    assert "over 1 utterance of" in page
    assert "NaN" not in page


@pytest.fixture
def page(browser: Any, atlas: Path) -> Iterator[Any]:
    """The opened page; any message on the console and any request to the network fails the test."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    troubles: list[str] = []
    opened.on("console", lambda message: troubles.append(message.text))
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    opened.on("request", lambda it: None if it.url.startswith(("data:", atlas.as_uri())) else troubles.append(it.url))
    opened.goto(atlas.as_uri())
    yield opened
    opened.close()
    assert not troubles


def shown(page: Any) -> list[str]:
    return page.evaluate(
        "[...document.querySelectorAll('#cards li')].filter(it => !it.hidden).map(it => it.dataset.key)"
    )


def test_heads_are_sorted_by_any_measure_in_either_direction(page: Any, captured: Captured) -> None:
    heads = heads_of(captured)
    assert shown(page) == [it.key for it in heads]
    page.select_option("#sort", "diagonality")
    rising = [it.key for it in sorted(heads, key=lambda it: it.measures["diagonality"])]
    assert shown(page) == rising
    page.click("#direction")
    assert shown(page) == rising[::-1]
    page.click("#reset")
    page.wait_for_function("document.querySelector('#cards li').dataset.key === 'layer-1-head-1'")
    assert shown(page) == [it.key for it in heads]


def test_heads_are_filtered_by_category_and_layer(page: Any, captured: Captured) -> None:
    heads = heads_of(captured)
    page.uncheck("[value=diagonal]")
    expected = [it.key for it in heads if it.category != "diagonal"]
    assert shown(page) == expected
    page.select_option("#layer", "2")
    expected = [key for key in expected if key.startswith("layer-2")]
    assert shown(page) == expected
    assert page.locator("#status").inner_text() == f"{len(expected)} of {len(heads)} heads."


def test_faint_maps_can_be_enhanced_and_their_values_stay(page: Any, captured: Captured) -> None:
    canvas = "document.querySelector('[data-key=layer-1-head-2] canvas').toDataURL()"
    plain = page.evaluate(canvas)
    page.check("#stretch")
    assert page.evaluate(canvas) != plain
    page.locator("[data-key=layer-1-head-2] button").click()
    point(page, 14, 20)
    near(page, captured.mean[0, 1, 14, 20], captured.mean[0, 1].max())
    page.locator("#close").click()
    page.uncheck("#stretch")
    assert page.evaluate(canvas) == plain


def value(page: Any) -> float:
    return float(re.findall(r"(?:weight|deviation) ([0-9.e+-]+)", page.locator("#readout").inner_text())[0].rstrip("."))


def near(page: Any, expected: float, largest: float) -> None:
    """The resolution of a weight is half a level of the root, and it is displayed with three digits."""
    root = abs(np.sqrt(value(page)) - np.sqrt(expected))
    assert root <= np.sqrt(largest) / 510 + 0.005 * np.sqrt(expected) + 1e-6


def point(page: Any, query: int, key: int) -> None:
    box = page.locator("#map").bounding_box()
    page.mouse.move(box["x"] + (key + 0.5) * box["width"] / STEPS, box["y"] + (query + 0.5) * box["height"] / STEPS)


def test_a_head_opens_and_shows_the_captured_values_under_the_pointer(page: Any, captured: Captured) -> None:
    page.locator("[data-key=layer-2-head-3] button").click()
    assert page.locator("#closer-h").inner_text() == "Layer 2, head 3: decreasing"
    mean, spread = captured.mean[1, 2], np.sqrt(captured.variance[1, 2])
    for query, key in ((14, 1), (20, 30)):
        page.check("[value=mean]")
        point(page, query, key)
        near(page, mean[query, key], mean.max())
        page.check("[value=spread]")
        point(page, query, key)
        near(page, spread[query, key], spread.max())
    readout = page.locator("#readout").inner_text()
    assert readout.startswith("Query at 0.75 s, frame 21; key at 1.13 s, frame 31: standard deviation")
    row = page.locator(".numbers table:visible tr", has_text="Lean").inner_text()
    assert f"{captured.measures['lean'][1, 2]:.2f}".lstrip("-") in row


def test_the_slider_goes_through_single_utterances(page: Any, captured: Captured) -> None:
    page.locator("[data-key=layer-1-head-1] button").click()
    page.locator("#utterance").focus()
    for number in (2, 3):
        page.keyboard.press("ArrowRight")
        assert f"{number} of 6: utterance-{number - 1}, from" in page.locator("#which").inner_text()
        weights = captured.singles[number - 1].maps[0, 0].astype(float)
        point(page, 10, 10)
        near(page, weights[10, 10], weights.max())
    assert page.is_checked("[value=single]")
    strips = "[...document.querySelectorAll('#mel-top, #mel-left')].map(canvas => canvas.toDataURL())"
    drawn = page.evaluate(strips)
    page.keyboard.press("ArrowRight")
    page.check("[value=mean]")
    assert len({*drawn, *page.evaluate(strips)}) == 4  # two with log-mel, two without


def test_all_controls_are_reachable_by_keyboard(page: Any, captured: Captured) -> None:
    page.locator("[data-key=layer-1-head-2] button").focus()
    page.keyboard.press("Enter")
    page.locator("#map").focus()
    page.keyboard.press("ArrowDown")  # the first press shows the middle
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+ArrowRight")
    near(page, captured.mean[0, 1, STEPS // 2 + 1, STEPS // 2 + 10], captured.mean[0, 1].max())
    page.locator("#next").focus()
    page.keyboard.press("Enter")
    assert page.locator("#closer-h").inner_text().startswith("Layer 1, head 3")
    assert page.url.endswith("#layer-1-head-3")
    page.keyboard.press("Escape")
    assert not page.locator("#closer").is_visible()
    assert page.evaluate("document.activeElement.closest('li').dataset.key") == "layer-1-head-3"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_overflows_at_any_width(page: Any, width: int, scheme: str) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#cards button").first.click()
    assert page.locator("#closer").evaluate("it => it.scrollWidth <= it.clientWidth")
    box = page.locator("#map").bounding_box()
    assert 0 <= box["x"] < box["x"] + box["width"] <= width
    assert box["width"] == pytest.approx(box["height"], abs=1)
    tall = page.locator("#closer").evaluate("it => it.scrollHeight / it.clientHeight")
    assert tall == 1 if width == 1280 else tall < 1.5
    for strip, side in (("#mel-top", "width"), ("#mel-left", "height")):
        assert page.locator(strip).bounding_box()[side] == pytest.approx(box[side], abs=1)


def test_an_address_with_a_head_opens_it(browser: Any, atlas: Path) -> None:
    opened = browser.new_page()
    opened.goto(f"{atlas.as_uri()}#layer-2-head-4")
    assert opened.locator("#closer-h").inner_text() == "Layer 2, head 4: sparse"
    opened.close()
