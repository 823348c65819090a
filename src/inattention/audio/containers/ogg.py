"""Ogg: pages of one or several streams, one after the other (a chain). RFC 3533.

libsndfile decodes the first stream of a chain and leaves the others out, does not notice that pages are missing or that
the last one is, and ends where the last page's position says, which some writers set wrongly.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from inattention.audio.containers.layout import File, Layout, Segment, read_at

MAGIC = b"OggS"
_FIRST, _LAST = 2, 4
# Of the first packet. Two forms of FLAC: as Xiph maps it, with a version and the number of headers, and before that.
_HEADER = re.compile(rb"\x01vorbis|OpusHead|(\x7fFLAC....)?fLaC", re.DOTALL)
_FLAC = b"fLaC"
_SEARCHED = 2**16
# Larger than any position in a file, and small enough for no overflow in a decoder: decode to the end.
_FAR = 2**40
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Page(NamedTuple):
    """A page that is whole; `position` counts samples at its end, -1 if no packet ends in it."""

    start: int
    body: int
    end: int
    flags: int
    position: int
    serial: int
    number: int


@dataclass
class _Stream:
    """The audio of one link of a chain; `bodies` are the contents of its pages, for FLAC alone."""

    start: int
    end: int = 0
    serial: int | None = None
    header: bytes = b""
    bodies: list[tuple[int, int]] = field(default_factory=list)
    pages: int = 0
    missing: int = 0
    last: Page | None = None
    furthest: int = 0

    def add(self, page: Page) -> None:
        """Take the next page of the stream."""
        if self.last is not None:
            self.missing += max(0, page.number - self.last.number - 1)
            self.furthest = max(self.furthest, self.last.position)
        self.last, self.end = page, page.end
        if self.is_flac:
            self.bodies.append((page.body, page.end))
        self.pages += 1

    @property
    def is_flac(self) -> bool:
        return self.header.endswith(_FLAC)

    @property
    def is_complete(self) -> bool:
        return self.last is not None and bool(self.last.flags & _LAST)

    @property
    def has_position(self) -> bool:
        """Whether the position of the last page can be the length."""
        return self.last is not None and self.last.position >= self.furthest and 0 < self.last.position < _FAR


def checksum(page: bytes) -> int:
    """Return the checksum of a page whose own field for it is zero: CRC-32, most significant bit first, from 0."""
    reflected = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{reflected:032b}"[::-1], 2)


def ogg_layout(file: File, size: int, magic: bytes) -> Layout:
    """Return the layout of an Ogg file; each link of a chain is a part."""
    streams, end = _streams(file, size)
    if not streams:
        return Layout(streamed=True, damage="it ends within its headers")
    damage = ""
    missing = sum(stream.missing for stream in streams)
    if missing:
        damage = f"{missing} of its pages are missing or damaged"
    elif not streams[-1].is_complete or end < size:
        damage = "its last page is missing"
    parts = tuple(_segments(file, stream) for stream in streams)
    plain = len(parts) == 1 and len(parts[0]) == 1 and parts[0][0] == (0, size)
    return Layout(() if plain else parts, streamed=True, damage=damage)


def _streams(file: File, size: int) -> tuple[list[_Stream], int]:
    """Return the audio of each link, and where the last whole page or what follows the last stream ends."""
    links: list[_Stream] = []
    opening = False
    end = 0
    for page in _pages(file, size):
        if page.flags & _FIRST:
            if not opening:
                links.append(_Stream(page.start))
            opening = True
            header = re.match(_HEADER, read_at(file, page.body, 16))
            if links[-1].serial is None and header:
                links[-1].serial, links[-1].header = page.serial, header[0]
        else:
            opening = False
        if links and page.serial == links[-1].serial:
            links[-1].add(page)
        end = page.end
    found = [link for link in links if link.serial is not None and link.pages > 1]
    # Junk after a stream that was ended properly (a tag, padding) is no loss.
    return found, size if found and found[-1].is_complete else end


def _pages(file: File, size: int) -> Iterator[Page]:
    """Yield the pages that are whole and sound; junk between them is skipped."""
    place = 0
    while place < size:
        page = _page(file, place, size)
        if page is not None:
            yield page
            place = page.end
            continue
        ahead = read_at(file, place + 1, _SEARCHED)
        step = ahead.find(MAGIC)
        place += 1 + (step if step >= 0 else max(1, len(ahead) - 3))


def _page(file: File, place: int, size: int) -> Page | None:
    head = read_at(file, place, 27)
    if len(head) < 27 or head[:5] != MAGIC + b"\0":
        return None
    flags, position, serial, number, check, count = struct.unpack("<BqIIIB", head[5:])
    lengths = read_at(file, place + 27, count)
    end = place + 27 + count + sum(lengths)
    if len(lengths) < count or end > size:
        return None
    body = read_at(file, place + 27, end - place - 27)
    if checksum(head[:22] + bytes(4) + head[26:] + body) != check:
        return None
    return Page(place, place + 27 + count, end, flags, position, serial, number)


def _segments(file: File, stream: _Stream) -> tuple[Segment, ...]:
    """Return a link as a part; its last page is mended where a decoder would stop too early or fail."""
    last = stream.last
    assert last is not None
    if stream.is_flac:  # libsndfile's FLAC is built without Ogg; without the pages it is plain FLAC
        (start, end), *others = stream.bodies
        return (start + len(stream.header) - len(_FLAC), end), *others
    if stream.is_complete and stream.has_position:
        return ((stream.start, stream.end),)
    page = bytearray(read_at(file, last.start, last.end - last.start))
    page[5] |= _LAST
    if not stream.has_position:
        page[6:14] = struct.pack("<q", stream.furthest + _FAR)
    page[22:26] = bytes(4)
    page[22:26] = struct.pack("<I", checksum(bytes(page)))
    return (stream.start, last.start), bytes(page)
