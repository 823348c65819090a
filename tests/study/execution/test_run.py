"""A study that cannot work on this machine or corpus ends before anything is created."""

from dataclasses import replace
from pathlib import Path

import pytest

from inattention.pretraining.config import PretrainingConfig
from inattention.probing.config import ProbeConfig
from inattention.study.execution.run import run_study
from inattention.study.planning.config import StudyConfig
from inattention.timing.config import TimingConfig
from speech import make_corpus

STUDY = StudyConfig(rows=("none",), timed=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"training": PretrainingConfig(precision="bf15")}, "training.precision must be 32-true"),
        ({"training": PretrainingConfig(accelerator="tpu")}, "this machine has no 'tpu'"),
        ({"training": PretrainingConfig(accelerator="cpu", precision="16-mixed")}, "needs a GPU"),
        ({"rows": ("none@training.accelerator=tpu",)}, "this machine has no 'tpu'"),
        ({"probes": ProbeConfig(device="nowhere")}, "probes.device: device 'nowhere' cannot be used"),
        ({"timed": True, "timing": TimingConfig(device="nowhere")}, "timing.device: device 'nowhere' cannot be used"),
    ],
)
def test_what_this_machine_cannot_do_is_refused_before_a_corpus_is_prepared(
    settings: dict, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        run_study(replace(STUDY, **settings), tmp_path / "study", progress=False)
    assert not (tmp_path / "study").exists()


def test_features_that_are_not_stored_are_missed_before_any_job(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "tones", {"train": 2, "dev": 2, "test": 2})
    study = replace(STUDY, corpus=corpus.folder, rows=("none@training.stored_features=true",))
    with pytest.raises(ValueError, match="inattention corpus features"):
        run_study(study, tmp_path / "study", progress=False)
    assert not (tmp_path / "study").exists()
