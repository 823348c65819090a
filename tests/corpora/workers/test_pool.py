"""Workers that crash or hang cost one job; answers keep the order of the jobs; nothing survives the pool."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from inattention.corpora.errors import CorpusError
from inattention.corpora.workers import pool as pool_module
from inattention.corpora.workers.pool import JOBS_AHEAD, Failure, WorkerPool, ask_all, run_jobs

MODULE = "answering"


@pytest.fixture(autouse=True)
def _workers_find_their_module(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[3] / "src"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


def job(do: str, number: int = 0) -> dict:
    return {"id": f"job-{number}", "path": "", "do": do, "number": number}


def ask(jobs: Iterator[dict] | list[dict], **options) -> list:
    return list(ask_all(MODULE, jobs, **{"workers": 2, "progress": False, "total": None, "what": "adding", **options}))


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_answers_have_the_order_of_the_jobs():
    assert [answer["sum"] for answer in ask([job("add", number) for number in range(30)])] == list(range(1, 31))


def test_each_failing_dying_or_hanging_job_costs_itself_alone():
    jobs = [job(do, number) for number, do in enumerate(["add", "fail", "die", "hang", "print", "add"])]
    answers = ask(jobs, seconds=3.0)
    assert [answer.reason if isinstance(answer, Failure) else answer["sum"] for answer in answers] == [
        1, "no such number", "the worker process of job-2 died (exit code 3)", "takes more than 3 s", 5, 6,
    ]  # fmt: skip


def test_jobs_are_taken_as_they_are_needed():
    taken = []

    def endless() -> Iterator[dict]:
        number = 0
        while True:
            taken.append(number)
            yield job("add", number)
            number += 1

    answers = ask_all(MODULE, endless(), workers=1, progress=False, total=None, what="adding")
    assert [next(answers)["sum"] for _ in range(3)] == [1, 2, 3]
    answers.close()
    assert len(taken) <= 3 + JOBS_AHEAD + 1


def test_an_interrupted_pool_leaves_no_process_behind():
    pool = WorkerPool(MODULE, 2)
    processes = [pool.ask(job("add"))["process"] for _ in range(2)]  # ty: ignore[not-subscriptable]
    hanging = threading.Thread(target=pool.ask, args=(job("hang"),))

    def interrupted() -> None:
        with pool:
            hanging.start()
            time.sleep(0.2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    hanging.join(30)
    assert not hanging.is_alive()
    assert not any(map(is_alive, processes))


def test_no_workers_are_refused():
    with pytest.raises(CorpusError, match="workers must be at least 1, not 0"):
        ask([], workers=0)


class Store:
    def __init__(self) -> None:
        self.results: dict = {}

    def recall(self, job: str):
        return self.results.get(job)

    def record(self, job: str, result) -> None:
        self.results[job] = result


def test_results_are_recorded_and_reused_and_a_failure_ends_the_run():
    store = Store()
    store.results["job-0"] = {"sum": 100}
    jobs = [job("add", 0), job("add", 1), job("fail", 2), job("add", 3)]
    results = run_jobs(MODULE, jobs, store, workers=1, progress=False, unit="job")
    assert [(one["id"], result["sum"]) for one, result in islice(results, 2)] == [("job-0", 100), ("job-1", 2)]
    with pytest.raises(CorpusError, match="no such number"):
        next(results)
    assert store.results["job-1"]["sum"] == 2
    assert "job-2" not in store.results


def test_an_answer_at_the_last_moment_does_not_cost_the_next_job(monkeypatch: pytest.MonkeyPatch):
    def just_in_time(process: subprocess.Popen[bytes], job: pool_module.Job) -> dict | None:
        answer = exchange(process, job)
        process.wait()  # until the time limit has killed it
        return answer

    exchange = pool_module._exchange
    with WorkerPool(MODULE, 1) as pool:
        monkeypatch.setattr(pool_module, "_exchange", just_in_time)
        first = pool.ask(job("add", 1), 4.0)
        monkeypatch.setattr(pool_module, "_exchange", exchange)
        second = pool.ask(job("add", 2))
    assert [answer["sum"] for answer in (first, second)] == [2, 3]  # ty: ignore[not-subscriptable]
