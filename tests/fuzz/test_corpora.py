"""Damaged corpora of every kind: refused or used, and nothing crashes, hangs, runs or is written elsewhere.

INATTENTION_FUZZ sets the number of inputs of each kind.
"""

import os
from pathlib import Path

import pytest

from .corpora import MAKERS, fuzz_corpora

INPUTS = int(os.environ.get("INATTENTION_FUZZ", "12"))


@pytest.mark.parametrize("kind", MAKERS)
def test_no_damaged_corpus_crashes_hangs_or_writes_elsewhere(kind: str, tmp_path: Path) -> None:
    if kind == "tables":
        pytest.importorskip("pyarrow", reason="the extra hf is not installed")
    outcome = fuzz_corpora(kind, INPUTS, seed=1, sandbox=tmp_path)
    assert outcome.faults == []
    assert outcome.counts["taken"] > INPUTS / 20
    assert sum(outcome.counts.values()) == INPUTS


def test_a_crash_and_a_file_elsewhere_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from inattention.corpora.readers import timit

    def stray(*_: object, **__: object) -> None:
        (tmp_path / "elsewhere").mkdir()
        raise KeyError

    monkeypatch.setattr(timit, "prepare", stray)
    outcome = fuzz_corpora("timit", 2, seed=1, sandbox=tmp_path)
    assert [what for _, what in outcome.faults] == ["files outside of the output folder: ['elsewhere']"] * 2
