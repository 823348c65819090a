"""Alignment in worker processes: what travels between processes, and errors that cost one file."""

import importlib.util
import json
from pathlib import Path

import pytest

from inattention.corpora.errors import CorpusError
from inattention.corpora.labels import alignment_jobs
from inattention.corpora.labels.acceptance import Facts
from inattention.corpora.labels.alignment_jobs import (
    Aligned,
    PhoneInterval,
    Refused,
    align_texts,
    require_pocketsphinx,
    result_from_json,
    result_to_json,
)

FACTS = Facts(confidence=-4.0, shortest=0.1, pauses=0.1, longest_seconds=0.2, left_over=0.0, phones=20)
ALIGNED = Aligned((PhoneInterval("sil", 0.0, 0.1), PhoneInterval("ah", 0.1, 0.3)), FACTS, 2)


@pytest.mark.parametrize("result", [ALIGNED, Refused("its text holds no words")])
def test_a_result_is_the_same_in_another_process(result: Aligned | Refused) -> None:
    assert result_from_json(json.loads(json.dumps(result_to_json(result)))) == result


def test_the_facts_of_a_refusal_stay_in_the_worker() -> None:
    assert result_to_json(Refused("too long", FACTS)) == {"refused": "too long"}


def test_a_missing_aligner_is_one_error_that_names_both_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CorpusError, match=r"pip install 'inattention\[align\]', or use --no-phones"):
        require_pocketsphinx("use --no-phones")


def test_a_file_that_cannot_be_aligned_costs_that_file(tmp_path: Path) -> None:
    pytest.importorskip("pocketsphinx", reason="pocketsphinx is not installed (extra `align`)")
    (tmp_path / "text.wav").write_text("this is no audio")
    jobs = [(tmp_path / "none.wav", "hello"), (tmp_path / "text.wav", "hello")]
    reasons = [result.reason for result in align_texts(jobs, workers=1, progress=False) if isinstance(result, Refused)]
    assert "there is no such file" in reasons[0]
    assert "cannot be read as audio" in reasons[1]


def test_nothing_to_align_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(alignment_jobs, "ask_all", lambda *_, **__: pytest.fail("a process was started"))
    assert not list(align_texts([], workers=1, progress=False))
