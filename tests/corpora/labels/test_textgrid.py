"""TextGrids: what Praat writes is read, and nothing else is read as if it were right."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inattention.corpora.labels.textgrid import TextGridError, parse_textgrid
from intervals import QUICK, intervals
from recordings import textgrid


@QUICK
@given(intervals(), st.booleans(), st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]))
def test_what_praat_writes_is_read(phones: list, short: bool, coding: str) -> None:
    quoted = [(s.replace('"', '""'), a, b) for s, a, b in phones]
    (tier,) = parse_textgrid(textgrid(quoted, short=short).encode(coding))
    assert tier.name == "phones"
    assert list(tier.intervals) == phones


@QUICK
@given(intervals(), st.booleans(), st.data())
def test_a_textgrid_that_was_cut_off_is_never_read(phones: list, short: bool, data: st.DataObject) -> None:
    text = textgrid([(s.replace('"', ""), a, b) for s, a, b in phones], short=short).rstrip()
    end = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(TextGridError):
        parse_textgrid(text[:end])


@QUICK
@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_bytes_that_are_no_textgrid_are_refused(data: bytes) -> None:
    with pytest.raises(TextGridError):
        parse_textgrid(data)


@QUICK
@given(intervals(), st.integers(0, 400), st.characters(exclude_categories=("Cs",)))
def test_a_textgrid_with_one_sign_changed_is_read_whole_or_refused(phones: list, place: int, sign: str) -> None:
    text = textgrid([(s.replace('"', ""), a, b) for s, a, b in phones])
    place %= len(text)
    try:
        tiers = parse_textgrid(text[:place] + sign + text[place + 1 :])
    except TextGridError:
        return
    for tier in tiers:
        assert len(tier.intervals) == len(phones)
        assert all(0 <= a <= b < math.inf for _, a, b in tier.intervals)


HEAD = 'File type = "ooTextFile"\nObject class = "TextGrid"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('"Pitch 1"', "is no TextGrid"),
        (HEAD + "0 1 <exists> 1 2", "line 3: the class of a tier should stand here"),
        (HEAD + "0 -1 <exists> 1", "line 3: the end of the TextGrid is -1"),
        (HEAD + "1 0 <exists> 1", "ends at 0 s, before it starts at 1 s"),
        (HEAD + "0 1e999 <exists> 0", "is inf"),
        (HEAD + "0 1 <exists> 999999999", "there cannot be 1e+09 tiers"),
        (HEAD + "0 1 <exists> 1.5", "there cannot be 1.5 tiers"),
        (HEAD + '0 1 <exists> 1 "OtherTier" "x" 0 1 0', "no class of tier 'OtherTier'"),
        (HEAD + '0 1 <exists> 1 "IntervalTier" "x" 0 2 0', "leads out of the TextGrid"),
        (HEAD + '0 1 <exists> 1 "IntervalTier" "x" 0 1 2 0 0.6 "a" 0.5 1 "b"', "overlaps another"),
        (HEAD + '0 1 <exists> 1 "IntervalTier" "x" 0 1 1 0 1 "a', "a quotation mark is never closed"),
        (HEAD + '0 1 <exists> 1 "IntervalTier" "x" 0 1 1 0 1 "a" "b"', "there is more than the TextGrid says"),
        (HEAD + "0 1 <exists>", "it ends before the number of tiers"),
    ],
)
def test_what_is_wrong_with_a_textgrid_is_said(text: str, words: str) -> None:
    with pytest.raises(TextGridError) as caught:
        parse_textgrid(text)
    assert words in str(caught.value)


def test_points_comments_and_no_tiers_are_understood() -> None:
    tiers = parse_textgrid(HEAD + '0 1 <exists> ! a comment "here"\n1 "TextTier" "beeps" 0 1 1 0.5 "x"')
    assert tiers[0].points
    assert parse_textgrid(HEAD + "0 1 <absent>") == ()
