"""The linear baseline: how well masked frames are predicted from their neighbours."""

from dataclasses import replace

import pytest

from inattention.pretraining.config import MaskingConfig
from inattention.pretraining.held_out import measure_held_out
from inattention.pretraining.linear_baseline import LinearBaseline, NeighbourRegression, measure_linear_baseline
from inattention.pretraining.manifest import Run


def test_the_linear_baseline_is_near_zero_on_the_leaking_task_only(run: Run) -> None:
    small = replace(run.model, features=replace(run.model.features, mels=4))
    leaking = MaskingConfig(span_steps=1, start_every=3, before_deltas=False)
    relative = {}
    for name, masking in (("leaking", leaking), ("default", MaskingConfig())):
        it = replace(run, model=small, training=replace(run.training, masking=masking))
        relative[name] = measure_linear_baseline(it).l1 / measure_held_out(it, it.fresh_model()).mean_l1
    assert relative["leaking"] < 0.15
    assert relative["default"] > 2 * relative["leaking"]


def test_the_linear_baseline_is_read_back_from_its_json() -> None:
    baseline = LinearBaseline(0.25)
    assert baseline.to_dict() == {"neighbour_l1": 0.25}
    assert LinearBaseline.from_dict(baseline.to_dict()) == baseline
    with pytest.raises(ValueError, match="'neighbour_l1' is missing"):
        LinearBaseline.from_dict({})


def test_a_baseline_without_masked_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="no masked frames"):
        NeighbourRegression(groups=1).fit([])
