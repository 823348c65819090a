"""A study on a real Ray cluster of this machine: outcomes are a local study's, though a worker is killed in mid-run."""

import json
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from inattention.corpora.core.corpus import Corpus
from inattention.model.config import AudioTransformerConfig
from inattention.pretraining.config import PretrainingConfig
from inattention.probing.config import ProbeConfig
from inattention.study.execution.executor import ExecutorError
from inattention.study.execution.executors import make_executor
from inattention.study.execution.jobs import run_job
from inattention.study.execution.run import run_study
from inattention.study.planning.config import StudyConfig
from inattention.study.planning.plan import make_plan, parse_config
from inattention.timing.config import TimingConfig
from speech import make_corpus

SMALL = StudyConfig(
    rows=("uniform",),
    model=AudioTransformerConfig(width=24, feed_forward=24, layers=2, max_length=40),
    training=PretrainingConfig(steps=60, batch_size=6, validate_every=20, held_out_draws=1, checkpoint_minutes=0),
    probes=ProbeConfig(epochs=2, hidden_width=16, bootstrap_draws=20),
    timing=TimingConfig(
        width=24, feed_forward=24, layers=1, lengths=(20,), rounds=1, seconds=0.0, exponent_lengths=(), threads=1
    ),
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("ray") / "tones", {"train": 12, "dev": 4, "test": 4})


def outcomes(study: Path) -> dict[str, dict]:
    """Return what came out of each job, without what depends on the clock."""
    found = {}
    for path in sorted((study / "steps").glob("*/outcome.json")):
        if not path.parent.name.startswith("time-"):
            outcome = json.loads(path.read_text())
            found[path.parent.name] = {k: v for k, v in outcome.items() if "seconds" not in k}
    return found


def owner(lock: Path) -> int | None:
    """Return the process of the Ray worker that has a file open."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if not (folder / "cmdline").read_bytes().startswith(b"ray::"):
                continue
            if any(os.readlink(file) == str(lock) for file in (folder / "fd").iterdir()):
                return int(folder.name)
        except OSError:  # it has ended meanwhile
            continue
    return None


def kill_the_worker_in_mid_run(study: Path, killed: list[int]) -> None:
    """Wait until a pre-training has saved a checkpoint, and kill its process."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and not killed:
        for checkpoint in study.glob("steps/pretrain-*/checkpoint.ckpt"):
            process = owner(checkpoint.with_name(".lock"))
            if process is not None:
                os.kill(process, signal.SIGKILL)
                killed.append(process)
                break
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:.*:FutureWarning", "ignore:.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_study_on_ray_ends_as_a_local_one_though_a_worker_is_killed(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'inattention[cluster]'")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    monkeypatch.setenv("HOME", str(tmp_path))  # Ray leaves a file there
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    config, killed = replace(SMALL, corpus=corpus.folder), []
    killer = threading.Thread(target=kill_the_worker_in_mid_run, args=(tmp_path / "ray", killed))
    killer.start()
    results = run_study(config, tmp_path / "ray", executor="ray", jobs=2, progress=False)
    killer.join()
    assert not results.failures
    assert len(killed) == 1
    (step,) = (tmp_path / "ray" / "steps").glob("pretrain-*")
    assert len(list((step / "logs" / "csv").iterdir())) == 2  # each start has a log of its own
    for job in make_plan(parse_config(config), corpus).jobs:
        if job.id.kind != "time":
            run_job(job, tmp_path / "local", job.needs.folder if job.needs else None)
    assert outcomes(tmp_path / "ray") == outcomes(tmp_path / "local")
    # What Ray did, a local study finds done, and the other way round: the plan is the same.
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("ray/steps/*/outcome.json")}
    run_study(config, tmp_path / "ray", jobs=1, progress=False)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("ray/steps/*/outcome.json")}


def test_an_executor_that_is_not_there_is_said_to_be(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(ExecutorError, match="choose local or ray"):
        make_executor("slurm", make_plan(parse_config(SMALL), corpus), tmp_path)


def test_without_ray_the_extra_is_named(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ExecutorError, match=r"pip install 'inattention\[cluster\]'"):
        make_executor("ray", make_plan(parse_config(SMALL), corpus), tmp_path)


def test_two_studies_in_one_folder_are_refused(corpus: Corpus, tmp_path: Path) -> None:
    from inattention.files import folder_lock

    with folder_lock(tmp_path), pytest.raises(ValueError, match="another run is working"):
        run_study(replace(SMALL, corpus=corpus.folder), tmp_path, progress=False)
