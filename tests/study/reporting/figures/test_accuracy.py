"""Figures: the same bytes for the same results, words that stay words, and colours that all can tell apart."""

import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from inattention.plotting import inline
from inattention.study import store
from inattention.study.comparison import Estimate, RowComparison, measured_rows
from inattention.study.reporting.families import CONTROL, FAMILIES
from inattention.study.reporting.figures.accuracy import AccuracyPoint, accuracy_svg
from inattention.study.reporting.figures.accuracy_time import accuracy_time_svg
from inattention.study.reporting.figures.drawing import marker_path
from inattention.study.reporting.figures.loss import LossCurves, loss_svg
from inattention.study.reporting.tables import Tables, build_tables
from inattention.study.results import StudyResults

# What the common forms of colour blindness make of linear RGB (Machado et al. 2009, severity 1).
VISION = {
    "usual": np.eye(3),
    "protanopia": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "deuteranopia": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "tritanopia": np.array([[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]),
}


@pytest.fixture(scope="module")
def results(study: Path) -> StudyResults:
    return store.load(study)


@pytest.fixture(scope="module")
def tables(results: StudyResults) -> Tables:
    return build_tables(results, RowComparison(measured_rows(results)))


@pytest.fixture(scope="module")
def points(tables: Tables) -> list[AccuracyPoint]:
    ratios = [None, None, *((0.7 + i / 50, 0.6, 1.1) for i in range(16))]
    return [
        AccuracyPoint(row.row, row.family, row.scores["speaker-frame"], "missing", ratio=ratio)
        for row, ratio in zip(tables.accuracy, ratios, strict=True)
    ]


def curves(results: StudyResults, tables: Tables, *names: str) -> list[LossCurves]:
    rows = [row for row in tables.accuracy if row.row.name in names]
    return [LossCurves(row.row.name, row.family, results.runs_of(row.row.name)) for row in rows]


def words(svg: str) -> set[str]:
    return {
        "".join(text.itertext()).strip()
        for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    }


def test_the_same_results_give_the_same_bytes_and_no_date(points: list[AccuracyPoint]) -> None:
    one, other = (accuracy_time_svg(points, "time", width=600, height=400) for _ in range(2))
    assert one == other
    assert "date" not in one.lower()


def test_each_measured_row_is_named_in_words(points: list[AccuracyPoint]) -> None:
    measured = {point.row.name for point in points if point.score}
    assert measured <= words(accuracy_time_svg(points, "time", width=360, height=520))
    assert {point.row.name for point in points} | {"missing"} <= words(accuracy_svg(points, 0.1, "accuracy"))


def test_loss_curves_name_rows_and_reference_lines(results: StudyResults, tables: Tables) -> None:
    rows = curves(results, tables, "qk", "patterned", "none")
    shown = words(loss_svg(rows, {"predicting the mean": 0.8}, "loss", against="seconds"))
    assert {"qk", "patterned", "none", "predicting the mean", "seconds of training"} <= shown


def test_a_row_with_steps_of_half_the_time_ends_at_half_the_time(results: StudyResults, tables: Tables) -> None:
    qk = curves(results, tables, "qk")

    def last_tick(ratio: float) -> float:
        svg = loss_svg(qk, {"predicting the mean": 0.8}, "loss", against="time", costs={"qk": ratio})
        assert "training time, in steps of qk" in words(svg)
        return max(float(word) for word in words(svg) if word.replace(".", "").isdigit())

    assert last_tick(0.5) == pytest.approx(last_tick(1.0) / 2, rel=0.3)


def test_one_row_alone_and_one_without_an_interval_can_be_drawn(points: list[AccuracyPoint]) -> None:
    alone = AccuracyPoint(points[2].row, points[2].family, Estimate(0.5, None, None, 1), ratio=(1.0, 1.0, 1.0))
    assert "qk" in words(accuracy_time_svg([alone], "time", width=360, height=300))
    assert "qk" in words(accuracy_svg([alone], None, "accuracy"))


def test_figures_on_one_page_share_no_ids_and_ask_for_nothing(points: list[AccuracyPoint]) -> None:
    svg = accuracy_svg(points, 0.1, "accuracy")
    one, other = (inline(svg, name, "what <it> shows", {"#1d1f24": "var(--ink)"}) for name in ("one", "other"))
    ids = [set(re.findall(r'\bid="([^"]+)"', it)) for it in (one, other)]
    assert ids[0]
    assert not ids[0] & ids[1]
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', one))
    assert used <= ids[0]
    assert not re.search(r'(?:href|src)="(?!#)', one)
    assert "#1d1f24" not in one
    assert "<style" not in one  # which would rule the whole page
    assert 'aria-label="what &lt;it&gt; shows"' in one
    ElementTree.fromstring(one)


def test_families_differ_in_marker_and_stand_out_from_the_paper() -> None:
    families = [*FAMILIES, CONTROL]
    assert len({family.marker for family in families}) == len(families)
    for family in families:
        assert contrast(family.light, "#fdfdfb") > 3
        assert contrast(family.dark, "#16181c") > 3
        assert marker_path(family.marker).startswith("M")


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("paper", ["light", "dark"])
def test_families_differ_in_colour_for_all_eyes(vision: str, paper: str) -> None:
    seen = {family.name: lab(VISION[vision] @ linear(getattr(family, paper))) for family in [*FAMILIES, CONTROL]}
    for one, other in combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 10, (one, other)


def linear(colour: str) -> np.ndarray:
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    low, high = sorted(float(linear(colour) @ (0.2126, 0.7152, 0.0722)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(colour: np.ndarray) -> np.ndarray:
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.clip(to_xyz @ np.clip(colour, 0, 1) / (0.9505, 1, 1.089), 1e-4, None))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
