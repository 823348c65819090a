"""Stages of a conversion: which one is kept, when it ends, and what is recorded."""

import pytest

from inattention.conversion.frontier.stages import Stage, ended, joined_curve, kept_stage, stage_records
from inattention.conversion.trained.config import Bound, TrainedConversionConfig, parse_bound

WER = Bound("wer", 0.01)


def stage(number: int, rate: float, error: float = 0.1) -> Stage:
    words = {"student": {"word_error_rate": rate}, "teacher": {"word_error_rate": 0.2}}
    curve = [{"step": 5, "seconds": 2.0, "held_out": error + 0.1}, {"step": 10, "seconds": 4.0, "held_out": error}]
    return Stage(number, 4 - number, 10, 4.0, [0.3, error + 0.2], [0.2, error], curve, words)


def stages(*rates: float) -> list[Stage]:
    return [stage(number, rate) for number, rate in enumerate(rates, 1)]


def test_the_last_stage_within_the_bound_is_kept_whatever_came_between() -> None:
    found = kept_stage(stages(0.2, 0.3, 0.21, 0.22), WER)
    assert found is not None
    assert found.number == 3


def test_an_increase_that_equals_the_bound_is_within_it() -> None:
    assert stage(1, 0.21).within(WER)
    assert not stage(1, 0.2101).within(WER)
    assert stage(1, 0.9, error=0.2).within(Bound("error", 0.2))


def test_two_stages_in_a_row_beyond_the_bound_end_a_conversion_and_one_does_not() -> None:
    assert not ended(stages(0.3), WER)
    assert not ended(stages(0.3, 0.2, 0.3), WER)
    assert ended(stages(0.2, 0.3, 0.3), WER)
    assert not ended(stages(0.3, 0.3), None)


def test_no_stage_is_kept_if_none_is_within_the_bound_and_the_last_one_without_a_bound() -> None:
    assert kept_stage(stages(0.3, 0.3), WER) is None
    last = kept_stage(stages(0.3, 0.3), None)
    assert last is not None
    assert last.number == 2


def test_the_joined_curve_counts_steps_and_seconds_over_all_stages() -> None:
    points = joined_curve(stages(0.2, 0.2))
    assert [point["step"] for point in points] == [0, 5, 10, 10, 15, 20]
    assert [point["seconds"] for point in points] == [0, 2, 4, 4, 6, 8]
    assert [point["held_out"] for point in points] == pytest.approx([0.3, 0.2, 0.1] * 2)


def test_records_name_the_replaced_layers_and_one_kept_stage() -> None:
    records = stage_records(stages(0.2, 0.21, 0.3), WER, {3: 0.5}, {})
    assert [it["layers"] for it in records] == [[3], [2, 3], [1, 2, 3]]
    assert [it["within"] for it in records] == [True, True, False]
    assert [it["kept"] for it in records] == [False, True, False]
    assert [it["input_dependence"] for it in records] == [0.5, None, None]


def test_a_stage_can_be_read_from_its_data() -> None:
    assert Stage(**stage(1, 0.2).to_dict()) == stage(1, 0.2)


@pytest.mark.parametrize("text", ["wer=+0.01", "wer=0.01", " wer = +.01 "])
def test_bounds_are_parsed(text: str) -> None:
    assert parse_bound(text) == WER


@pytest.mark.parametrize(
    "text", ["wer", "wer=", "wer=-0.1", "wer=nan", "error=0", "error=inf", "loss=1", "0.1", "=", "wer=1%"]
)
def test_other_bounds_are_refused_with_the_forms_that_are_known(text: str) -> None:
    with pytest.raises(ValueError, match=r"until must be wer=\+0.01"):
        TrainedConversionConfig(until=text)


def test_a_bound_on_words_needs_lines() -> None:
    with pytest.raises(ValueError, match="until_lines must be at least 1"):
        TrainedConversionConfig(until="wer=+0.01", until_lines=0)


def test_conversions_of_all_layers_together_keep_the_identity_of_earlier_versions() -> None:
    names = set(TrainedConversionConfig().identity())
    assert not names & {"order", "until", "until_lines", "head_report"}
    assert TrainedConversionConfig(order="last-first").identity()["until_lines"] == 100
