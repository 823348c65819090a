"""Settings of pre-training: which values are refused, and which settings identify a run."""

import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from inattention.corpora.core.corpus import Corpus
from inattention.pretraining.config import MaskingConfig, PretrainingConfig
from inattention.pretraining.manifest import Run
from inattention.pretraining.run import pretrain
from inattention.pretraining.stopping import RunError
from inattention.pretraining.training import check_machine, check_names
from small_models import small_config

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


CANNOT_WORK = [
    ({"precision": "bf15"}, "training.precision must be 32-true, bf16-mixed or 16-mixed"),
    ({"precision": "64-true"}, "training.precision must be"),
    ({"learning_rate": math.nan}, "training.learning_rate must be a number"),
    ({"attention_rate": math.inf}, "must be finite"),
    ({"weight_decay": math.nan}, "training.weight_decay must be a number"),
    ({"clip": math.nan}, "training.clip must be a number"),
    ({"epsilon": 0.0}, "training.epsilon must be a number above 0"),
    ({"betas": (0.9, 1.0)}, "training.betas must lie in"),
    ({"workers": -1}, "training.workers"),
    ({"validate_every": -3}, "validate_every must not be negative"),
    ({"masking": MaskingConfig(span_steps=48)}, "needs 49 frames, and model.max_length is 48"),
    ({"masking": MaskingConfig(span_steps=1, start_every=48)}, "needs 49 frames"),
    ({"masking": MaskingConfig(zeroed=math.nan)}, "training.masking.zeroed"),
    ({"accelerator": "gpus"}, "training.accelerator must be auto, cpu"),
    ({"strategy": "ddp_spawn"}, "training.strategy must be one of auto, ddp, fsdp"),
    ({"strategy": "deepspeed_stage_9"}, "training.strategy must be one of auto, ddp, fsdp"),
]


@pytest.mark.parametrize(("settings", "message"), CANNOT_WORK)
def test_settings_with_which_no_run_works_are_refused_before_a_folder_is_made(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    training = PretrainingConfig(**settings)  # such settings may stand in the results of earlier versions
    run = Run(small_config(), training, Corpus(Path("nowhere"), {"name": "made-up", "key": "0"}))
    with pytest.raises(ValueError, match=message):
        pretrain(run, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"accelerator": "tpu"}, "this machine has no 'tpu'; it has cpu"),
        ({"strategy": "deepspeed"}, "needs the package deepspeed"),
        ({"accelerator": "cpu", "precision": "16-mixed"}, "'16-mixed' needs a GPU; on a CPU, choose bf16-mixed"),
    ],
)
def test_what_this_machine_lacks_is_reported(settings: dict[str, Any], message: str) -> None:
    training = PretrainingConfig(**settings)
    training.check(48)
    check_names(training)
    with pytest.raises(RunError, match=message):
        check_machine(training)


def test_short_names_of_precisions_still_work() -> None:
    for name in ("32", "bf16", "32-true", "bf16-mixed", "16-mixed"):
        PretrainingConfig(precision=name).check(48)
