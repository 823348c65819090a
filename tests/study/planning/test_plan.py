"""A plan: all jobs of a study, with all that running them takes."""

from dataclasses import replace
from pathlib import Path

import pytest

from inattention.corpora.core.corpus import Corpus
from inattention.pretraining.config import PretrainingConfig
from inattention.probing.config import ProbeConfig
from inattention.study.planning import rows as rows_module
from inattention.study.planning.config import StudyConfig
from inattention.study.planning.plan import JobId, make_plan, parse_config
from inattention.study.planning.presets import PAPER_ROWS, PRESETS, preset
from inattention.study.planning.rows import StudyRow, parse_study_row

CORPUS = Corpus(Path("nowhere"), {"name": "made-up", "key": "0123456789abcdef"})


def test_each_row_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = []

    def counted(text: str) -> StudyRow:
        texts.append(text)
        return parse_study_row(text)

    monkeypatch.setattr(rows_module, "parse_study_row", counted)
    config = preset("laptop")
    plan = make_plan(parse_config(config), CORPUS)
    rates = [text.rpartition("=")[0] for text in config.learning_rates]
    assert texts == [*config.rows, *config.repeated, *rates]
    assert [row.name for row in plan.rows] == list(config.rows)


def test_a_job_carries_what_running_it_takes() -> None:
    config = replace(preset("laptop"), rows=("mel-no-cmvn", "qk@identity"), seeds=(0, 1), repeated=("qk@identity",))
    plan = make_plan(parse_config(config), CORPUS)
    assert [job.id.title for job in plan.jobs] == [
        "baseline", "probe mel-no-cmvn-0", "pretrain qk@identity-0", "probe qk@identity-0", "pretrain qk@identity-1",
        "probe qk@identity-1", "time qk@identity",
    ]  # fmt: skip
    baseline, features, trained, probed, _, again, timed = plan.jobs
    assert baseline.run is not None
    assert baseline.run.training.steps == 0
    assert features.features is not None
    assert not features.features.normalise
    assert trained.run is not None
    assert (trained.run.training.learning_rate, trained.run.model.attention_options) == (5e-4, {"start": "identity"})
    assert probed.needs == trained.id
    assert again.probes is not None
    assert again.probes.seed == 1
    assert timed.own_size is not None
    assert timed.own_size.lengths == (96,)


def test_the_long_study_trains_the_encoders_of_the_laptop_five_times_as_long() -> None:
    short, long = preset("laptop"), preset("desktop")
    assert (long.training.steps, long.model, long.probes) == (5 * short.training.steps, short.model, short.probes)
    assert {"toeplitz", "qk@identity", "qk@toeplitz", *PAPER_ROWS} <= set(long.rows)
    assert set(long.repeated) <= set(long.rows)
    assert set(long.curve_rows) <= set(long.repeated)


def test_rows_are_probed_during_training_and_all_else_stays_as_it_was() -> None:
    config = replace(preset("laptop"), rows=("mel", "qk", "patterned"), seeds=(0,), timed=False)
    plain = make_plan(parse_config(config), CORPUS)
    curved = replace(config, curve_rows=("patterned", "none"), curve_steps=(400, 100, 800, 1600))
    plan = make_plan(parse_config(curved), CORPUS)
    probed = [job for job in plan.jobs if job.id.kind == "curve"]
    # 800 is the last step, and no step follows it.
    assert [(job.id.title, job.model) for job in probed] == [
        ("curve patterned-0 at step 100", "snapshots/step-000100"),
        ("curve patterned-0 at step 400", "snapshots/step-000400"),
    ]
    trained = next(job for job in plan.jobs if job.id.title == "pretrain patterned-0")
    assert [job.needs for job in probed] == [trained.id, trained.id]
    assert trained.run is not None
    assert trained.run.training.snapshot_steps == (100, 160, 320, 400, 480, 640)
    assert [job.id for job in plan.jobs if job not in probed] == [job.id for job in plain.jobs]


def test_folders_keep_the_names_that_earlier_versions_wrote() -> None:
    assert JobId("baseline", "", 0, "0123456789ab").folder == "steps/floor-0123456789ab"
    assert JobId("pretrain", "qk@init=../a", 2, "0123456789ab").folder == "steps/pretrain-qk@init=..%2Fa-2-0123456789ab"
    assert JobId("time", "qk", None, "0123456789ab").folder == "steps/time-qk-0123456789ab"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"learning_rates": ("none",)}, "NAME=RATE"),
        ({"learning_rates": ("none=0",)}, "above 0"),
        ({"learning_rates": ("non=1e-3",)}, "perhaps 'none'"),
        ({"learning_rates": ("none=1e-3", "none=2e-3")}, "given twice"),
        ({"repeated": ("unifrm",)}, "perhaps 'uniform'"),
        ({"curve_rows": ("unifrm",)}, "perhaps 'uniform'"),
        ({"curve_rows": ("none", "mel", "qk@untrained")}, "mel, qk@untrained: there is no training"),
        ({"curve_steps": (0,)}, "from 1 on"),
        ({"curve_steps": (100, 100)}, "different numbers"),
        ({"rows": ("none@model.map=shared",)}, "perhaps 'maps'"),
        ({"rows": ("none@model.features=1",)}, "no setting"),
        ({"rows": ("none@model.share_layers=perhaps",)}, "takes a bool"),
        ({"training": PretrainingConfig(precision="bf15")}, "^training.precision must be 32-true, bf16-mixed"),
        ({"rows": ("mel",), "training": PretrainingConfig(precision="bf15")}, "training.precision"),
        ({"rows": ("none@training.precision=bf15",)}, "row 'none@training.precision=bf15': training.precision must be"),
        ({"rows": ("none@training.strategy=dpp",)}, "training.strategy must be one of"),
        ({"rows": ("none@training.epsilon=-1",)}, "training.epsilon"),
        ({"rows": ("none@model.max_length=2",)}, "model.max_length is 2"),
        ({"training": PretrainingConfig(devices=2)}, "training.devices and training.nodes must be 1 in a study"),
        ({"probes": ProbeConfig(layer=7)}, "probes.layer must be at most 6"),
        ({"rows": ("none@model.layers=2",), "probes": ProbeConfig(layer=3)}, "probes.layer must be at most 2"),
    ],
)
def test_what_cannot_be_planned_is_refused(wrong: dict, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_config(replace(StudyConfig(rows=("none",)), **wrong))


def test_settings_of_a_study_that_could_not_work_are_still_read() -> None:
    config = StudyConfig(rows=("mel",), training=PretrainingConfig(precision="bad"), probes=ProbeConfig(layer=99))
    assert StudyConfig.from_dict(config.to_dict()) == config


def test_settings_survive_the_results_file() -> None:
    for config in PRESETS.values():
        assert StudyConfig.from_dict(config.to_dict()) == config
    assert StudyConfig.from_dict({"rows": ["qk"], "of a later version": 1}).rows == ("qk",)
    for wrong in ({}, {"rows": "qk"}, {"rows": ["qk"], "seeds": ["0"]}, {"rows": ["qk"], "model": 3}):
        with pytest.raises(ValueError, match="settings of a study"):
            StudyConfig.from_dict(wrong)
