"""TextGrid, CTM and CPC labels: what was written is read, and nothing else is read as if it were right."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inattention.corpora.core.cut_building import fit_phones, phones_within
from inattention.corpora.errors import CorpusError
from inattention.corpora.labels.beside_audio import TierNames
from inattention.corpora.labels.cpc import CLASSES, CpcError, CpcLabels, parse_cpc_line, read_cpc_split
from inattention.corpora.labels.ctm import CtmError, parse_ctm
from inattention.corpora.labels.textgrid import TextGridError, parse_textgrid
from recordings import textgrid

QUICK = settings(max_examples=60, deadline=None)
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8)
TOKEN = st.text(st.characters(categories=("L", "N", "S")), min_size=1, max_size=5)


@st.composite
def intervals(draw: st.DrawFn, symbols: st.SearchStrategy[str] = TEXT) -> list[tuple[str, float, float]]:
    """Intervals one after the other, on a grid of milliseconds."""
    lengths = draw(st.lists(st.integers(1, 500), min_size=1, max_size=20))
    ends = [sum(lengths[: i + 1]) / 1000 for i in range(len(lengths))]
    starts = [0.0, *ends[:-1]]
    return [(draw(symbols), a, b) for a, b in zip(starts, ends, strict=True)]


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
    with pytest.raises(CorpusError, match="holds points"):
        TierNames("beeps").choose(tiers)


@pytest.mark.parametrize("name", ["phones", "Phone", "MAU", "ann - phones"])
def test_the_tier_of_phones_is_found_by_its_usual_names(name: str) -> None:
    tiers = parse_textgrid(textgrid([("a", 0.0, 1.0)], tier=name))
    assert TierNames().choose(tiers).name == name
    with pytest.raises(CorpusError, match="has 0 tiers called 'other'"):
        TierNames("other").choose(tiers)
    with pytest.raises(CorpusError, match="has 2 tiers"):
        TierNames().choose(tiers * 2)


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


@QUICK
@given(st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=300))
def test_cpc_frames_of_10_ms_become_the_same_labels_in_seconds(labels: list[int]) -> None:
    name, phones = parse_cpc_line("103-1240-0000 " + " ".join(map(str, labels)) + "\n")
    assert name == "103-1240-0000"
    assert phones[0][1] == 0.0
    assert phones[-1][2] == pytest.approx(0.01 * len(labels))
    for frame, label in enumerate(labels):
        centre = (frame + 0.5) * 0.01
        assert [s for s, a, b in phones if a <= centre < b] == [str(label)]


@QUICK
@given(st.text(max_size=100))
def test_a_line_that_is_no_cpc_line_is_refused(text: str) -> None:
    line = "name x" + text
    with pytest.raises(CpcError):
        parse_cpc_line(line)


@pytest.mark.parametrize("label", ["41", "-1", "1.0", "007", "٣", "", "1e1"])
def test_a_label_that_is_no_class_is_refused(label: str) -> None:
    with pytest.raises(CpcError):
        parse_cpc_line(f"a {label}")


def test_cpc_files_are_read_an_utterance_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("a 1 1 2\n\nb 3 x\nc 4\nc 4\n")
    labels = CpcLabels(path)
    assert len(labels) == 3
    assert labels.phones("a") == [("1", 0.0, 0.02), ("2", 0.02, 0.03)]
    with pytest.raises(CpcError, match=r"labels.txt, line 3: 'b' has the label 'x'"):
        labels.phones("b")
    with pytest.raises(CpcError, match="has two lines"):
        labels.phones("c")
    with pytest.raises(CpcError, match="has no line"):
        labels.phones("d")
    for content, words in ((b"", "holds no labels"), (b"a \xff\n", "line 1: is no text"), (b"a " * 2**20, "longer")):
        path.write_bytes(content)
        with pytest.raises(CpcError, match=words):
            CpcLabels(path)
    with pytest.raises(CpcError, match="cannot be read"):
        CpcLabels(tmp_path / "none")


def test_a_cpc_split_is_a_name_a_line(tmp_path: Path) -> None:
    path = tmp_path / "split.txt"
    path.write_text("a\nb\r\n\n")
    assert read_cpc_split(path) == {"a", "b"}
    path.write_text("a b\n")
    with pytest.raises(CpcError, match="line 1: holds 2 words"):
        read_cpc_split(path)
    path.write_text("\n")
    with pytest.raises(CpcError, match="names no utterance"):
        read_cpc_split(path)


@QUICK
@given(intervals(TOKEN), st.floats(0, 5), st.floats(0.01, 5))
def test_phones_of_a_piece_are_those_of_its_time(phones: list, start: float, length: float) -> None:
    piece = phones_within(phones, start, start + length)
    assert all(0 <= a < b <= length + 1e-9 for _, a, b in piece)
    for centre in (length * 0.25, length * 0.5, length * 0.9):
        whole = [s for s, a, b in phones if a <= start + centre < b]
        assert [s for s, a, b in piece if a <= centre < b] == whole or min(
            abs(start + centre - t) for _, a, b in phones for t in (a, b)
        ) < 1e-9


@pytest.mark.parametrize(
    ("phones", "words"),
    [
        ([], "there are no phones"),
        ([("a", 0.0, 0.0)], "there are no phones"),
        ([("a", 0.0, 0.6), ("b", 0.5, 1.0)], "phones overlap: 'a' ends at 0.6 s"),
        ([("a", 0.0, 0.5)], "phones end at 0.500 s, the audio at 1.000 s"),
        ([("a", 0.0, 1.5)], "phones end at 1.500 s"),
    ],
)
def test_phones_that_do_not_fit_their_audio_are_refused(phones: list, words: str) -> None:
    with pytest.raises(CorpusError, match=words):
        fit_phones(phones, 1.0, 0.1)
