"""Results of probing as JSON: of this version, and of those that earlier versions saved."""

import json
from dataclasses import replace
from typing import Any

import pytest

from inattention.comparison import UtteranceCounts
from inattention.probing.features import Skip
from inattention.probing.results import SKIPS_NAMED, ProbeReport, TaskResult

SPLITS = {"train": 8, "dev": 2, "test": 2}
RESULT = TaskResult(
    task="speaker-frame",
    accuracy=0.75,
    low=0.5,
    high=1.0,
    chance=0.25,
    dev_accuracy=0.7,
    best_epoch=3,
    epochs=5,
    classes=4,
    items=SPLITS,
    utterances=SPLITS,
    unlabelled={"train": 1, "dev": 0, "test": 0},
    skipped={"train": (Skip("a", "has no speaker"),), "dev": (), "test": ()},
    layer_weights=(0.25, 0.75),
    counts=UtteranceCounts(("t1", "t2"), (3, 4), (5, 5), (0, 1)),
)
REPORT = ProbeReport(
    source="mel",
    step_seconds=0.0375,
    width=480,
    layer="weighted",
    utterances=SPLITS,
    steps=SPLITS,
    skipped={"train": (), "dev": (Skip("b", "is silent"),), "test": ()},
    unlabelled={"train": 0, "dev": 0, "test": 0},
    tasks=(RESULT,),
)


def as_json(report: ProbeReport) -> dict[str, Any]:
    return json.loads(json.dumps(report.to_dict()))


def test_a_report_is_read_back_as_it_was_written() -> None:
    assert ProbeReport.from_dict(as_json(REPORT)) == REPORT
    assert REPORT["speaker-frame"] is RESULT


def test_results_saved_before_counts_and_unlabelled_utterances_existed_are_read() -> None:
    old = as_json(REPORT)
    del old["unlabelled"], old["tasks"][0]["counts"]
    report = ProbeReport.from_dict(old)
    assert report.unlabelled == {}
    assert report["speaker-frame"] == replace(RESULT, counts=None)
    assert report["speaker-frame"].to_dict()["counts"] is None


def test_all_skipped_utterances_are_counted_and_the_first_ones_named() -> None:
    skips = tuple(Skip(str(number), "is silent") for number in range(SKIPS_NAMED + 7))
    data = as_json(replace(REPORT, skipped={"train": skips}))
    assert data["skipped"]["train"]["count"] == SKIPS_NAMED + 7
    assert len(data["skipped"]["train"]["named"]) == SKIPS_NAMED
    again = ProbeReport.from_dict(data)
    assert again.skipped["train"] == skips[:SKIPS_NAMED]
    assert again.unnamed_skips == {"train": 7}
    assert as_json(again) == data


def test_incomplete_results_are_refused_and_what_is_missing_named() -> None:
    data = as_json(REPORT)
    del data["tasks"][0]["counts"]["items"]
    with pytest.raises(ValueError, match="counts of test utterances are incomplete: items is missing"):
        ProbeReport.from_dict(data)
    del data["tasks"][0]["accuracy"], data["tasks"][0]["low"]
    with pytest.raises(ValueError, match="result of speaker-frame is incomplete: accuracy, low is missing"):
        ProbeReport.from_dict(data)
    del data["width"]
    with pytest.raises(ValueError, match="report is incomplete: width is missing"):
        ProbeReport.from_dict(data)
