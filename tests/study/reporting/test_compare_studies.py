"""Studies side by side: what is held against what, and what is said where nothing can be."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inattention.cli import main
from inattention.study.reporting.compare_studies import as_table, beside
from study.fake import fake_study

ROWS = ("mel", "qk", "qk@identity", "patterned", "none")


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "results.jsonl"
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    for line in lines:
        change(line)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def accuracies(points: dict[str, float]) -> Callable[[dict[str, Any]], None]:
    def change(line: dict[str, Any]) -> None:
        for task in line.get("outcome", {}).get("tasks", []):
            middle = points.get(line["row"], 0.3)
            task |= {"accuracy": middle, "low": middle - 0.03, "high": middle + 0.03}

    return change


def test_rows_of_a_later_study_are_held_against_the_first(tmp_path: Path) -> None:
    for name, points in (("clean", 0.40), ("leaking", 0.25)):
        fake_study(tmp_path / name, rows=ROWS if name == "clean" else ("qk", "patterned"))
        rewrite(tmp_path / name, accuracies({"qk": points}))
    lines = beside([tmp_path / "clean", tmp_path / "leaking"])
    # Rows that one study alone has are left out.
    assert [(line.row, line.study) for line in lines] == [
        ("qk", "clean"), ("qk", "leaking"), ("patterned", "clean"), ("patterned", "leaking"),
    ]  # fmt: skip
    first, second = lines[:2]
    assert first.against == ""
    assert set(first.gaps.values()) == {None}
    assert second.against == "clean"
    gap = second.gaps["phone-1-hidden"]
    assert gap is not None
    assert gap.points == pytest.approx(-15)
    assert gap.high - gap.points == pytest.approx(3 * 2**0.5)
    assert second.cells["phone-1-hidden"] == "25.0 [22.0, 28.0]"


def test_all_rows_are_held_against_one_of_their_own_study(tmp_path: Path) -> None:
    fake_study(tmp_path, rows=ROWS)
    rewrite(tmp_path, accuracies({"patterned": 0.5}))
    lines = beside([tmp_path], against="qk@identity")
    assert [line.row for line in lines] == ["mel", "qk", "patterned", "none"]
    by_row = {line.row: line for line in lines}
    gap = by_row["patterned"].gaps["speaker-frame"]
    assert gap is not None
    assert gap.points == pytest.approx(20)
    assert by_row["mel"].loss_gap is None
    assert by_row["patterned"].loss_gap == pytest.approx(0.43 - 0.46, abs=0.03)


def test_what_collapsed_is_said_and_supports_no_difference(tmp_path: Path) -> None:
    def collapse(line: dict[str, Any]) -> None:
        if (line["kind"], line.get("row")) == ("pretrain", "qk"):
            line["outcome"]["held_out_l1"] = line["outcome"]["mean_l1"]

    fake_study(tmp_path, rows=ROWS)
    rewrite(tmp_path, collapse)
    (line,) = beside([tmp_path], against="none", rows=("qk",))
    assert all(cell.endswith("collapsed") for cell in line.cells.values())
    assert set(line.gaps.values()) == {None}
    assert "not measured" in as_table([line])


def test_command_prints_both_tables_and_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = fake_study(tmp_path / "a" / "same", rows=ROWS), fake_study(tmp_path / "b" / "same", rows=ROWS)
    assert main(["compare", str(one), str(other), "--only", "qk", "none"]) == 0
    told = capsys.readouterr().out
    assert "| `qk` | b/same | " in told  # as much of the folders as tells them apart
    assert "Less `a/same`" in told
    assert told.count("\n| `none` ") == 3
    assert main(["compare", str(one), "--against", "qk"]) == 0
    assert "Less `qk`" in capsys.readouterr().out
    for words, why in (
        ([str(one)], "one study alone"),
        ([str(one), str(one)], "named twice"),
        ([str(one), str(tmp_path / "nowhere")], "run the study first"),
        ([str(one), "--against", "qq"], "no study has a row 'qq'; there are mel, qk"),
        ([str(one), str(other), "--only", "qq"], "no study has a row 'qq'"),
    ):
        assert main(["compare", *words]) == 2
        assert why in capsys.readouterr().err
