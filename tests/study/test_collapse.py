"""When a run counts as collapsed."""

import math
from dataclasses import replace

import pytest

from inattention.probing.results import TaskResult
from inattention.study import store
from inattention.study.collapse import collapse_reason
from inattention.study.records import PretrainingRecord
from study.fake import fake_study


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> PretrainingRecord:
    results = store.load(fake_study(tmp_path_factory.mktemp("study"), rows=("qk",)))
    return replace(results.pretraining["qk", 0], held_out_l1=0.6, mean_l1=0.8)


@pytest.fixture(scope="module")
def score(tmp_path_factory: pytest.TempPathFactory) -> TaskResult:
    results = store.load(fake_study(tmp_path_factory.mktemp("study"), rows=("qk",)))
    return replace(results.probes["qk", 0].tasks["phone-1-hidden"], chance=0.1)


@pytest.mark.parametrize("loss", [0.79, 0.81, math.nan])
def test_a_loss_near_the_mean_baseline_is_a_collapse(run: PretrainingRecord, loss: float) -> None:
    assert "held-out loss" in (collapse_reason(replace(run, held_out_l1=loss), []) or "")


def test_probes_at_chance_everywhere_are_a_collapse_and_one_above_it_is_none(
    run: PretrainingRecord, score: TaskResult
) -> None:
    at_chance = [replace(score, low=low) for low in (0.07, 0.05, 0.1)]
    assert "no probe" in (collapse_reason(run, at_chance) or "")
    assert collapse_reason(run, [*at_chance, replace(score, low=0.2)]) is None


def test_an_untrained_encoder_has_not_collapsed(run: PretrainingRecord, score: TaskResult) -> None:
    assert collapse_reason(replace(run, steps=0, held_out_l1=0.9), [replace(score, low=0.0)] * 2) is None
