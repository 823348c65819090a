"""Lines are tied to their text and character, and split."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from inattention.corpora.readers.queen.archive import Archive
from inattention.corpora.readers.queen.lines import Line, split_lines, spoken_lines, text_mark

from . import queen_archive as made


def test_lines_have_the_text_and_character_of_their_dialogue(tmp_path: Path) -> None:
    files = {
        "BOB1.DOG": made.dialogue(6, [(0x20, "Hello.")], [(0x20, "*FRHi.*02"), (0x21, " ")]),
        "BAD1.DOG": b"AmBk" + bytes(40) + b"\xff" * 9,
        "060020J1.SB": b"a",
        "060020P2.SB": b"bc",
        "060021P1.SB": b"d",
        "14SSSSSS.SB": b"a door",
        "C18A_101.SB": b"e",
        "OTHER.ACT": b"f",
    }
    path = tmp_path / "queen.1c"
    path.write_bytes(made.archive(files))
    archive = Archive(path)
    lines, bad = spoken_lines(archive)
    assert lines == [
        Line("060020j1", archive.entries["060020J1.SB"], "joe", "Hello."),
        Line("060020p2", archive.entries["060020P2.SB"], "bob", "Hi."),
        Line("060021p1", archive.entries["060021P1.SB"]),
        Line("c18a_101", archive.entries["C18A_101.SB"]),
    ]
    assert [name for name, _ in bad] == ["BAD1.DOG"]


@pytest.mark.parametrize("text", ["It's 24!", "it's twenty-four", "<cough> It\u2019s 24"])
def test_texts_that_are_spoken_alike_have_one_mark(text: str) -> None:
    assert text_mark(text) == text_mark("It's twenty four.")
    assert text_mark(text) != text_mark("It's forty two.")


def test_lines_are_split_by_speaker_and_by_mark():
    draw = np.random.default_rng(0)
    lines = [(f"{n:04d}", f"speaker-{n % 7}", (f"text {draw.integers(600)}", f"audio {n}")) for n in range(1000)]
    shares = {"train": 0.8, "dev": 0.1, "test": 0.1}
    splits = split_lines(lines, shares, 3)
    sides = {}
    for name, _, marks in lines:
        for mark in marks:
            sides.setdefault(mark, set()).add(splits[name])
    assert all(len(side) == 1 for side in sides.values())
    count = Counter((speaker, splits[name]) for name, speaker, _ in lines)
    of = Counter(speaker for _, speaker, _ in lines)
    for (speaker, split), lines_there in count.items():
        assert abs(lines_there / of[speaker] - shares[split]) < 0.03
    assert split_lines(lines[::-1], shares, 3) == splits
    assert split_lines(lines, shares, 4) != splits
