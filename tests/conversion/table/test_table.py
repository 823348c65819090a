"""The table over many conversions."""

import csv
import json
from pathlib import Path

import pytest

from inattention.cli import main
from inattention.conversion.table.figures import by_layers, by_stages, frontier
from inattention.conversion.table.records import read_conversions
from inattention.conversion.table.rows import HEADER, as_csv, as_markdown, cells, make_table

WORDS = [5] * 40


def conversion(
    root: Path, name: str, to: str, seed: int, errors: list[int] | None, digest: str = "t", layers: str = "all"
) -> None:
    folder = root / name
    folder.mkdir(parents=True)
    record = {
        "to": to, "layers": 2, "converted_layers": 2 if layers == "all" else 1, "steps": 5, "plan": {"examples": 3},
        "config": {"layers": layers, "heads": "all", "lengths": "mixed", "seed": seed, "steps": 5, "minutes": 10.0},
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
    ratio = {"ratio": 0.1, "low": 0.09, "high": 0.11}
    times = [{"model": "student", "speech_seconds": seconds, "ratio": ratio} for seconds in (5, 30)]
    probes = [
        {"task": task, "layer": layer, "student": {"accuracy": 0.5 + 0.1 * layer + 0.01 * seed},
         "teacher": {"accuracy": 0.75}}
        for task in ("speaker-utterance", "phone-1-hidden") for layer in (0, 1)
    ]  # fmt: skip
    measured = {"words": [words], "times": times, "probes": probes if to == "toeplitz@table" else []}
    (folder / "measurements.json").write_text(json.dumps(measured))


def staged(root: Path, name: str, to: str, kept: int) -> None:
    """A conversion layer by layer, of which some stages are kept."""
    conversion(root, name, to, 0, [1] * 20 + [0] * 20)
    path = root / name / "conversion.json"
    record = json.loads(path.read_text())
    record["config"]["order"], record["converted_layers"] = "least-dependent", kept
    record["stages"] = [
        {"stage": number, "layers": layers, "kept": number == kept, "words": {"difference": [0.1, 0.0, 0.2]}}
        for number, layers in ((1, [1]), (2, [0, 1]))
    ]
    path.write_text(json.dumps(record))


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
    assert "toeplitz@table, layer 0 0.100" in drawn


def test_probes_of_the_encoders_output_are_columns_where_they_were_measured(root: Path) -> None:
    table = make_table(read_conversions(root))
    assert table.teacher_probes == {"speakers": 0.75, "phones": 0.75}
    fixed = next(row for row in table.rows if row.row == "toeplitz@table")
    assert fixed.probes == {"speakers": pytest.approx(0.61), "phones": pytest.approx(0.61)}
    assert cells(fixed)[HEADER.index("speakers, %")] == "61.0"
    kept = next(row for row in table.rows if row.row == "qk")
    assert cells(kept)[-2:] == ["", ""]


def test_word_errors_are_drawn_against_time_with_kept_attention_as_a_reference(root: Path) -> None:
    table = make_table(read_conversions(root))
    for seconds in (5, 30):
        drawn = frontier(table, "own", seconds)
        assert drawn is not None
        assert f"encoder time on {seconds} s" in drawn
        assert "qk kept" in drawn
    assert frontier(table, "30", 30) is None


def test_conversions_layer_by_layer_are_rows_of_their_own_named_by_what_they_kept(root: Path) -> None:
    staged(root, "some-0", "toeplitz@table", kept=1)
    staged(root, "all-0", "toeplitz@table", kept=2)
    staged(root, "nothing-0", "toeplitz@table", kept=0)
    records = read_conversions(root)
    rows = {it.folder: it.row for it in records}
    assert rows["some-0"] == "toeplitz@table, layer 1, least dependent first"
    assert rows["all-0"] == "toeplitz@table, least dependent first"
    assert rows["nothing-0"] == "toeplitz@table, no layer, least dependent first"
    assert rows["table-0"] == "toeplitz@table"
    drawn = by_stages(records)
    assert drawn is not None
    assert "least dependent first +0.100" in drawn


def test_without_conversions_layer_by_layer_there_is_no_figure_of_stages(root: Path) -> None:
    assert by_stages(read_conversions(root)) is None


def test_conversions_of_several_lengths_are_rows_of_their_own_and_not_seeds_of_one(root: Path) -> None:
    conversion(root, "further-0", "toeplitz@table", 0, [1] * 20 + [0] * 20)
    path = root / "further-0/conversion.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "continues": {"model": "d", "steps": 7}}))
    conversion(root, "minutes-0", "none", 0, None)
    path = root / "minutes-0/conversion.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "config": {**record["config"], "steps": 0}}))
    rows = {it.row: it.seeds for it in make_table(read_conversions(root)).rows}
    assert rows == {
        "toeplitz@table, 5 steps": (0, 1, 2), "toeplitz@table, 12 steps": (0,), "none, 5 steps": (0,),
        "none, 10 min": (0,), "qk": (0, 1, 2), "uniform": (0,),
    }  # fmt: skip


def test_columns_without_any_value_are_left_out_of_the_table_and_kept_in_the_csv_file(root: Path) -> None:
    table = make_table(read_conversions(root))
    header = as_markdown(table).splitlines()[0]
    assert "WER (own)" in header
    assert "WER (30 s)" not in header
    assert next(csv.reader([as_csv(table).splitlines()[0]])) == list(HEADER)
