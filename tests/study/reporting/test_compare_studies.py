"""Comparing studies: which rows are compared with which, what is paired, and errors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inattention.cli import main
from inattention.study.reporting.compare_studies import as_table, compare_studies
from study.fake import fake_study, put_accuracy, rewrite

ROWS = ("mel", "qk", "qk@identity", "patterned", "none")


def accuracies(points: dict[str, float]) -> Callable[[dict[str, Any]], None]:
    return lambda line: put_accuracy(line, lambda task: points.get(line["row"], 0.3))


def test_rows_of_a_later_study_are_held_against_the_first(tmp_path: Path) -> None:
    for name, points in (("clean", 0.40), ("leaking", 0.25)):
        fake_study(tmp_path / name, rows=ROWS if name == "clean" else ("qk", "patterned"))
        rewrite(tmp_path / name, accuracies({"qk": points}))
    lines = compare_studies([tmp_path / "clean", tmp_path / "leaking"])
    # Rows that one study alone has are left out.
    assert [(line.row, line.study) for line in lines] == [
        ("qk", "clean"), ("qk", "leaking"), ("patterned", "clean"), ("patterned", "leaking"),
    ]  # fmt: skip
    first, second = lines[:2]
    assert first.reference == ""
    assert set(first.differences.values()) == {None}
    assert (second.reference, second.same_utterances) == ("clean", True)
    found = second.differences["phone-1-hidden"]
    assert found is not None
    assert found.estimate == pytest.approx(-0.15)
    assert found.verdict == "does not hold"
    assert second.cells["phone-1-hidden"].startswith("25.0 [")


def test_studies_on_different_corpora_are_not_paired_and_this_is_stated(tmp_path: Path) -> None:
    for name, key in (("one", "1" * 16), ("other", "2" * 16)):
        fake_study(tmp_path / name, rows=("qk", "none"), corpus={"key": key})
        # The same ids and counts that vary between utterances alike: paired, the difference would be exact.
        rewrite(tmp_path / name, lambda line: put_accuracy(line, lambda task: 0.5 + (line["row"] == "none") * 0.1))
    rows = compare_studies([tmp_path / "one", tmp_path / "other"])
    found = rows[1].differences["speaker-utterance"]
    assert found is not None
    assert not rows[1].same_utterances
    assert found.low < -0.05 < 0.05 < found.high
    assert "(not paired: the test sets differ)" in as_table(rows)


def test_all_rows_are_held_against_one_of_their_own_study(tmp_path: Path) -> None:
    fake_study(tmp_path, rows=ROWS, seeds=(0, 1))
    rewrite(tmp_path, accuracies({"patterned": 0.5}))
    lines = compare_studies([tmp_path], against="qk@identity")
    assert [line.row for line in lines] == ["mel", "qk", "patterned", "none"]
    by_row = {line.row: line for line in lines}
    found = by_row["patterned"].differences["speaker-frame"]
    assert found is not None
    assert found.estimate == pytest.approx(0.2)
    assert by_row["mel"].loss_difference is None
    loss = by_row["patterned"].loss_difference
    assert loss is not None
    assert loss.estimate == pytest.approx(0.43 - 0.46, abs=0.03)


def test_what_collapsed_is_said_and_supports_no_difference(tmp_path: Path) -> None:
    def collapse(line: dict[str, Any]) -> None:
        if (line["kind"], line.get("row")) == ("pretrain", "qk"):
            line["outcome"]["held_out_l1"] = line["outcome"]["mean_l1"]

    fake_study(tmp_path, rows=ROWS)
    rewrite(tmp_path, collapse)
    (line,) = compare_studies([tmp_path], against="none", rows=("qk",))
    assert all(cell.endswith("collapsed") for cell in line.cells.values())
    assert set(line.differences.values()) == {None}
    assert "not measured" in as_table([line])


def test_command_prints_both_tables_and_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = fake_study(tmp_path / "a" / "same", rows=ROWS), fake_study(tmp_path / "b" / "same", rows=ROWS)
    assert main(["compare", str(one), str(other), "--only", "qk", "none"]) == 0
    told = capsys.readouterr().out
    assert "| `qk` | b/same | " in told  # as much of the folders as tells them apart
    assert "Difference from `a/same`, in points, with 95 % intervals (paired over test utterances)" in told
    assert told.count("\n| `none` ") == 3
    assert main(["compare", str(one), "--against", "qk"]) == 0
    assert "Difference from `qk`" in capsys.readouterr().out
    for words, why in (
        ([str(one)], "a comparison needs two studies"),
        ([str(one), str(one)], "named twice"),
        ([str(one), str(tmp_path / "nowhere")], "run the study first"),
        ([str(one), "--against", "qq"], "no study has a row 'qq'; there are mel, qk"),
        ([str(one), str(other), "--only", "qq"], "no study has a row 'qq'"),
    ):
        assert main(["compare", *words]) == 2
        assert why in capsys.readouterr().err


def test_the_current_folder_can_be_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_study(tmp_path / "here", rows=("qk", "none"))
    monkeypatch.chdir(tmp_path / "here")
    (line,) = compare_studies(["."], against="qk")
    assert (line.study, line.row) == ("here", "none")
