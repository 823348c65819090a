import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inattention.corpora.errors import CorpusError
from inattention.corpora.readers.queen.archive import Archive, Piece, dialogue, read_part

from . import queen_archive as made

TALK = made.dialogue(
    7,
    [(0, "Hello."), (9, "*FRWho are you?*02"), (0x1F, "Go*XY00(237,112) on.")],
    [(0, "never said"), (1, "Hi."), (9, "One.*05Two.*WT"), (9, "never found")],
    ("You again?", "Me again."),
)
SOUNDS = {
    "07SSSSJ1.SB": Piece("07SSSSJ1.SB", "joe", "Hello."),
    "070009J1.SB": Piece("070009J1.SB", "joe", ""),
    "070009J2.SB": Piece("070009J2.SB", "joe", "Who are you?"),
    "07001FJ1.SB": Piece("07001FJ1.SB", "joe", "Go"),
    "07001FJ2.SB": Piece("07001FJ2.SB", "joe", " on."),
    "070001P1.SB": Piece("070001P1.SB", "bob", "Hi."),
    "070009P1.SB": Piece("070009P1.SB", "bob", "One."),
    "070009P2.SB": Piece("070009P2.SB", "bob", "Two."),
    "07XXXXP1.SB": Piece("07XXXXP1.SB", "bob", "You again?"),
    "07XXXXJ1.SB": Piece("07XXXXJ1.SB", "joe", "Me again."),
}


def stored(tmp_path: Path, data: bytes) -> Archive:
    path = tmp_path / "queen.1c"
    path.write_bytes(data)
    return Archive(path)


def test_lines_are_tied_to_their_sounds_and_characters():
    assert dialogue("BOB2.DOG", TALK) == SOUNDS


def test_files_are_read_by_their_names(tmp_path):
    archive = stored(tmp_path, made.archive({"A.SB": b"one", "BOB2.DOG": TALK, "DATA": b"two"}))
    assert not archive.bad
    assert archive.read("A.SB") == b"one"
    assert archive.read("DATA") == b"two"
    assert dialogue("BOB2.DOG", archive.read("BOB2.DOG")) == SOUNDS
    with pytest.raises(CorpusError, match=r"has no file 'B\.SB'"):
        archive.read("B.SB")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "does not begin with QTBL"),
        (b"QTBL", "does not begin with QTBL"),
        (b"RIFF" + bytes(40), "does not begin with QTBL"),
        (made.archive({"A.SB": b"x"}, compression=0), "compression is none"),
        (made.archive({"A.SB": b"x"}, compression=9), "compression is unknown"),
        (made.archive({"A.SB": b"x"}, count=60_000), "cut off: its index of 60000 files"),
    ],
)
def test_what_is_no_archive_is_refused(tmp_path, data, message):
    with pytest.raises(CorpusError, match=message):
        stored(tmp_path, data)


@pytest.mark.parametrize("name", ["../A.SB", "A/B.SB", "\xe4.SB", ".SB", "A<B>.SB", "A.SB\n", ""])
def test_names_that_are_no_names_are_left_out(tmp_path, name):
    archive = stored(tmp_path, made.archive({name: b"x", "A.SB": b"y"}))
    assert set(archive.entries) == {"A.SB"}
    assert len(archive.bad) == 1


@pytest.mark.parametrize(("offset", "size"), [(0, 4), (10**9, 1), (2**32 - 1, 2**32 - 1), (57, 10**6)])
def test_entries_outside_the_archive_are_left_out(tmp_path, offset, size):
    data = bytearray(made.archive({"A.SB": b"x", "B.SB": b"y"}))
    struct.pack_into(">II", data, 15 + 13, offset, size)
    archive = stored(tmp_path, bytes(data))
    assert set(archive.entries) == {"B.SB"}
    assert "are not in the archive" in archive.bad[0][1]


def test_an_archive_that_becomes_shorter_is_an_error(tmp_path):
    path = tmp_path / "queen.1c"
    path.write_bytes(b"123")
    with pytest.raises(CorpusError, match="ends before byte 4"):
        read_part(path, 0, 4)


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_random_bytes_are_an_archive_or_an_error(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("random")
    for start in (b"", b"QTBLCEM10\0\0\0\x01"):
        path = folder / "queen.1c"
        path.write_bytes(start + data)
        try:
            archive = Archive(path)
        except CorpusError:
            continue
        for name, entry in archive.entries.items():
            assert len(archive.read(name)) == entry.size


@given(st.integers(0, len(TALK)))
@settings(max_examples=len(TALK), deadline=None)
def test_a_dialogue_that_is_cut_off_gives_what_is_there_or_an_error(length):
    if length == len(TALK):
        assert dialogue("BOB2.DOG", TALK[:length]) == SOUNDS
    else:
        with pytest.raises(CorpusError, match=r"BOB2\.DOG is damaged"):
            dialogue("BOB2.DOG", TALK[:length])


@given(st.binary(max_size=400), st.lists(st.tuples(st.integers(20, 55), st.integers(0, 255)), max_size=12))
@settings(max_examples=300, deadline=None)
def test_random_bytes_and_hostile_counts_are_a_dialogue_or_an_error(data, changes):
    hostile = bytearray(TALK)
    for place, value in changes:
        hostile[place] = value
    for bytes_ in (data, bytes(20) + data, bytes(hostile)):
        try:
            pieces = dialogue("BOB2.DOG", bytes_)
        except CorpusError:
            continue
        # No more can be said than stands there, however large the counts.
        assert sum(len(piece.text) for piece in pieces.values()) <= 4 * len(bytes_)


def test_counts_below_nothing_are_an_error():
    hostile = bytearray(TALK)
    struct.pack_into(">h", hostile, 20 + 6, -5)
    with pytest.raises(CorpusError, match="claims to have -5 lines"):
        dialogue("BOB2.DOG", bytes(hostile))
