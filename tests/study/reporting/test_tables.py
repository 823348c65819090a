"""Tables: every row of the study, what was measured beside what the paper has, and why something is not there."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from inattention.study import store
from inattention.study.comparison import RowComparison, measured_rows
from inattention.study.reporting.csv_tables import table1_csv, table2_csv
from inattention.study.reporting.tables import RowNote, Tables, build_tables, terminal_table
from inattention.study.results import StudyResults
from study.fake import ROWS, fake_study


def lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def tables_of(folder: Path) -> Tables:
    results = store.load(folder)
    return build_tables(results, RowComparison(measured_rows(results)))


@pytest.fixture(scope="module")
def results(study: Path) -> StudyResults:
    return store.load(study)


@pytest.fixture(scope="module")
def tables(study: Path) -> Tables:
    return tables_of(study)


def test_table_2_has_every_row_and_says_why_numbers_are_not_there(tables: Tables) -> None:
    table = {line["row"]: line for line in lines(table2_csv(tables))}
    assert set(table) == set(ROWS)
    assert table["xbox-qnf"]["phone_1_hidden_status"] == "failed"
    assert table["simple-lsh"]["phone_1_hidden_status"] == "missing"
    assert table["simple-lsh"]["phone_1_hidden"] == ""
    assert float(table["simple-lsh"]["held_out_l1"]) > 0
    assert table["qk"]["phone_1_hidden_status"] == "measured"


def test_a_seed_that_was_not_run_is_noted(tmp_path: Path) -> None:
    folder = fake_study(
        tmp_path, rows=("qk",), seeds=(0, 1, 2), leave_out=lambda line: (line["kind"], line["seed"]) == ("probe", 1)
    )
    (row,) = tables_of(folder).accuracy
    assert row.notes == (RowNote("seeds", "2 of 3 seeds"),)
    assert row.scores["speaker-frame"] is not None
    assert row.scores["speaker-frame"].seeds == 2


def test_the_papers_numbers_stand_beside_its_own_rows_alone(tables: Tables) -> None:
    two = {line["row"]: line["speaker_frame_paper"] for line in lines(table2_csv(tables))}
    one = {line["row"]: (line["paper_time"], line["paper_ratio"]) for line in lines(table1_csv(tables))}
    assert (two["patterned@logits"], two["patterned"], two["qk@identity"], two["mel"]) == ("0.9855", "", "", "0.0033")
    assert one["sign-alsh"] == ("268.9", "1.83174")
    assert one["patterned"] == ("", "")


def test_a_collapsed_run_is_marked_and_no_other(tables: Tables) -> None:
    assert {row.row.name for row in tables.accuracy if row.collapsed} == {"shared-qk"}


def test_table_1_has_a_line_for_each_row_and_setting_in_seconds_and_bytes(
    results: StudyResults, tables: Tables
) -> None:
    table = lines(table1_csv(tables))
    assert [line["length"] for line in table if line["row"] == "qk"] == ["500", "1000"]
    (line,) = [line for line in table if (line["row"], line["length"]) == ("sparse-strided", "500")]
    timed = results.timing["sparse-strided"].timed[0]
    assert float(line["forward_seconds"]) == pytest.approx(timed.seconds, rel=1e-5)
    assert float(line["forward_ratio_high"]) == pytest.approx(timed.ratio_high, rel=1e-5)
    assert float(line["forward_ratio_95_low"]) < timed.ratio < float(line["forward_ratio_95_high"])
    assert int(line["train_flops"]) > 1e9
    assert "T^1.5" in line["training_cost"]
    assert line["fields"] == "CV"


def test_rows_never_timed_are_in_table_1_once_with_the_reason(tables: Tables) -> None:
    table = lines(table1_csv(tables))
    assert [line["status"] for line in table if line["row"] == "simple-alsh"] == ["missing"]
    assert [line["status"] for line in table if line["row"] == "mel"] == ["not applicable"]


def test_an_untrained_copy_costs_what_its_trained_row_costs_and_is_not_listed_twice(tmp_path: Path) -> None:
    rows = ("qk", "patterned@untrained", "patterned", "uniform@untrained")
    tables = tables_of(fake_study(tmp_path, rows=rows))
    names = [row.row.name for row in tables.costs[tables.setting]]
    assert names == ["qk", "patterned", "uniform@untrained"]


def test_the_papers_length_comes_first(tmp_path: Path) -> None:
    tables = tables_of(fake_study(tmp_path, rows=("qk",), lengths=(250, 500, 1000)))
    assert list(tables.costs) == [(500, 1), (250, 1), (1000, 1)]


def test_rows_are_ordered_by_family_then_controls_then_untrained(tmp_path: Path) -> None:
    rows = ("patterned@untrained", "none", "patterned", "xbox", "mel", "shared-qk", "qk", "sparse-fixed")
    tables = tables_of(fake_study(tmp_path, rows=rows, leave_out=lambda line: True))
    names = [row.row.name for row in tables.accuracy]
    assert names == ["mel", "shared-qk", "qk", "sparse-fixed", "xbox", "patterned", "none", "patterned@untrained"]


def test_a_loss_is_below_the_linear_baseline_only_by_its_interval(tables: Tables) -> None:
    below = {row.row.name: row.below_linear for row in tables.accuracy}
    assert (below["patterned"], below["none"], below["mel"]) == ("holds", "does not hold", "not measured")


def test_the_terminal_shows_every_row(tables: Tables) -> None:
    text = terminal_table(tables)
    shown = {line.split()[0] for line in text.splitlines() if line}
    assert set(ROWS) <= shown
    assert "collapsed" in text
    assert "mean of 2 seeds" in text
    assert "dev utterances; accuracies on" in text


def test_a_row_whose_probes_are_all_at_chance_is_noted_as_collapsed(tmp_path: Path) -> None:
    def at_chance(line: dict[str, Any]) -> bool:
        if (line["kind"], line["row"]) == ("probe", "qk"):
            for task in line["outcome"]["tasks"]:
                task["low"] = task["chance"] - 0.01
        return False

    by_name = {
        row.row.name: row for row in tables_of(fake_study(tmp_path, rows=("qk", "none"), leave_out=at_chance)).accuracy
    }
    assert "no probe" in str(by_name["qk"].collapse)
    assert not by_name["none"].collapsed
