"""Some hundred broken inputs of every kind, at every run of the tests.

`INATTENTION_FUZZ=10000 pytest tests/fuzz` runs that many inputs for each reader, as does `python -m tests.fuzz`.
"""

import json
import os
import resource

import pytest

from fuzz.runner import MAKERS, PARSERS, fuzz, made
from inattention.corpora.errors import CorpusError


@pytest.mark.parametrize("kind", MAKERS)
def test_nothing_crashes_hangs_or_takes_much_memory(kind: str) -> None:
    count = int(os.environ.get("INATTENTION_FUZZ", 300))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = fuzz(kind, count, seed=1)
    assert outcome.faults == []
    assert sum(outcome.counts.values()) == count
    assert min(outcome.counts["refused"], outcome.counts["taken"]) > count / 50  # or what is made is all of one sort
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # KiB: 1 GiB


def test_the_same_seed_makes_the_same_inputs() -> None:
    for kind in MAKERS:
        some = [made(kind, number, 7) for number in range(20)]
        assert some == [made(kind, number, 7) for number in range(20)]
        assert len(set(some)) > 10


def test_a_crash_and_a_hang_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from fuzz import runner

    def parse(data: bytes) -> None:
        if data[0] % 2:
            raise ZeroDivisionError
        while True:
            json.loads("1")

    monkeypatch.setitem(PARSERS, "ctm", parse)
    monkeypatch.setattr(runner, "SECONDS", 0.05)
    outcome = fuzz("ctm", 20, seed=0)
    assert outcome.counts["crashed"] + outcome.counts["slow"] == len(outcome.faults) >= 15
    monkeypatch.setitem(PARSERS, "ctm", lambda data: (_ for _ in ()).throw(CorpusError("")))
    assert fuzz("ctm", 2, seed=0).counts["crashed"] == 2
