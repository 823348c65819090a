"""Settings of pre-training: which values are refused, and which settings identify a run."""

from dataclasses import fields, replace
from typing import Any

import pytest

from inattention.pretraining.config import MaskingConfig, PretrainingConfig

# Settings that change no number of a run, or only its last digits.
HOW_IT_IS_COMPUTED: dict[str, Any] = {
    "accelerator": "gpu",
    "devices": 2,
    "nodes": 2,
    "strategy": "ddp",
    "checkpoint_minutes": 7.0,
    "accumulate": 3,
    "snapshots": 4,
    "snapshots_at": (100,),
    "workers": 5,
    "stored_features": True,
    "cache_megabytes": 6,
}


def test_the_hyperparameters_have_the_names_that_run_json_uses() -> None:
    config = PretrainingConfig(steps=7, betas=(0.8, 0.9), masking=MaskingConfig(proportion=0.2))
    assert config.hyperparameters() == {
        "steps": 7,
        "batch_size": 24,
        "optimiser": "adamw",
        "learning_rate": 1e-3,
        "warmup": 0.1,
        "weight_decay": 0.01,
        "epsilon": 1e-9,
        "betas": [0.8, 0.9],
        "clip": 10.0,
        "target": "log-mel",
        "masking": {
            "proportion": 0.2,
            "span_steps": 2,
            "start_every": 1,
            "before_deltas": True,
            "zeroed": 0.8,
            "replaced": 0.1,
        },
        "validate_every": 0,
        "held_out_draws": 4,
        "precision": "32-true",
    }


def test_an_attention_rate_of_its_own_is_a_hyperparameter() -> None:
    assert PretrainingConfig(attention_rate=4.0).hyperparameters()["attention_rate"] == 4.0


def test_every_setting_is_a_hyperparameter_or_concerns_the_computation_alone() -> None:
    named = {*PretrainingConfig(attention_rate=2.0).hyperparameters(), *HOW_IT_IS_COMPUTED}
    assert named == {field.name for field in fields(PretrainingConfig)}
    assert set(MaskingConfig().hyperparameters()) == {field.name for field in fields(MaskingConfig)}


@pytest.mark.parametrize("setting", HOW_IT_IS_COMPUTED)
def test_how_a_run_is_computed_is_no_hyperparameter(setting: str) -> None:
    config = PretrainingConfig()
    changed = replace(config, **{setting: HOW_IT_IS_COMPUTED[setting]})
    assert changed.hyperparameters() == config.hyperparameters()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": -1}, "steps must not be negative"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"accumulate": 0}, "at least 1"),
        ({"attention_rate": 0.0}, "attention_rate must be above 0"),
        ({"strategy": "fsdp", "optimiser": "lamb"}, "fsdp trains with adamw"),
        ({"stored_features": True, "target": "linear"}, "computed from audio"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PretrainingConfig(**settings)
