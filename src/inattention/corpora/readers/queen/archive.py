"""The files of *Flight of the Amazon Queen*: the index of `queen.1c`, and the lines of its dialogue files.

Nothing that the archive says of itself is believed: every offset, length and count is held against the bytes that are
there. The format is documented by ScummVM's `queen` engine; all numbers are big-endian.

An archive begins with `QTBL`, the game's version (5 characters and a zero), 2 unused bytes, a byte for the compression
of its sounds, and the number of entries; each entry is a name of 12 characters, a byte, an offset and a size.

A dialogue file (`.DOG`) holds what Joe, the hero, and one other character say to each other. After a header of 20 bytes
that every file of its time has, it gives the levels of its tree, a number of no use here, the dialogue's *key*, and the
number of Joe's lines and of the other's; then, from byte 22, where the other's lines begin, where the rest begins, and
where the answers stand that are given when the two meet again. Joe's lines follow the tree, whose levels take 96 bytes
each. A line is 2 unused bytes, its number, a length and so many characters, filled up to a multiple of 4.

A line is spoken in pieces, which end at commands: an asterisk with two characters that move somebody. The sound of a
piece is called by the dialogue's key, the line's number, `J` for Joe or `P` for the other, and the piece's number.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inattention.corpora.errors import CorpusError

MAGIC = b"QTBL"
_HEADER = struct.Struct(">4s6s2xBH")
_ENTRY = struct.Struct(">12sBII")
_COMPRESSIONS = {0: "none", 1: "MP3", 2: "Ogg Vorbis", 3: "FLAC"}
_NAME = re.compile(r"[A-Z0-9_-]{1,8}(\.[A-Z0-9]{1,3})?")

_DIALOGUE_HEADER_BYTES = 20
_DIALOGUE_HEAD = struct.Struct(">5h12x3H4x")
_LEVEL_BYTES = 96
_FIRST_MEETING, _LATER_MEETING = "SSSS", "XXXX"
_MOVE = "XY"  # a command that is followed by a place, such as "00(237,112)"
_MOVE_CHARACTERS = 11


@dataclass(frozen=True)
class Entry:
    """Where a file stands in the archive: a name of capital letters and digits, with a suffix."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class Piece:
    """Something that is said: the name of its sound, who says it, and the words."""

    sound: str
    character: str
    text: str


class Archive:
    """The archive in a file.

    Attributes:
        path: Where it is.
        entries: Its sound files and all others, by name.
        bad: Entries that cannot be used, each with the reason.

    Raises:
        CorpusError: It is no such archive, its index is cut off, or its sounds are not compressed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {}
        self.bad: list[tuple[str, str]] = []
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(0)
                head = file.read(_HEADER.size)
                index = file.read(self._index_bytes(head, size))
        except OSError as error:
            raise CorpusError(f"cannot read {path}: {error}") from error
        for raw, _, offset, length in _ENTRY.iter_unpack(index):
            self._add(raw, offset, length, _HEADER.size + len(index), size)

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            CorpusError: There is none of that name, or the archive has become shorter.
        """
        entry = self.entries.get(name)
        if entry is None:
            raise CorpusError(f"{self.path} has no file {name!r}")
        return read_part(self.path, entry.offset, entry.size)

    def _index_bytes(self, head: bytes, size: int) -> int:
        if len(head) < _HEADER.size or not head.startswith(MAGIC):
            raise CorpusError(f"{self.path} is no queen.1c: it does not begin with {MAGIC.decode()}")
        _, _, compression, count = _HEADER.unpack(head)
        if compression not in (1, 2, 3):
            kind = _COMPRESSIONS.get(compression, f"unknown ({compression})")
            raise CorpusError(f"{self.path}: its sounds' compression is {kind}, not MP3, Ogg Vorbis or FLAC")
        if _HEADER.size + count * _ENTRY.size > size:
            raise CorpusError(f"{self.path} is cut off: its index of {count} files is longer than itself")
        return count * _ENTRY.size

    def _add(self, raw: bytes, offset: int, length: int, first: int, size: int) -> None:
        name = raw.rstrip(b"\0").decode("latin-1").upper()
        if not _NAME.fullmatch(name):
            self.bad.append((ascii(name), "no name for a file"))
        elif offset < first or offset + length > size:
            self.bad.append((name, f"its bytes {offset} to {offset + length} are not in the archive ({size} bytes)"))
        elif name in self.entries:
            self.bad.append((name, "stands in the index twice; the first is taken"))
        else:
            self.entries[name] = Entry(name, offset, length)


def read_part(path: Path, offset: int, size: int) -> bytes:
    """Some bytes of a file.

    Raises:
        CorpusError: It cannot be read, or ends before them.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(size)
    except OSError as error:
        raise CorpusError(f"cannot read {path}: {error}") from error
    if len(data) < size:
        raise CorpusError(f"{path} is cut off: it ends before byte {offset + size}")
    return data


def dialogue(name: str, data: bytes) -> dict[str, Piece]:
    """What is said in a dialogue file, by the names of the sounds; those that a line does not have are listed too.

    Args:
        name: Of the file, such as `TAM1.DOG`: without digits and suffix it names the character.
        data: Its bytes.

    Raises:
        CorpusError: It is damaged; the message says where.
    """
    reader = _Reader(name, data)
    levels, _, key, joe_lines, other_lines, other_start, _, again_start = reader.unpack(0, _DIALOGUE_HEAD)
    other = name.partition(".")[0].rstrip("0123456789").lower()
    pieces: dict[str, Piece] = {}

    def add(number: str, who: str, line: str) -> None:
        for count, text in enumerate(_pieces(line), 1):
            sound = f"{key:2d}{number}{who}{count:X}.SB".replace(" ", "0").upper()
            character = "joe" if who == "J" else other
            # Of two lines with one number the game takes the first.
            pieces.setdefault(sound, Piece(sound, character, text))

    for number, line in reader.lines(32 + abs(levels) * _LEVEL_BYTES, joe_lines):
        add(f"{number & 0xFFFF:4x}" if number else _FIRST_MEETING, "J", line)
    for number, line in reader.lines(other_start, other_lines):
        if number:  # the other never speaks first
            add(f"{number & 0xFFFF:4x}", "P", line)
    others, end = reader.string(again_start, 2)
    joes, _ = reader.string(end, 2)
    add(_LATER_MEETING, "P", others)
    add(_LATER_MEETING, "J", joes)
    return pieces


class _Reader:
    """The bytes of a dialogue file after its header, which cannot be read past their end."""

    def __init__(self, name: str, data: bytes) -> None:
        self._name = name
        self._data = data[_DIALOGUE_HEADER_BYTES:]

    def unpack(self, offset: int, form: struct.Struct) -> tuple[int, ...]:
        self._check(offset, form.size)
        return form.unpack_from(self._data, offset)

    def string(self, offset: int, align: int) -> tuple[str, int]:
        """The string at `offset`, and where the next thing begins: a string that is not empty is filled up."""
        self._check(offset, 1)
        length, first = self._data[offset], offset + 1
        if not length:
            return "", first
        self._check(first, length)
        return self._data[first : first + length].decode("latin-1"), -(-(first + length) // align) * align

    def lines(self, offset: int, count: int) -> Iterator[tuple[int, str]]:
        """So many lines from `offset` on: number and words."""
        if count < 0:
            raise CorpusError(f"{self._name} is damaged: it is to hold {count} lines")
        for _ in range(count):
            self._check(offset, 4)
            (number,) = struct.unpack_from(">2xh", self._data, offset)
            line, offset = self.string(offset + 4, 4)
            yield number, line

    def _check(self, offset: int, size: int) -> None:
        if offset + size > len(self._data):
            where = offset + _DIALOGUE_HEADER_BYTES
            raise CorpusError(f"{self._name} is damaged: it ends before byte {where + size}, where a line goes on")


def _pieces(line: str) -> Iterator[str]:
    """A line cut at its commands."""
    start = at = 0
    while (at := line.find("*", at)) >= 0:
        yield line[start:at]
        move = line.startswith(_MOVE, at + 1)
        start = at = at + 3 + (_MOVE_CHARACTERS if move else 0)
    if start < len(line):
        yield line[start:]
