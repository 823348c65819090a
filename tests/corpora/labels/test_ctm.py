"""CTM files: what was written is read, and nothing else is read as if it were right."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inattention.corpora.labels import ctm as module
from inattention.corpora.labels.ctm import Ctm, CtmError, read_ctm
from intervals import QUICK, TOKEN, intervals


def parse(text: str) -> Ctm:
    return Ctm(text.split("\n"))


@QUICK
@given(intervals(TOKEN), TOKEN)
def test_a_ctm_is_read_as_it_was_written(phones: list, name: str) -> None:
    lines = [f"{name} 1 {a:.3f} {b - a:.3f} {s}" for s, a, b in phones]
    if any(line.startswith(";;") for line in lines):
        return
    found = Ctm(reversed(lines)).labels(name).intervals
    assert [interval.symbol for interval in found] == [s for s, _, _ in phones]
    assert [interval.line for interval in found] == list(range(len(lines), 0, -1))
    assert all(abs(x[1] - y[1]) < 1e-3 and abs(x[2] - y[2]) < 2e-3 for x, y in zip(found, phones, strict=True))


@QUICK
@given(st.text(max_size=200))
def test_text_that_is_no_ctm_is_refused_or_holds_nothing(text: str) -> None:
    try:
        ctm = parse(text)
    except CtmError:
        return
    for name in ctm.names:
        if ctm.error(name) is None:
            assert all(0 <= a <= b < math.inf for _, a, b, _ in ctm.labels(name).intervals)


KALDI = "a 1 0.00 0.50 ah\na 1 0.50 0.50 b"
LINES = {
    "Kaldi, 5 fields": KALDI,
    "Kaldi, 6 fields": "a 1 0.00 0.50 ah 1.00\na 1 0.50 0.50 b 0.93",
    "NIST, 7 fields": "a 1 0.00 0.50 ah NA lex\na 1 0.50 0.50 b NA non-lex",
    "NeMo, 8 fields": "a 1 0.00 0.50 ah NA lex NA\na 1 0.50 0.50 b NA lex NA",
    "comments": f";; CTM\n{KALDI}\n;;a 1 0 9 x\n  ;; b\n\n",
    "names of channels": KALDI.replace(" 1 ", " A "),
    "a channel each": KALDI.replace("1 0.50", "B 0.50"),
    "tabs": KALDI.replace(" ", "\t"),
    "any order": "\n".join(reversed(KALDI.split("\n"))),
}


@pytest.mark.parametrize("kind", LINES)
def test_every_writer_of_ctm_is_understood(kind: str) -> None:
    found = parse(LINES[kind]).labels("a").intervals
    assert [interval[:3] for interval in found] == [("ah", 0.0, 0.5), ("b", 0.5, 1.0)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a 1 0 1", "line 1: has 4 fields"),
        ("a 1 0 1 x 0.5 lex y z", "has 9 fields"),
        ("a 1 0 1 x 0.5 y", "the type is 'y'"),
        ("\na 1 0 nan x", "line 2: the duration is 'nan', which is no number"),
        ("a 1 1_0 1 x", "which is no number"),
        ("a 1 -1 1 x", "below 0"),
        ("a 1 0 1 x high", "the confidence is 'high'"),
        ("a A 0 1 x\na B 0.5 1 y", r"channels that overlap \('A', 'B'\)"),
    ],
)
def test_an_error_names_the_line(text: str, words: str) -> None:
    with pytest.raises(CtmError, match=words):
        parse(text).labels("a")


def test_a_damaged_line_costs_the_recording_that_it_names() -> None:
    ctm = parse("a 1 0 1 x\nb 1 0 one x\na 1 1 1 y")
    assert [interval.symbol for interval in ctm.labels("a").intervals] == ["x", "y"]
    with pytest.raises(CtmError, match="line 2: the duration is 'one'"):
        ctm.labels("b")


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_file_is_read_in_any_unicode_coding_and_with_any_line_break(tmp_path: Path, coding: str) -> None:
    for end in ("\n", "\r\n", "\r"):
        (tmp_path / "a.ctm").write_bytes(f"é 1 0 1 ah{end}é 1 1 1 b{end}".encode(coding))
        assert len(read_ctm(tmp_path / "a.ctm").labels("é").intervals) == 2


def test_other_codings_are_read_by_their_name(tmp_path: Path) -> None:
    (tmp_path / "a.ctm").write_bytes("a 1 0 1 s\né 1 0 1 ah\n".encode("latin-1"))
    assert read_ctm(tmp_path / "a.ctm", "latin-1").names == ["a", "é"]
    with pytest.raises(CtmError, match=r"not text in utf-8 \(line 2\): --encoding latin-1"):
        read_ctm(tmp_path / "a.ctm", "utf-8")
    (tmp_path / "a.ctm").write_bytes("é 1 0 1 ah\n".encode("utf-16")[:-1])
    with pytest.raises(CtmError, match="not text in utf-16"):
        read_ctm(tmp_path / "a.ctm", "latin-1")


def test_what_is_no_file_is_too_large_or_has_endless_lines_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CtmError, match="is no plain file"):
        read_ctm(tmp_path)
    with pytest.raises(CtmError, match="cannot be read"):
        read_ctm(tmp_path / "none")
    (tmp_path / "a.ctm").write_text("a 1 0 1 " + "x" * module.LONGEST_LINE)
    with pytest.raises(CtmError, match="line 1: is longer than"):
        read_ctm(tmp_path / "a.ctm")
    monkeypatch.setattr(module, "LARGEST", 10)
    with pytest.raises(CtmError, match="is larger than 10 bytes"):
        read_ctm(tmp_path / "a.ctm")
