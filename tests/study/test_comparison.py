"""Records of a study in the comparison room: what is paired, what is widened, and what is not compared."""

import math
from pathlib import Path
from typing import Any

import pytest

from inattention.comparison import Ratio
from inattention.study import store
from inattention.study.comparison import RowComparison, measured_rows, ratio_to_reference
from study.fake import fake_study, put_accuracy, rewrite

PHONE = "phone-1-hidden"


def comparison_of(folder: Path) -> RowComparison:
    return RowComparison(measured_rows(store.load(folder)))


def at(accuracies: dict[str, float], **options: Any) -> Any:
    return lambda line: put_accuracy(line, lambda task: accuracies.get(line["row"], 0.5), **options)


def test_a_difference_is_paired_over_utterances_and_much_narrower_than_its_rows(tmp_path: Path) -> None:
    def change(line: dict[str, Any]) -> None:
        if line["kind"] == "probe":
            better = line["row"] == "patterned"
            for task in line["outcome"]["tasks"]:
                correct = [20 + number + better * (4 + number % 3) for number in range(60)]
                task["counts"] |= {"correct": correct, "items": [100] * 60}

    compare = comparison_of(rewrite(fake_study(tmp_path, rows=("qk", "patterned")), change))
    found = compare.difference(["patterned"], ["qk"], [PHONE])
    own = compare.accuracy("qk", PHONE)
    assert found is not None
    assert own is not None
    assert own.low is not None
    assert own.high is not None
    assert (found.estimate, found.verdict) == (pytest.approx(0.05, abs=1e-6), "holds")
    assert own.high - own.low > 0.05 + (found.high - found.low)


def test_a_row_with_one_seed_is_widened_where_other_rows_have_several(tmp_path: Path) -> None:
    def change(line: dict[str, Any]) -> None:
        put_accuracy(line, lambda task: 0.5 + (0.08 * line["seed"] if line["row"] == "qk" else 0.0))

    folder = fake_study(tmp_path / "repeated", rows=("mel", "qk", "none"), seeds=(0, 1), repeated=("qk",))
    compare = comparison_of(rewrite(folder, change))
    none, mel = compare.accuracy("none", PHONE), compare.accuracy("mel", PHONE)
    assert none is not None
    assert mel is not None
    assert (none.widened, none.utterances_only) == (True, False)
    assert (mel.widened, mel.utterances_only) == (False, False)  # features have no training that could differ
    assert compare.seed_deviation(PHONE) == pytest.approx(0.08 / math.sqrt(2))

    alone = comparison_of(fake_study(tmp_path / "alone", rows=("mel", "qk", "none"))).accuracy("none", PHONE)
    assert alone is not None
    assert (alone.widened, alone.utterances_only) == (False, True)


def test_a_collapsed_row_has_an_accuracy_and_no_difference(tmp_path: Path) -> None:
    compare = comparison_of(fake_study(tmp_path, rows=("qk", "shared-qk"), seeds=(0, 1)))
    assert compare.accuracy("shared-qk", PHONE) is not None
    assert compare.difference(["qk"], ["shared-qk"], [PHONE]) is None
    assert compare.loss_difference("qk", "shared-qk") is None


def test_without_counts_accuracies_keep_their_intervals_and_no_difference_is_measured(tmp_path: Path) -> None:
    def forget(line: dict[str, Any]) -> None:
        put_accuracy(line, lambda task: 0.5)
        for task in line["outcome"]["tasks"] if line["kind"] == "probe" else ():
            del task["counts"]

    compare = comparison_of(rewrite(fake_study(tmp_path, rows=("qk", "patterned")), forget))
    found = compare.accuracy("qk", PHONE)
    assert found is not None
    assert (found.mean, found.low, found.high, found.utterances_only) == (0.5, 0.45, 0.55, True)
    assert compare.difference(["patterned"], ["qk"], [PHONE]) is None
    assert compare.unpaired == ["qk", "patterned"]


def test_a_row_whose_seeds_were_partly_rerun_for_counts_is_compared_on_those_that_were(tmp_path: Path) -> None:
    def forget(line: dict[str, Any]) -> None:
        if line["kind"] == "probe" and line["seed"] == 1:
            for task in line["outcome"]["tasks"]:
                del task["counts"]

    folder = fake_study(tmp_path, rows=("mel", "qk", "patterned"), seeds=(0, 1, 2))
    whole, partly = comparison_of(folder), comparison_of(rewrite(folder, forget))
    for compare, seeds in ((whole, 3), (partly, 2)):
        found = compare.difference(["patterned"], ["qk"], [PHONE])
        assert found is not None
        assert found.seeds == seeds


def test_a_difference_between_tasks_is_one_contrast(tmp_path: Path) -> None:
    def change(line: dict[str, Any]) -> None:
        put_accuracy(line, lambda task: 0.7 if (line["row"], task) == ("patterned", PHONE) else 0.5)

    compare = comparison_of(rewrite(fake_study(tmp_path, rows=("qk", "patterned")), change))
    found = compare.difference_between_tasks(["patterned"], ["qk"], [PHONE], ["speaker-frame"])
    assert found is not None
    assert found.estimate == pytest.approx(0.2)
    assert compare.difference_between_tasks(["patterned"], ["qk"], [PHONE], [PHONE]) is None
    assert compare.difference_between_tasks(["patterned"], ["none"], [PHONE], ["speaker-frame"]) is None


def test_losses_have_an_interval_once_any_row_has_several_seeds(tmp_path: Path) -> None:
    one = comparison_of(fake_study(tmp_path / "one", rows=("qk", "patterned")))
    assert one.loss_difference("patterned", "qk") is None
    assert one.loss_difference("patterned", 0.8) is None
    loss = one.loss("qk")
    assert loss is not None
    assert loss.low is None

    two = comparison_of(fake_study(tmp_path / "two", rows=("qk", "patterned"), seeds=(0, 1)))
    found = two.loss_difference("patterned", 0.8)
    assert found is not None
    assert found.verdict == "does not hold"
    loss = two.loss("qk")
    assert loss is not None
    assert loss.low is not None
    assert loss.low < loss.mean


def test_a_ratio_is_paired_by_round_and_not_over_rounds_of_another_run(tmp_path: Path) -> None:
    timing = store.load(fake_study(tmp_path, rows=("qk", "patterned"))).timing
    row = timing["patterned"].timed[0]
    found = ratio_to_reference(row, timing["qk"].timed)
    assert isinstance(found, Ratio)
    assert found.ratio == pytest.approx(row.ratio)
    assert found.below(0.85) == "holds"
    later = [
        type(it)(**{**vars(it), "round_seconds": tuple(1.1 * s for s in it.round_seconds)}) for it in timing["qk"].timed
    ]
    assert ratio_to_reference(row, later) is None
    assert ratio_to_reference(row, ()) is None
