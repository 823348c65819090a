"""Callbacks: the state that checkpoints hold."""

from pathlib import Path

from inattention.pretraining.callbacks import Curve


def test_the_curve_is_stored_in_checkpoints_under_the_name_that_saved_runs_use(tmp_path: Path) -> None:
    curve = Curve(tmp_path)
    assert curve.state_key == "Curve"
    state = {"points": [{"step": 5, "held_out_l1": 0.5}], "seconds": 2.0, "cpu_seconds": 1.0}
    curve.load_state_dict(state)
    assert curve.state_dict() == state
