"""A mean over seeds and its interval; when two rows can be told apart; when a run collapsed."""

import math
from dataclasses import replace

import pytest

from inattention.probing.results import TaskResult
from inattention.study.estimates import accuracy_over_seeds, collapsed, compare, loss_over_seeds
from inattention.study.planning.rows import parse_study_row
from inattention.study.records import PretrainingRecord

RUN = PretrainingRecord(
    row=parse_study_row("qk"),
    seed=0,
    fingerprint="0",
    steps=10,
    parameters=1,
    attention_parameters=1,
    held_out_l1=0.6,
    mean_l1=0.8,
    seconds=1.0,
)


def result(accuracy: float, low: float, high: float, chance: float = 0.1, utterances: int = 50) -> TaskResult:
    return TaskResult(
        task="speaker-utterance", accuracy=accuracy, low=low, high=high, chance=chance, dev_accuracy=accuracy,
        best_epoch=1, epochs=1, classes=10, items={}, utterances={"test": utterances}, unlabelled={}, skipped={},
        layer_weights=None, counts=None,
    )  # fmt: skip


def score(accuracy: float, half: float = 0.05, chance: float = 0.1, utterances: int = 100) -> TaskResult:
    return result(accuracy, accuracy - half, accuracy + half, chance, utterances)


def width(scores: list[TaskResult]) -> float:
    estimate = accuracy_over_seeds(scores)
    assert estimate is not None
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low <= estimate.mean <= estimate.high
    return estimate.high - estimate.low


def test_one_seed_keeps_its_bootstrap_interval() -> None:
    estimate = accuracy_over_seeds([result(0.5, 0.41, 0.62)])
    assert estimate is not None
    assert (estimate.mean, estimate.low, estimate.high, estimate.seeds) == (0.5, 0.41, 0.62, 1)


def test_all_right_or_all_wrong_is_no_certainty() -> None:
    wrong = accuracy_over_seeds([result(0.0, 0.0, 0.0, utterances=60)])
    right = accuracy_over_seeds([result(1.0, 1.0, 1.0, utterances=8)])
    assert wrong is not None
    assert right is not None
    assert (wrong.low, wrong.high) == (0.0, pytest.approx(0.0596, abs=1e-4))
    assert (right.low, right.high) == (pytest.approx(0.6306, abs=1e-4), 1.0)


def test_seeds_that_agree_do_not_shrink_what_the_test_utterances_leave_open() -> None:
    assert width([score(0.5)] * 5) == pytest.approx(0.1, rel=0.02)


def test_two_seeds_that_differ_much_have_nearly_their_own_t_interval() -> None:
    by_hand = 2 * 12.706 * 0.1 / math.sqrt(2) / math.sqrt(2)
    assert width([score(0.45, half=1e-4), score(0.55, half=1e-4)]) == pytest.approx(min(by_hand, 1.0), rel=0.01)
    assert width([score(0.499, half=1e-6), score(0.501, half=1e-6)]) == pytest.approx(2 * 12.706 * 0.001, rel=0.01)


def test_more_seeds_of_the_same_spread_narrow_the_interval() -> None:
    assert (
        width([score(0.48), score(0.52)] * 4)
        < width([score(0.48), score(0.52)] * 2)
        < width([score(0.48), score(0.52)])
    )


def test_intervals_stay_within_what_an_accuracy_can_be() -> None:
    estimate = accuracy_over_seeds([score(0.9), score(1.0, half=0.0)])
    assert estimate is not None
    assert estimate.high == 1.0


def test_a_loss_of_one_seed_has_no_interval_and_of_several_the_seeds_t_interval() -> None:
    one = loss_over_seeds([RUN])
    several = loss_over_seeds([replace(RUN, held_out_l1=loss) for loss in (0.5, 0.6, 0.7)])
    assert one is not None
    assert several is not None
    assert (one.mean, one.low) == (0.6, None)
    assert several.low == pytest.approx(0.6 - 4.303 * 0.1 / math.sqrt(3), abs=1e-3)


def test_only_intervals_that_lie_apart_are_a_difference() -> None:
    low, middle, high = (accuracy_over_seeds([score(accuracy)]) for accuracy in (0.5, 0.58, 0.7))
    assert compare(low, middle) == compare(middle, low) == "overlapping"
    assert (compare(low, high), compare(high, low)) == ("lower", "higher")
    assert compare(low, None) is None


@pytest.mark.parametrize("loss", [0.79, 0.81, math.nan])
def test_a_loss_near_the_mean_baseline_is_a_collapse(loss: float) -> None:
    assert "held-out loss" in (collapsed(replace(RUN, held_out_l1=loss), [score(0.5)]) or "")


def test_probes_at_chance_everywhere_are_a_collapse_and_one_above_it_is_none() -> None:
    at_chance = [score(0.12), score(0.1), score(0.08)]
    assert "no probe" in (collapsed(RUN, at_chance) or "")
    assert collapsed(RUN, [*at_chance, score(0.3)]) is None


def test_an_untrained_encoder_has_not_collapsed() -> None:
    assert collapsed(replace(RUN, steps=0, held_out_l1=0.9), [score(0.1), score(0.1)]) is None
