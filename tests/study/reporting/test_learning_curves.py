"""Accuracy during training: figures and a table of rows that were probed then."""

import csv
from pathlib import Path

import pytest

from inattention.probing.config import TASKS
from inattention.study import store
from inattention.study.reporting.report import build_report, write_report
from study.fake import fake_study

pytestmark = pytest.mark.slow

FEW = ("mel", "qk", "patterned")


def test_accuracies_during_training_are_drawn_and_listed_with_their_intervals(tmp_path: Path) -> None:
    folder = fake_study(tmp_path, rows=FEW, seeds=(0, 1), curve_rows=("qk", "patterned"))
    assert "Accuracy during training" in write_report(build_report(store.load(folder))).read_text(encoding="utf-8")
    drawn = {path.stem for path in (folder / "figures").glob("learning-*")}
    assert drawn == {f"learning-{task}-step" for task in TASKS}
    with (folder / "curves.csv").open(encoding="utf-8") as file:
        found = {(it["row"], it["task"], int(it["step"])): it for it in csv.DictReader(file)}
    assert set(found) == {(row, task, step) for row in ("qk", "patterned") for task in TASKS for step in (10, 30, 100)}
    # The mean over seeds of the records, within its interval; the last step is that of table 2.
    results = store.load(folder)
    at_30 = found["qk", "phone-2-hidden", 30]
    seeds = [results.curves["qk", seed, 30].tasks["phone-2-hidden"].accuracy for seed in (0, 1)]
    assert float(at_30["accuracy"]) == pytest.approx(sum(seeds) / 2, abs=1e-5)
    assert float(at_30["accuracy_low"]) < min(seeds) < max(seeds) < float(at_30["accuracy_high"])
    table = next(it for it in build_report(store.load(folder)).tables.accuracy if it.row.name == "qk")
    last = found["qk", "phone-2-hidden", 100]
    score = table.scores["phone-2-hidden"]
    assert score is not None
    assert float(last["accuracy"]) == pytest.approx(score.mean, abs=1e-5)


def test_without_probes_during_training_nothing_is_said_of_them(tmp_path: Path) -> None:
    page = write_report(build_report(store.load(fake_study(tmp_path, rows=FEW))))
    assert "Accuracy during training" not in page.read_text(encoding="utf-8")
    assert not (tmp_path / "curves.csv").exists()
