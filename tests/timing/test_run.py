"""A whole timing run on a small encoder: settings, ratios, tables and files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from inattention.attention import mechanisms
from inattention.cli.time import TIMING_FILE, run_time
from inattention.timing.config import TimingConfig
from inattention.timing.measure import ratio_quartiles
from inattention.timing.report import TimingReport
from inattention.timing.run import measure_rows, rows_of

SMALL = TimingConfig(
    rows=("none", "patterned@logits"),
    width=24,
    heads=12,
    layers=2,
    feed_forward=48,
    lengths=(16, 40),
    batch_sizes=(1, 2),
    exponent_lengths=(16, 32),
    threads=1,
    rounds=3,
    seconds=0,
)


@pytest.fixture(scope="module")
def report() -> TimingReport:
    return measure_rows(SMALL, progress=False)


def test_every_row_is_measured_in_every_setting(report: TimingReport) -> None:
    settings = {(row.length, row.batch, row.mode) for row in report.rows}
    assert settings == {(t, b, mode) for t in (16, 40) for b in (1, 2) for mode in ("forward", "train")}
    for row in ("qk", "none", "patterned@logits"):
        assert sum(it.row == row for it in report.rows) == len(settings) == len(report.products)
    assert [it.row for it in report.exponents] == ["qk", "none", "patterned@logits"]


def test_ratios_are_to_qk_in_the_same_round(report: TimingReport) -> None:
    for it in report.rows:
        reference = report.find("qk", length=it.length, batch=it.batch, mode=it.mode)
        assert reference is not None
        assert len(it.round_seconds) == len(reference.round_seconds) == SMALL.rounds
        assert (it.ratio, it.ratio_low, it.ratio_high) == ratio_quartiles(it.round_seconds, reference.round_seconds)
        assert it.seconds_low <= it.seconds <= it.seconds_high
    assert {it.ratio for it in report.rows if it.row == "qk"} == {1.0}


def test_operations_and_memory_grow_with_batch_and_mode(report: TimingReport) -> None:
    def find(row: str, **setting):
        found = report.find(row, **setting)
        assert found is not None
        return found

    for row in ("qk", "none", "patterned@logits"):
        once, twice = find(row, length=40), find(row, length=40, batch=2)
        assert twice.flops == 2 * once.flops
        assert twice.peak_bytes > once.peak_bytes
        training = find(row, length=40, mode="train")
        assert training.flops > 2 * once.flops
        assert training.peak_bytes > once.peak_bytes + once.weight_bytes  # the gradients alone are as much
    assert find("none", length=40).flops < find("patterned@logits", length=40).flops < find("qk", length=40).flops
    assert report.find("xbox", length=40) is None


def test_a_table_has_a_line_for_each_row(report: TimingReport) -> None:
    first, *tables = report.table().split("\n\n")
    assert torch.__version__ in first
    assert len(tables) == len(report.products) + 1
    for table, product in zip(tables, report.products, strict=False):
        head, columns, *lines = table.splitlines()
        assert head.startswith(f"{product.mode}, {product.length} frames, batch {product.batch}, 3 rounds")
        assert f"{product.gflops_per_second:.1f} GFLOP/s" in head
        assert "x qk" in columns
        assert sorted(line.split()[0] for line in lines) == ["none", "patterned@logits", "qk"]
        assert len({len(line) for line in [columns, *lines]}) == 1
    assert tables[-1].startswith("time of the mixing alone")


def test_the_report_is_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = replace(SMALL, rows=("none",), lengths=(16,), batch_sizes=(1,), modes=("forward",), exponent_lengths=())
    report = run_time(config, tmp_path / "new" / "timing")
    printed = capsys.readouterr().out
    assert report.table() in printed
    file = tmp_path / "new" / "timing" / TIMING_FILE
    assert str(file) in printed
    written = json.loads(file.read_text())
    assert TimingConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in written["config"].items()}) == config
    assert written["machine"]["threads"] == 1
    assert written["machine"]["cpu"]
    assert written["versions"]["torch"] == torch.__version__
    assert [row["row"] for row in written["rows"]] == ["qk", "none"]
    assert written["provenance"]["packages"]["torch"]
    assert [path.name for path in file.parent.iterdir()] == [TIMING_FILE]


def test_all_mechanisms_are_measured_if_none_is_named() -> None:
    rows = rows_of(replace(SMALL, rows=()))
    assert rows[0].name == "qk"
    assert sorted(row.name for row in rows) == list(mechanisms())


def test_a_row_named_twice_is_measured_once() -> None:
    rows = rows_of(replace(SMALL, rows=("patterned@logits", "patterned@init=logits", "qk")))
    assert [row.name for row in rows] == ["qk", "patterned@logits"]


def test_the_number_of_threads_is_restored() -> None:
    measure_rows(
        replace(SMALL, rows=("none",), lengths=(16,), batch_sizes=(1,), modes=(), exponent_lengths=(), threads=2),
        progress=False,
    )
    assert torch.get_num_threads() == 1


def test_an_unknown_row_is_refused_before_anything_is_measured() -> None:
    with pytest.raises(ValueError, match="perhaps 'patterned'"):
        measure_rows(replace(SMALL, rows=("patternd",)), progress=False)
