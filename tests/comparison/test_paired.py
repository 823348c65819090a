import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from inattention.comparison import Difference, Interval, PairedBootstrap, UtteranceCounts
from inattention.comparison.simulation import TASK, Simulation

IDS = tuple(f"utterance-{index:03}" for index in range(80))
TASKS = ("phones", "speakers")


def counts(rate: float, seed: int, *, ids: tuple[str, ...] = IDS, difficulty: float = 0.2) -> UtteranceCounts:
    """Utterances are as difficult for one probe as for the next; `seed` moves single items alone."""
    rng = np.random.default_rng(0)
    hard = {it: rng.uniform(-difficulty, difficulty) for it in IDS}
    own = np.random.default_rng(1 + seed)
    correct = {it: int(own.binomial(20, rate + hard[it])) for it in IDS}
    return UtteranceCounts(ids, tuple(correct[it] for it in ids), (20,) * len(ids))


def studies(**rates: list[float]) -> dict[tuple[str, int], dict[str, UtteranceCounts]]:
    """Each row has one rate for each seed, on all tasks."""
    return {
        (row, seed): {task: counts(rate, 100 * number + 10 * seed + index) for index, task in enumerate(TASKS)}
        for number, (row, its) in enumerate(rates.items())
        for seed, rate in enumerate(its)
    }


def perfect(right: int, ids: tuple[str, ...] = IDS) -> dict[str, UtteranceCounts]:
    return {"phones": UtteranceCounts(ids, (right,) * len(ids), (20,) * len(ids))}


def difference(
    compare: PairedBootstrap, ones: Sequence[str], others: Sequence[str], tasks: Sequence[str]
) -> Difference:
    found = compare.difference(ones, others, tasks)
    assert found is not None
    return found


def accuracy(compare: PairedBootstrap, row: str, task: str) -> Interval:
    found = compare.accuracy(row, task)
    assert found is not None
    return found


def width(found: Interval) -> float:
    return found.high - found.low


def test_shared_difficulty_of_utterances_cancels_in_a_difference():
    compare = PairedBootstrap(studies(one=[0.6], other=[0.5]))
    apart = math.hypot(*(width(accuracy(compare, row, "phones")) for row in ("one", "other")))
    assert width(difference(compare, ["one"], ["other"], ["phones"])) < 0.7 * apart


def test_a_probe_that_skipped_utterances_is_compared_on_those_that_both_have():
    study = studies(one=[0.6], other=[0.5])
    whole = difference(PairedBootstrap(study), ["one"], ["other"], ["phones"])
    study["other", 0] = {"phones": counts(0.5, 100, ids=IDS[3:])}
    study["one", 0] = {"phones": counts(0.6, 0, ids=IDS[:-2])}
    some = difference(PairedBootstrap(study), ["one"], ["other"], ["phones"])
    assert (whole.utterances, some.utterances) == (80, 75)
    assert width(some) == pytest.approx(width(whole), rel=0.1)
    compare = PairedBootstrap(
        {("one", 0): {"phones": counts(0.5, 0)}, ("same", 0): {"phones": counts(0.5, 0, ids=IDS[9:])}}
    )
    assert difference(compare, ["one"], ["same"], ["phones"]).estimate == 0


def test_studies_without_common_utterances_are_compared_unpaired():
    study = studies(one=[0.6])
    renamed = counts(0.5, 7)
    study["elsewhere", 0] = {"phones": UtteranceCounts(tuple(f"b-{it}" for it in IDS), renamed.correct, renamed.items)}
    compare = PairedBootstrap(study)
    apart = math.hypot(*(width(accuracy(compare, row, "phones")) for row in ("one", "elsewhere")))
    assert width(difference(compare, ["one"], ["elsewhere"], ["phones"])) == pytest.approx(apart, rel=0.15)


def test_seeds_that_differ_widen_the_interval():
    steady = PairedBootstrap(studies(one=[0.6, 0.6, 0.6], other=[0.5, 0.5, 0.5]))
    unsteady = PairedBootstrap(studies(one=[0.5, 0.6, 0.7], other=[0.5, 0.5, 0.5]))
    assert difference(steady, ["one"], ["other"], TASKS).verdict == "holds"
    assert difference(unsteady, ["one"], ["other"], TASKS).verdict == "cannot be told"


def test_a_row_with_one_seed_is_widened_by_the_seeds_of_others():
    alone = difference(PairedBootstrap(studies(one=[0.6], other=[0.5])), ["one"], ["other"], ["phones"])
    assert (alone.utterances_only, alone.widened, alone.seeds) == (True, False, 1)
    compare = PairedBootstrap(studies(one=[0.6], other=[0.5], several=[0.5, 0.55, 0.6]))
    found = difference(compare, ["one"], ["other"], ["phones"])
    assert (found.utterances_only, found.widened, found.seeds) == (False, True, 1)
    assert width(found) > 1.5 * width(alone)


def test_features_have_no_variance_between_seeds():
    rates = studies(mel=[0.6], several=[0.5, 0.55, 0.6])
    found = accuracy(PairedBootstrap(rates, deterministic={"mel"}), "mel", "phones")
    assert (found.widened, found.utterances_only) == (False, False)
    assert width(found) < width(accuracy(PairedBootstrap(rates), "mel", "phones"))


@pytest.mark.parametrize(("right", "expected"), [(20, (1 - 0.0451, 1)), (0, (0, 0.0451))])
def test_an_accuracy_at_the_end_of_the_scale_has_an_open_interval(right, expected):
    found = accuracy(PairedBootstrap({("row", 0): perfect(right)}), "row", "phones")
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-4)


def test_two_perfect_rows_cannot_be_told_apart():
    found = difference(PairedBootstrap({("one", 0): perfect(20), ("other", 0): perfect(20)}), ["one"], ["other"], TASKS)
    assert (found.estimate, found.low, found.high) == pytest.approx((0, -0.0451, 0.0451), abs=1e-4)
    assert found.verdict == "cannot be told"


def test_a_difference_is_the_mean_over_rows_and_tasks_of_what_was_measured():
    study = studies(a=[0.6], b=[0.5], c=[0.4])
    del study["b", 0]["speakers"]
    compare = PairedBootstrap(study)
    assert compare.accuracy("b", "speakers") is None
    a, b, c = (accuracy(compare, row, "phones").estimate for row in "abc")
    assert difference(compare, ["a", "b"], ["c"], ["phones"]).estimate == pytest.approx((a + b) / 2 - c)
    phones, speakers = (difference(compare, ["a"], ["c"], [task]).estimate for task in TASKS)
    assert difference(compare, ["a"], ["c"], TASKS).estimate == pytest.approx((phones + speakers) / 2)
    assert compare.difference(["b"], ["c"], ["speakers"]) is None
    assert compare.difference(["absent"], ["c"], TASKS) is None
    more = {("a", "phones"): 1, ("c", "phones"): -1, ("a", "speakers"): -1, ("c", "speakers"): 1}
    assert compare.contrast(more).estimate == pytest.approx(phones - speakers)
    with pytest.raises(ValueError, match="'b' has no seed that was probed on speakers"):
        compare.contrast({("b", "speakers"): 1.0})
    with pytest.raises(ValueError, match="a weight other than 0"):
        compare.contrast({("b", "phones"): 0.0})


def test_a_mean_over_classes_weighs_rare_classes_as_much():
    one_class_is_right = UtteranceCounts(IDS, (20,) * 20 + (0,) * 60, (20,) * 80, (0,) * 20 + (1,) * 60)
    found = accuracy(PairedBootstrap({("row", 0): {"speakers": one_class_is_right}}), "row", "speakers")
    assert found.estimate == 0.5


def test_reports_how_many_utterances_would_decide():
    compare = PairedBootstrap(studies(one=[0.51], other=[0.50]), deterministic={"one", "other"})
    found = difference(compare, ["one"], ["other"], ["phones"])
    needed, components = found.needed, found.components
    assert found.verdict == "cannot be told"
    assert needed
    assert needed.utterances
    assert components
    assert components.with_utterances(needed.utterances).half_width < abs(found.estimate)
    assert components.with_utterances(needed.utterances - 1).half_width >= abs(found.estimate)
    assert needed.seeds is None
    assert found.in_points().needed == needed
    decided = difference(PairedBootstrap(studies(one=[0.75], other=[0.5])), ["one"], ["other"], ["phones"])
    assert decided.needed is None


def test_reports_how_many_seeds_would_decide():
    compare = PairedBootstrap(studies(one=[0.5, 0.6, 0.7], other=[0.5, 0.5, 0.5]))
    needed = difference(compare, ["one"], ["other"], ["phones"]).needed
    assert needed
    assert needed.seeds
    assert needed.utterances is None
    assert 3 < needed.seeds < 30
    assert str(needed) == f"about {needed.seeds} seeds would decide it"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((("a", "b"), (1,), (1, 1)), "correct has 1 numbers for 2 utterances"),
        ((("a", "b"), (1, 1), (1, 1), (0,)), "classes has 1 numbers for 2 utterances"),
        ((("a", "a"), (1, 1), (1, 1)), "'a' is counted twice"),
        ((("a",), (3,), (2,)), "'a': 3 of 2 items are correct"),
    ],
)
def test_counts_that_make_no_sense_are_refused(fields: Any, message: str):
    with pytest.raises(ValueError, match=message):
        UtteranceCounts(*fields)


def test_features_with_two_seeds_borrow_from_each_other_or_else_from_trained_rows():
    rates = studies(mel=[0.46, 0.54], one=[0.60, 0.62], other=[0.58, 0.57])

    def of_mel(counts: dict[tuple[str, int], dict[str, UtteranceCounts]]) -> float:
        return width(accuracy(PairedBootstrap(counts, deterministic={"mel", "linear", "untrained"}), "mel", "phones"))

    alone = of_mel({key: it for key, it in rates.items() if key[0] == "mel"})
    with_trained = of_mel(rates)
    with_features = of_mel(studies(mel=[0.46, 0.54], linear=[0.52, 0.52], untrained=[0.48, 0.47]))
    assert with_trained < 0.6 * alone
    assert with_features < 0.6 * alone


def test_a_pool_without_training_does_not_limit_the_freedom_of_trained_rows():
    rates = studies(one=[0.60, 0.62], other=[0.55, 0.57], third=[0.50, 0.53], mel=[0.40, 0.40], linear=[0.41, 0.41])
    compare = PairedBootstrap(rates, deterministic={"mel", "linear"})
    found = difference(compare, ["one"], ["mel"], ["phones"])
    apart = math.hypot(width(accuracy(compare, "one", "phones")), width(accuracy(compare, "mel", "phones")))
    assert width(found) < apart


def test_features_with_two_seeds_are_covered_like_trained_rows():
    deviations = (0.004, 0.02, 0.02, 0.02)
    simulation = Simulation((2, 2, 2, 2), (0.5,) * 4, utterances=40, seed_deviation=deviations, difficulty=0.2)
    mel, trained, *_ = simulation.names
    rng, covered, studies_ = np.random.default_rng(3), 0, 300
    for _ in range(studies_):
        compare = PairedBootstrap(simulation.study(rng), deterministic={mel}, draws=100)
        found = difference(compare, [mel], [trained], [TASK])
        covered += found.low <= 0 <= found.high
    assert covered / studies_ > 0.92


def test_two_seeds_that_happen_to_agree_decide_nothing_about_rows_with_one():
    compare = PairedBootstrap(studies(agreeing=[0.5, 0.5], one=[0.55], other=[0.5]))
    found = difference(compare, ["one"], ["other"], ["phones"])
    assert found.widened
    assert found.verdict == "cannot be told"
    assert width(found) > 0.2
    assert found.needed is not None
    assert found.needed.seeds is not None
