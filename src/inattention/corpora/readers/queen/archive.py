"""The file formats of *Flight of the Amazon Queen*: the archive `queen.1c` and its dialogue files.

Nothing in the archive is trusted: every offset, length and count is checked against the bytes that are there. The
format is documented by ScummVM's `queen` engine; all numbers are big-endian.

An archive starts with `QTBL`, the game's version (5 characters and a zero), 2 unused bytes, a byte for the compression
of its sounds, and the number of entries; each entry is a name of 12 characters, a byte, an offset and a size.

A dialogue file (`.DOG`) contains what Joe, the hero, and one other character say to each other. A header of 20 bytes,
common to all files of the game, is followed by the number of levels of the dialogue's tree, an unused number, the
dialogue's *key*, and the numbers of Joe's lines and of the other's; then, from byte 22 on, the offsets of the other's
lines, of the rest, and of the answers for a later meeting. Joe's lines follow the tree, whose levels take 96 bytes
each. A line is 2 unused bytes, its number, a length and that many characters, padded to a multiple of 4.

A line is spoken in pieces, which end at commands: an asterisk with two characters that move a figure. The name of a
piece's sound consists of the dialogue's key, the line's number, `J` for Joe or `P` for the other, and the piece's
number.
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
_MOVE = "XY"  # a command with a place after it, such as "00(237,112)"
_MOVE_CHARACTERS = 11


@dataclass(frozen=True)
class Entry:
    """A file in the archive: its name, of capital letters and digits with a suffix, and where its bytes are."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class Piece:
    """A spoken piece of a line: the name of its sound, the character, and the text."""

    sound: str
    character: str
    text: str


class Archive:
    """The index of an archive.

    Attributes:
        path: The archive.
        entries: All usable files in it, by name.
        bad: Entries that cannot be used, each with the reason.

    Raises:
        CorpusError: The file is not such an archive, its index is truncated, or its sounds are not compressed.
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
        """Return the bytes of a file.

        Raises:
            CorpusError: There is no file of that name, or the archive has become shorter.
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
            self.bad.append((ascii(name), "is not a file name"))
        elif offset < first or offset + length > size:
            self.bad.append((name, f"its bytes {offset} to {offset + length} are not in the archive ({size} bytes)"))
        elif name in self.entries:
            self.bad.append((name, "is in the index twice; the first one is used"))
        else:
            self.entries[name] = Entry(name, offset, length)


def read_part(path: Path, offset: int, size: int) -> bytes:
    """Return `size` bytes of a file from `offset` on.

    Raises:
        CorpusError: The file cannot be read, or ends before them.
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
    """Parse a dialogue file: its pieces by the names of their sounds, which need not all exist.

    Args:
        name: The file's name, such as `TAM1.DOG`: without digits and suffix it names the character.
        data: Its bytes.

    Raises:
        CorpusError: The file is damaged; the message says where.
    """
    reader = _Reader(name, data)
    levels, _, key, joe_lines, other_lines, other_start, _, again_start = reader.unpack(0, _DIALOGUE_HEAD)
    other = name.partition(".")[0].rstrip("0123456789").lower()
    pieces: dict[str, Piece] = {}

    def add(number: str, who: str, line: str) -> None:
        for count, text in enumerate(_pieces(line), 1):
            sound = f"{key:2d}{number}{who}{count:X}.SB".replace(" ", "0").upper()
            character = "joe" if who == "J" else other
            # Of two lines with the same number the game uses the first.
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
    """The bytes of a dialogue file after its header, read with bounds checks."""

    def __init__(self, name: str, data: bytes) -> None:
        self._name = name
        self._data = data[_DIALOGUE_HEADER_BYTES:]

    def unpack(self, offset: int, form: struct.Struct) -> tuple[int, ...]:
        self._check(offset, form.size)
        return form.unpack_from(self._data, offset)

    def string(self, offset: int, align: int) -> tuple[str, int]:
        """Return the string at `offset` and the offset after it, which is padded unless the string is empty."""
        self._check(offset, 1)
        length, first = self._data[offset], offset + 1
        if not length:
            return "", first
        self._check(first, length)
        return self._data[first : first + length].decode("latin-1"), -(-(first + length) // align) * align

    def lines(self, offset: int, count: int) -> Iterator[tuple[int, str]]:
        """Yield the number and the text of `count` lines from `offset` on."""
        if count < 0:
            raise CorpusError(f"{self._name} is damaged: it claims to have {count} lines")
        for _ in range(count):
            self._check(offset, 4)
            (number,) = struct.unpack_from(">2xh", self._data, offset)
            line, offset = self.string(offset + 4, 4)
            yield number, line

    def _check(self, offset: int, size: int) -> None:
        if offset + size > len(self._data):
            where = offset + _DIALOGUE_HEADER_BYTES
            raise CorpusError(f"{self._name} is damaged: it ends before byte {where + size}, in the middle of a line")


def _pieces(line: str) -> Iterator[str]:
    """Yield the parts of a line between its commands."""
    start = at = 0
    while (at := line.find("*", at)) >= 0:
        yield line[start:at]
        move = line.startswith(_MOVE, at + 1)
        start = at = at + 3 + (_MOVE_CHARACTERS if move else 0)
    if start < len(line):
        yield line[start:]
