"""Suggestions, escapes and columns for error messages and terminals."""

import os

import pytest

from inattention.text import aligned, nearest, printable


def test_a_similar_word_is_suggested_and_all_known_words_are_listed() -> None:
    assert nearest("xbx", ["xbox", "qk"]) == "; perhaps 'xbox'? Known: qk, xbox"
    assert nearest("9", ["xbox", "qk"]) == "; Known: qk, xbox"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ü 日本", "ü 日本"),
        ("a\tb\n", r"a\tb\n"),
        ("\x1b[31m", r"\x1b[31m"),
        (os.fsdecode(b"odd\xff.wav"), r"odd\xff.wav"),
        ("\ud800", r"\ud800"),
    ],
)
def test_printable_text_stands_on_one_line(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_the_first_column_is_aligned_left_and_the_others_right() -> None:
    assert aligned([["a", "number"], ["longer", "1"]]).splitlines() == ["a       number", "longer       1"]
