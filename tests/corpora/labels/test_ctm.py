"""CTM files: what was written is read, and nothing else is read as if it were right."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inattention.corpora.labels.ctm import CtmError, parse_ctm
from intervals import QUICK, TOKEN, intervals


@QUICK
@given(intervals(TOKEN), TOKEN)
def test_a_ctm_is_read_as_it_was_written(phones: list, name: str) -> None:
    lines = [f"{name} 1 {a:.3f} {b - a:.3f} {s}" for s, a, b in phones]
    if any(line.startswith(";;") for line in lines):
        return
    found = parse_ctm("\n".join(reversed(lines)))[name]
    assert [s for s, _, _ in found] == [s for s, _, _ in phones]
    assert all(abs(x[1] - y[1]) < 1e-3 and abs(x[2] - y[2]) < 2e-3 for x, y in zip(found, phones, strict=True))


@QUICK
@given(st.text(max_size=200))
def test_text_that_is_no_ctm_is_refused_or_holds_nothing(text: str) -> None:
    try:
        found = parse_ctm(text)
    except CtmError:
        return
    assert all(0 <= a <= b < math.inf for tokens in found.values() for _, a, b in tokens)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a 1 0 1", "line 1: has 4 fields"),
        ("a 1 0 1 x 0.5 y", "has 7 fields"),
        ("\na 1 0 nan x", "line 2: the duration is 'nan', which is no number"),
        ("a 1 1_0 1 x", "which is no number"),
        ("a 1 -1 1 x", "below 0"),
        ("a 1 0 1 x high", "the confidence is 'high'"),
        ("a 1 0 1 x\na 1 0.5 1 y", "'x' ends at 1 s, and 'y' starts before"),
    ],
)
def test_what_is_wrong_with_a_ctm_is_said(text: str, words: str) -> None:
    with pytest.raises(CtmError, match=words):
        parse_ctm(text)
