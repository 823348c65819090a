"""Answers of the process that decodes lines are the same in another process."""

import json

import pytest

from inattention.corpora.labels.acceptance import Facts
from inattention.corpora.labels.alignment_jobs import Aligned, PhoneInterval, Refused
from inattention.corpora.readers.queen.jobs import BadLine, DecodedLine, answer_from_json, answer_to_json

FACTS = Facts(confidence=-4.0, shortest=0.1, pauses=0.1, longest_seconds=0.2, left_over=0.0, phones=20)
ALIGNED = Aligned((PhoneInterval("sil", 0.0, 0.1),), FACTS, 1)


@pytest.mark.parametrize(
    "answer",
    [
        BadLine("is silent"),
        DecodedLine(160, "ab", None),
        DecodedLine(160, "ab", ALIGNED),
        DecodedLine(160, "ab", Refused("its text holds no words")),
    ],
)
def test_an_answer_is_the_same_in_another_process(answer: DecodedLine | BadLine) -> None:
    assert answer_from_json(json.loads(json.dumps(answer_to_json(answer)))) == answer


def test_answers_that_an_interrupted_run_of_an_earlier_version_kept_can_be_read() -> None:
    kept = {"samples": 160, "digest": "ab", "phones": [["sil", 0.0, 0.1]], "facts": vars(FACTS), "attempt": 1}
    assert answer_from_json(kept) == DecodedLine(160, "ab", ALIGNED)
