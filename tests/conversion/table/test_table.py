"""The table over many conversions."""

import json
from pathlib import Path

import pytest

from inattention.cli import main
from inattention.conversion.table.figures import by_layers
from inattention.conversion.table.records import read_conversions
from inattention.conversion.table.rows import make_table

WORDS = [5] * 40


def conversion(
    root: Path, name: str, to: str, seed: int, errors: list[int] | None, digest: str = "t", layers: str = "all"
) -> None:
    folder = root / name
    folder.mkdir(parents=True)
    record = {
        "to": to, "layers": 2, "converted_layers": 2 if layers == "all" else 1, "steps": 5, "plan": {"examples": 3},
        "config": {"layers": layers, "heads": "all", "lengths": "mixed", "seed": seed},
        "teacher": {"name": "<tiny>", "digest": digest}, "speech": {"name": "s", "train": 9},
        "relative_error": {"start": 0.5, "after": 0.1, "layers_after": [0.2, 0.1]},
    }  # fmt: skip
    (folder / "conversion.json").write_text(json.dumps(record))
    if errors is None:
        return
    teacher = [1] * 20 + [0] * 20
    words = {
        "length": "own", "utterances": 40, "words": 200, "words_changed": 0.1,
        "student": {"word_error_rate": sum(errors) / 200, "loops": 2},
        "teacher": {"word_error_rate": sum(teacher) / 200, "loops": 1},
        "counts": {
            "utterances": [str(n) for n in range(40)], "words": WORDS, "student_errors": errors,
            "teacher_errors": teacher,
        },
    }  # fmt: skip
    times = [{"model": "student", "speech_seconds": 5, "ratio": {"ratio": 0.1, "low": 0.09, "high": 0.11}}]
    (folder / "measurements.json").write_text(json.dumps({"words": [words], "times": times}))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed in range(3):
        conversion(tmp_path, f"table-{seed}", "toeplitz@table", seed, [1] * 20 + [seed % 2] * 20)
        conversion(tmp_path, f"qk-{seed}", "qk", seed, [1] * 20 + [0] * 20)
    conversion(tmp_path, "none-0", "none", 0, [4] * 40)
    conversion(tmp_path, "uniform-0", "uniform", 0, None)
    return tmp_path


def test_rows_are_sorted_by_word_errors_and_compared_with_teacher_and_kept_attention(root: Path) -> None:
    table = make_table(read_conversions(root))
    assert [row.row for row in table.rows] == ["qk", "toeplitz@table", "none", "uniform"]
    kept, fixed, none, unmeasured = table.rows
    assert [row.input_independent for row in table.rows] == [False, True, True, True]
    assert kept.words["own"].above_kept is None
    assert fixed.seeds == (0, 1, 2)
    assert fixed.words["own"].rate == pytest.approx((20 + 40 + 20) / 3 / 200)
    assert fixed.words["own"].above_kept is not None
    assert fixed.words["own"].above_kept.estimate == pytest.approx(20 / 3 / 200)
    assert none.words["own"].above_teacher is not None
    assert none.words["own"].above_teacher.low > 0.5
    assert not unmeasured.words


def test_the_command_prints_the_table_and_writes_an_escaped_report(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["conversions", str(root)]) == 0
    assert "| toeplitz@table | 3 |" in capsys.readouterr().out
    page = (root / "report.html").read_text()
    assert "&lt;tiny&gt;" in page
    assert "<svg" in page
    assert "mathdefault" not in page  # ticks are numbers, not formulas
    assert len((root / "table.csv").read_text().splitlines()) == 5


def test_conversions_of_different_teachers_are_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conversion(root, "other", "qk", 7, None, digest="other")
    assert main(["conversions", str(root)]) == 2
    assert "different teachers" in capsys.readouterr().err


def test_a_folder_without_conversions_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conversions", str(tmp_path)]) == 2
    assert "inattention convert" in capsys.readouterr().err


def test_word_errors_are_drawn_against_replaced_layers_where_some_rows_replace_a_part(root: Path) -> None:
    assert by_layers(make_table(read_conversions(root)), "own") is None
    conversion(root, "part-0", "toeplitz@table", 0, [1] * 20 + [0] * 20, layers="0")
    drawn = by_layers(make_table(read_conversions(root)), "own")
    assert drawn is not None
    assert "toeplitz@table, layers 0 0.100" in drawn
