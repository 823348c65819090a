"""The record of a conversion: read back as written, by this and earlier versions, and compared by the one rule."""

import json
from dataclasses import replace

import pytest

from inattention.comparison import UtteranceCounts
from inattention.conversion.derive import MapErrors
from inattention.conversion.report import ConversionReport, ForwardTime, HiddenStateError, ProbeComparison
from inattention.probing.results import ProbeReport, TaskResult

UTTERANCES = tuple(f"utterance-{number}" for number in range(40))
RIGHT = {"untrained": 2, "teacher": 8, "converted": 5, "distilled": 8}  # of 10 items in every other utterance


def probed(right: int, *, counted: bool = True, further: int = 0) -> ProbeReport:
    """Return the report of a probe with 5 correct items in every other utterance, and `right` ones in the others."""
    correct = [right if number % 2 else 5 for number in range(len(UTTERANCES))]
    correct[0] += further
    items = (10,) * len(correct)
    task = TaskResult(
        task="phone-1-hidden",
        accuracy=sum(correct) / sum(items),
        low=0.0,
        high=1.0,
        chance=0.1,
        dev_accuracy=0.5,
        best_epoch=1,
        epochs=2,
        classes=10,
        items={},
        utterances={},
        unlabelled={},
        skipped={},
        layer_weights=None,
        counts=UtteranceCounts(UTTERANCES, tuple(correct), items) if counted else None,
    )
    return ProbeReport("made", 0.0375, 24, "last", {}, {}, {}, {}, (task,))


def comparison(**options: bool) -> ProbeComparison:
    return ProbeComparison.of({name: probed(right, **options) for name, right in RIGHT.items()}, draws=200)


@pytest.fixture(scope="module")
def report() -> ConversionReport:
    before, after = [2.0, 2.2, 2.1], [1.0, 1.1, 1.04]
    return ConversionReport(
        input_independent_already=False,
        maps=MapErrors(
            steps=20,
            step_seconds=0.0375,
            utterances={"fit": 8, "choice": 2, "errors": 2},
            solver_gap=1e-5,
            heads_where_least_squares_is_better=1,
            heads=2,
            mean_error={"mean": 0.2, "least-squares": 0.1, "uniform": 0.5},
            errors={"mean": [[0.2, 0.2]]},
        ),
        hidden_state_error=HiddenStateError(0.5, 0.2),
        probes=comparison(),
        time=ForwardTime.measured(
            before, after, steps=48, weight_bytes={"before": 2, "after": 1}, machine={"cores": 2}
        ),
        parameters={"before": {"all": 9, "attention": 4}, "after": {"all": 7, "attention": 2}},
        provenance={},
    )


def test_a_report_is_read_back_as_it_was_written(report: ConversionReport) -> None:
    written = json.loads(json.dumps(report.to_dict()))
    assert json.loads(json.dumps(ConversionReport.from_dict(written).to_dict())) == written
    assert ConversionReport.from_dict(written).summary() == report.summary()


def test_a_record_of_an_earlier_version_is_read(report: ConversionReport) -> None:
    old = json.loads(json.dumps(report.to_dict()))
    del old["differences_from_teacher"], old["time"]["interval"]
    text = ConversionReport.from_dict(old).summary()
    assert "quartiles 0.50 to 0.50" in text
    assert "distilled" in text


def test_the_share_that_is_kept_is_of_what_training_gained() -> None:
    found = comparison()
    assert found.kept["converted"]["phone-1-hidden"] == pytest.approx(0.5)
    assert found.kept["distilled"]["phone-1-hidden"] == pytest.approx(1.0)


def test_differences_from_the_teacher_are_paired_over_utterances() -> None:
    found = comparison().differences
    assert found["converted"]["phone-1-hidden"].estimate == pytest.approx(-0.15)
    assert found["converted"]["phone-1-hidden"].high < 0
    assert found["distilled"]["phone-1-hidden"].estimate == 0
    assert "-" not in comparison().table().splitlines()[1].split()


def test_probes_without_counts_have_shares_and_no_intervals() -> None:
    found = comparison(counted=False)
    assert found.differences == {}
    assert found.kept["converted"]["phone-1-hidden"] == pytest.approx(0.5)
    assert found.table().splitlines()[1].split()[-3:] == ["-", "0.50", "1.00"]


def test_no_share_is_shown_where_the_gain_of_training_cannot_be_told_from_0() -> None:
    reports = {name: probed(5) for name in RIGHT}
    reports["teacher"] = probed(5, further=1)
    found = ProbeComparison.of(reports, draws=200)
    assert found.kept["distilled"]["phone-1-hidden"] == 0
    assert found.table().splitlines()[1].split()[-2:] == ["-", "-"]


def test_a_single_round_has_no_interval() -> None:
    time = ForwardTime.measured([2.0], [1.0], steps=48, weight_bytes={}, machine={})
    assert time.interval is None
    assert "ratio 0.50, quartiles 0.50 to 0.50" in str(time)
    assert "95 % interval 0.40 to 0.60" in str(replace(time, interval=(0.4, 0.6)))


def test_an_encoder_that_needs_no_conversion_has_a_record_of_two_fields() -> None:
    report = ConversionReport(input_independent_already=True, provenance={"python": "3"})
    assert report.to_dict() == {"input_independent_already": True, "provenance": {"python": "3"}}
    assert ConversionReport.from_dict(report.to_dict()) == report
