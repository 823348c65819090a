"""The scheduler: each job as soon as its model is there, each result stored as it comes."""

from dataclasses import replace
from pathlib import Path

import pytest

from inattention.corpora.core.corpus import Corpus
from inattention.study.execution.executor import Ended
from inattention.study.execution.scheduler import FractionDone, run_jobs
from inattention.study.header import Provenance, StudyHeader
from inattention.study.planning.config import StudyConfig
from inattention.study.planning.plan import Job, Plan, make_plan, parse_config
from inattention.study.records import BaselineRecord
from inattention.study.store import Store

CORPUS = Corpus(Path("nowhere"), {"name": "made-up", "key": "0123456789abcdef"})


class MadeUp:
    """An executor whose jobs end at the next look, some of them with an error."""

    def __init__(self, slots: int, failing: str = "", stopping: str = "") -> None:
        self.slots, self.failing, self.stopping = slots, failing, stopping
        self.log: list[str] = []
        self.running: list[Job] = []

    def submit(self, job: Job, model: str | None) -> None:
        assert (model is None) == (job.needs is None)
        if job.id.title == self.stopping:
            raise KeyboardInterrupt
        self.running.append(job)
        self.log.append(job.id.title)

    def ended(self, seconds: float) -> list[Ended]:
        assert 0 < len(self.running) <= self.slots
        job = self.running.pop()
        record = BaselineRecord(seed=0, fingerprint=job.id.fingerprint, neighbour_l1=0.5, folder=job.id.folder)
        return [Ended(job, ValueError("made up") if job.id.title == self.failing else record)]

    def stop(self) -> None:
        self.log.append("stop")

    def close(self) -> None:
        self.log.append("close")


def study(folder: Path, *rows: str) -> tuple[Plan, Store]:
    plan, store = make_plan(parse_config(StudyConfig(rows=rows, timed=False)), CORPUS), Store(folder)
    store.begin(StudyHeader.of(plan, "", Provenance()))
    return plan, store


@pytest.mark.parametrize("slots", [1, 3])
def test_a_job_starts_after_the_one_that_it_needs(tmp_path: Path, slots: int) -> None:
    plan, store = study(tmp_path, "mel", "qk", "none")
    executor = MadeUp(slots)
    run_jobs(plan.jobs, store, executor, progress=False)
    assert sorted(executor.log[:-1]) == sorted(job.id.title for job in plan.jobs)
    for row in ("qk", "none"):
        assert executor.log.index(f"pretrain {row}-0") < executor.log.index(f"probe {row}-0")
    assert executor.log[-1] == "close"
    assert Store(tmp_path).records.keys() == {job.id.fingerprint for job in plan.jobs}


def test_a_failed_job_costs_only_those_that_need_it(tmp_path: Path) -> None:
    plan, store = study(tmp_path, "mel", "qk", "none")
    run_jobs(plan.jobs, store, MadeUp(2, failing="pretrain qk-0"), progress=False)
    failures = {failure.job.title: failure.error for failure in store.results().failures}
    assert failures == {
        "pretrain qk-0": "ValueError: made up",
        "probe qk-0": "needs pretrain qk-0, which failed",
    }
    assert len(store.records) == len(plan.jobs) - 2


def test_rows_that_mean_the_same_run_once(tmp_path: Path) -> None:
    steps = StudyConfig(rows=("none",)).training.steps
    plan, store = study(tmp_path, "none", f"none@training.steps={steps}")
    executor = MadeUp(2)
    run_jobs(plan.jobs, store, executor, progress=False)
    assert executor.log == ["baseline", "pretrain none-0", "probe none-0", "close"]


def test_an_interrupt_stops_what_runs_and_keeps_what_is_done(tmp_path: Path) -> None:
    plan, store = study(tmp_path, "mel", "qk")
    executor = MadeUp(1, stopping="probe qk-0")
    with pytest.raises(KeyboardInterrupt):
        run_jobs(plan.jobs, store, executor, progress=False)
    assert executor.log[-2:] == ["stop", "close"]
    assert len(Store(tmp_path).records) == len(plan.jobs) - 1


def test_a_job_whose_model_was_trained_before_starts_at_once(tmp_path: Path) -> None:
    plan, store = study(tmp_path, "qk")
    baseline, trained, probed = plan.jobs
    folder = "steps/of-an-earlier-version"
    store.append(replace(BaselineRecord(seed=0, fingerprint=trained.id.fingerprint, neighbour_l1=0.5), folder=folder))
    models: list[str | None] = []

    class Watched(MadeUp):
        def submit(self, job: Job, model: str | None) -> None:
            models.append(model)
            super().submit(job, model)

    run_jobs([baseline, probed], store, Watched(1), progress=False)
    assert models == [None, folder]


def test_progress_of_a_training_is_read_from_the_end_of_its_curve_when_it_has_grown(tmp_path: Path) -> None:
    job = next(
        job
        for job in make_plan(parse_config(StudyConfig(rows=("qk",), timed=False)), CORPUS).jobs
        if job.id.kind == "pretrain"
    )
    assert job.run is not None
    done, curve = FractionDone(tmp_path), tmp_path / job.id.folder / "curve.jsonl"
    assert done(job) == 0
    curve.parent.mkdir(parents=True)
    curve.write_text("".join(f'{{"step": {step}, "held_out_l1": 0.5}}\n' for step in range(0, 10_001, 10)))
    assert done(job) == pytest.approx(10_000 / job.run.training.steps)
    same_size = curve.read_text().replace('"step": 10000', '"step": 20000')
    curve.write_text(same_size)
    assert done(job) == pytest.approx(0.5)
    curve.write_text(f'{same_size}{{"step": 20000, "held_out_l1": 0.5}}\n')
    assert done(job) == 0.99
