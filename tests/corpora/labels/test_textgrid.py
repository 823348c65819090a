"""TextGrids: what Praat writes is read, and nothing else is read as if it were right."""

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inattention.corpora.errors import CorpusError
from inattention.corpora.labels import textgrid as module
from inattention.corpora.labels.intervals import Labels
from inattention.corpora.labels.textgrid import TextGridError, Tier, TierNames, parse_textgrid
from intervals import QUICK, intervals
from recordings import textgrid


def read(data: bytes | str, tier: str = "phones", encoding: str | None = None) -> Labels:
    return parse_textgrid(data, encoding).labels(TierNames(tier))


def plain(labels: Labels) -> list[tuple[str, float, float]]:
    return [interval[:3] for interval in labels.intervals]


@QUICK
@given(
    intervals(),
    st.booleans(),
    st.sampled_from(["utf-8", "utf-16", "utf-8-sig", "utf-16-le", "utf-16-be", "BE"]),
    st.sampled_from("\n \r\n \r"),
)
def test_what_praat_writes_is_read(phones: list, short: bool, coding: str, end: str) -> None:
    quoted = [(s.replace('"', '""'), a, b) for s, a, b in phones]
    text = textgrid(quoted, short=short).replace("\n", end.strip(" ") or "\n")
    data = b"\xfe\xff" + text.encode("utf-16-be") if coding == "BE" else text.encode(coding)
    assert plain(read(data)) == phones


@QUICK
@given(intervals(), st.booleans(), st.data())
def test_a_textgrid_that_was_cut_off_is_never_read(phones: list, short: bool, data: st.DataObject) -> None:
    text = textgrid([(s.replace('"', ""), a, b) for s, a, b in phones], short=short).rstrip()
    end = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(TextGridError):
        read(text[:end])


@QUICK
@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_bytes_that_are_no_textgrid_are_refused(data: bytes) -> None:
    with pytest.raises(TextGridError):
        read(data)


@QUICK
@given(intervals(), st.integers(0, 400), st.characters(exclude_categories=("Cs",)))
def test_a_textgrid_with_one_sign_changed_is_read_whole_or_refused(phones: list, place: int, sign: str) -> None:
    text = textgrid([(s.replace('"', ""), a, b) for s, a, b in phones])
    place %= len(text)
    try:
        found = plain(read(text[:place] + sign + text[place + 1 :]))
    except TextGridError:
        return
    assert len(found) == len(phones)
    assert all(math.isfinite(a) and math.isfinite(b) for _, a, b in found)


HEAD = 'File type = "ooTextFile"\nObject class = "TextGrid"\n'
TIER = '"IntervalTier"\n"x"\n0\n1\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is an empty file"),
        ('"Pitch 1"', "is no TextGrid"),
        ('"ooTextFile" "Collection"', "another kind, 'Collection'"),
        ('"Praat chronological TextGrid text file"\n0 1', "is a chronological TextGrid"),
        (HEAD + "0 1 <exists> 1 2", "line 3: there are more intervals than the tier says, or no class of a tier: '2'"),
        (HEAD + "0 -1 <exists> 1", "line 3: the TextGrid ends at -1 s, before it starts at 0 s"),
        (HEAD + "1 0 <exists> 1", "ends at 0 s, before it starts at 1 s"),
        (HEAD + "0 1e999 <exists> 0", "is inf"),
        (HEAD + "0 0,5 <exists> 0", "line 3: '0,5' is no number"),
        (HEAD + "0 1 <yes> 0", "<exists> or <absent> should stand here, not '<yes>'"),
        (HEAD + "0 1 <absent> 1", "there is more than the TextGrid says"),
        (HEAD + "0 1 <exists> 999999999", "there cannot be 1e+09 tiers"),
        (HEAD + "0 1 <exists> 1.5", "there cannot be 1.5 tiers"),
        (HEAD + '0 1 <exists> 1 "OtherTier" "x" 0 1 0', "no class of tier 'OtherTier'"),
        (HEAD + "0 1 <exists> 1\n" + TIER + '1\n0\n1\n"a', "tier 'x', line 11: a quotation mark is never closed"),
        (HEAD + "0 1 <exists> 1\n" + TIER + '1\n0\n1\n"a" "b"', "tier 'x', line 11: there is more than the tier says"),
        (HEAD + "0 1 <exists> 1\n" + TIER + '1\n0\n1\n"a"\n2', "tier 'x', line 12: there are more intervals"),
        (
            HEAD + "0 1 <exists> 1\n" + TIER + '2\n0\n1\n"a"',
            "line 11: it ends before the start of an interval (at 2 of 2)",
        ),
        (
            HEAD + "0 1 <exists> 1\n" + TIER + '1\n0\nb\n"a"',
            "line 11: the end of an interval should stand here, as a number",
        ),
        (HEAD + "0 1 <exists>", "it ends before the number of tiers"),
        (HEAD + "0 1 <exists> 1", "it ends before the class of a tier"),
    ],
)
def test_an_error_names_the_tier_and_the_line(text: str, words: str) -> None:
    with pytest.raises(TextGridError) as caught:
        read(text, "x")
    assert words in str(caught.value)


def test_points_comments_tabs_and_no_tiers_are_understood() -> None:
    grid = parse_textgrid(HEAD + '0\t1 <exists> ! a comment "here"\n1 "TextTier" "beeps" 0 1 1 0.5 "x"')
    assert grid.tiers[0].points
    with pytest.raises(TextGridError, match="has points"):
        grid.labels(TierNames("beeps"))
    assert parse_textgrid(HEAD + "0 1 <absent>").tiers == ()


def test_escaped_quotes_line_breaks_and_scientific_notation_are_understood() -> None:
    found = read(HEAD + "0 1 <exists> 1\n" + TIER + '2\n0\n2.5e-1\n"a ""b""\nc"\n+.25\n1e0\n""', "x")
    assert plain(found) == [('a "b"\nc', 0.0, 0.25), ("", 0.25, 1.0)]
    assert [interval.line for interval in found.intervals] == [9, 13]


def test_praats_older_short_form_is_read() -> None:
    text = textgrid([("a", 0.0, 1.0)], short=True).replace('"ooTextFile"\nObject class = ', '"ooTextFile short"\n')
    assert plain(read(text)) == [("a", 0.0, 1.0)]


def test_the_binary_form_is_refused_by_its_name() -> None:
    with pytest.raises(TextGridError, match="binary form"):
        read(b"ooBinaryFile\x08TextGrid" + bytes(30))


def test_latin_1_is_read_if_it_is_asked_for_and_never_instead_of_utf_8() -> None:
    text = textgrid([("é", 0.0, 1.0)])
    with pytest.raises(TextGridError, match=r"is not text in utf-8 \(line 18\): --encoding latin-1"):
        read(text.encode("latin-1"), encoding="utf-8")
    for data in (text.encode("latin-1"), text.encode(), text.encode("utf-16")):
        assert plain(read(data, encoding="latin-1")) == [("é", 0.0, 1.0)]


GOOD = [("AH0", 0.0, 0.5), ("B", 0.5, 1.0)]


def with_words(words: str, *, before: bool) -> str:
    """Return a TextGrid in the short form with a tier of words beside that of phones."""
    phones = '"IntervalTier"\n"phones"\n0\n1\n2\n0\n0.5\n"AH0"\n0.5\n1\n"B"\n'
    return HEAD + "0\n1\n<exists>\n2\n" + (words + phones if before else phones + words)


DAMAGED = {
    "overlap": '"IntervalTier"\n"words"\n0\n1\n2\n0\n0.6\n"a"\n0.5\n1\n"b"\n',
    "count too small": '"IntervalTier"\n"words"\n0\n1\n1\n0\n0.5\n"a"\n0.5\n1\n"b"\n',
    "count too large": '"IntervalTier"\n"words"\n0\n1\n3\n0\n0.5\n"a"\n0.5\n1\n"b"\n',
    "impossible count": '"IntervalTier"\n"words"\n0\n1\n-2\n0\n0.5\n"a"\n',
    "open quotation": '"IntervalTier"\n"words"\n0\n1\n2\n0\n0.5\n"a\n0.5\n1\n"b"\n',
    "open last quotation": '"IntervalTier"\n"words"\n0\n1\n2\n0\n0.5\n"a"\n0.5\n1\n"b\n',
    "no number": '"IntervalTier"\n"words"\n0\n1\n2\n0\n0,5\n"a"\n0,5\n1\n"b"\n',
    "ends before it starts": '"IntervalTier"\n"words"\n1\n0\n1\n0\n1\n"a"\n',
    "text missing": '"IntervalTier"\n"words"\n0\n1\n2\n0\n0.5\n0.5\n1\n"b"\n',
    "unknown class": '"CurveTier"\n"words"\n0\n1\n1\n0\n1\n"a"\n',
    "no class": '"words"\n0\n1\n1\n0\n1\n"a"\n',
    "a label like a header": '"IntervalTier"\n"words"\n0\n1\n9\n0\n0.5\n"IntervalTier"\n0.5\n1\n"TextTier"\n',
    "points": '"TextTier"\n"words"\n0\n1\n7\n0.5\n"a"\n',
    "no intervals": '"IntervalTier"\n"words"\n0\n1\n0\n',
}


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("kind", DAMAGED)
def test_a_fault_in_another_tier_does_not_matter(kind: str, before: bool) -> None:
    for text in (with_words(DAMAGED[kind], before=before), with_words(DAMAGED[kind] * 2, before=before)):
        assert plain(read(text)) == GOOD


@pytest.mark.parametrize(
    "kind", sorted(set(DAMAGED) - {"overlap", "points", "no intervals", "unknown class", "no class"})
)
def test_the_same_fault_in_the_wanted_tier_is_an_error_that_names_it(kind: str) -> None:
    with pytest.raises(TextGridError, match=r"tier 'words', line \d+"):
        read(with_words(DAMAGED[kind], before=True), "words")


def test_faults_of_other_tiers_in_the_long_form_do_not_matter() -> None:
    words, phones = (textgrid(GOOD, tier=tier).partition("item []: \n")[2] for tier in ("words", "phones"))
    head = textgrid(GOOD).partition("item []: \n")[0] + "item []: \n"
    faults = (("size = 2", "size = 1"), ("size = 2", "size = 5"), ('"B"', '"B'), ('"AH0"', '"AH0'), ("0.5", "0,5"))
    for old, new in (*faults, ('name = "words"', "name = "), ('class = "IntervalTier"', "class = ")):
        assert old in words
        for text in (head + words.replace(old, new) + phones, head + phones + words.replace(old, new)):
            assert plain(read(text)) == GOOD


def test_the_number_of_tiers_may_be_wrong() -> None:
    text = with_words(DAMAGED["no intervals"], before=True)
    for said in (1, 5):
        assert plain(read(text.replace("<exists>\n2\n", f"<exists>\n{said}\n"))) == GOOD


@pytest.mark.parametrize("name", ["phones", "Phone", "MAU", "ann - phones", "Phones "])
def test_the_tier_of_phones_is_found_by_its_usual_names(name: str) -> None:
    tiers = parse_textgrid(textgrid([("a", 0.0, 1.0)], tier=name)).tiers
    assert TierNames().choose(tiers).name == name
    with pytest.raises(CorpusError, match="has 0 tiers called 'other'"):
        TierNames("other").choose(tiers)
    with pytest.raises(CorpusError, match="has 2 tiers"):
        TierNames().choose(tiers * 2)


def test_a_tier_is_chosen_by_its_name_in_any_form_or_by_its_number() -> None:
    tiers = [Tier("ann - phones", ()), Tier("bob - phones", ()), Tier("Laute\u0301", ()), Tier("2", ())]
    assert TierNames("bob - phones").choose(tiers) is tiers[1]
    assert TierNames("laut\u00e9").choose(tiers) is tiers[2]
    assert TierNames("1").choose(tiers) is tiers[0]
    assert TierNames("2").choose(tiers) is tiers[3]
    for wanted in ("", "phones", "5", "0"):
        with pytest.raises(CorpusError, match="--tier selects one"):
            TierNames(wanted).choose(tiers)


def test_a_hostile_textgrid_takes_neither_memory_nor_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_INTERVALS", 100)
    with pytest.raises(TextGridError, match="more than 100 intervals"):
        read(HEAD + "0 1 <exists> 1\n" + TIER + "999\n" + '0 1 ""\n' * 999)
    began = time.perf_counter()
    with pytest.raises(TextGridError, match="damaged tiers"):
        read(HEAD + "0 1 <exists> 1\n" + '"IntervalTier"\n"x\n' * 100_000)
    assert time.perf_counter() - began < 5.0
