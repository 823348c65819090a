"""Layout of a file for its decoder: as it is, or as parts of it, with bytes of headers replaced."""

import io
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

File = io.BufferedIOBase | io.RawIOBase
"""A binary file that can be sought."""

Segment = bytes | tuple[int, int] | int
"""Bytes that stand for themselves; a stretch of the file, first byte and end; or the length of a hole, where reading
ends as it does at the end of a file."""

APPENDED = (
    "another file was appended to it, which would be lost: split it into files, or join them with "
    "`sox FIRST SECOND JOINED`"
)


@dataclass(frozen=True)
class Layout:
    """The parts of a file, and what its headers promise.

    Attributes:
        parts: Each is decoded on its own, and the samples are joined; the whole file as it is if there are none.
        streamed: The headers need not state the true length: it is found by decoding.
        share: Fraction of the promised bytes of audio that the file holds.
        seconds: Duration that the headers promise, where `share` does not state it.
        damage: Why the file is not whole, if it is not.
        refusal: Why the file is not decoded at all, if it is not.
    """

    parts: tuple[tuple[Segment, ...], ...] = ()
    streamed: bool = False
    share: float = 1.0
    seconds: float | None = None
    damage: str = ""
    refusal: str = ""


class Spliced(io.RawIOBase):
    """A read-only view of a file that joins segments; what the file does not hold is missing at the end.

    Args:
        file: An open file that can be sought.
        segments: In order.

    >>> Spliced(io.BytesIO(b"0123456789"), ((2, 4), b"ab", (7, 9))).readall()
    b'23ab78'
    """

    def __init__(self, file: File, segments: tuple[Segment, ...]) -> None:
        self._file, self._segments = file, segments
        self._starts = [0, *accumulate(map(_length, segments))]
        self._place = 0
        self.error: OSError | None = None

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place; see `io.IOBase.seek`."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._starts[-1]}[whence]
        self._place = max(0, base + offset)
        return self._place

    def tell(self) -> int:
        """Return the current place."""
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, as far as the file goes. libsndfile takes a short answer for the end of the file."""
        done, wanted = 0, len(buffer)
        try:
            while done < wanted and self._place < self._starts[-1]:
                data = self._next(wanted - done)
                if not data:
                    break
                buffer[done : done + len(data)] = data
                done += len(data)
                self._place += len(data)
        except OSError as error:  # an exception must not cross libsndfile, which called this
            self.error = error
        return done

    def _next(self, most: int) -> bytes:
        """Read from the segment of the current place."""
        number = bisect_right(self._starts, self._place) - 1
        segment, offset = self._segments[number], self._place - self._starts[number]
        if isinstance(segment, bytes):
            return segment[offset : offset + most]
        if isinstance(segment, int):
            return b""
        self._file.seek(segment[0] + offset)
        return self._file.read(min(most, segment[1] - segment[0] - offset))


def _length(segment: Segment) -> int:
    if isinstance(segment, int):
        return segment
    return len(segment) if isinstance(segment, bytes) else segment[1] - segment[0]


def read_at(file: File, place: int, count: int) -> bytes:
    """Read some bytes at a place; fewer at the end of the file."""
    file.seek(place)
    return file.read(count)
