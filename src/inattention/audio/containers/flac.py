"""FLAC: files that were appended to each other. RFC 9639.

libFLAC stops after the samples that the first header states, so a second stream would be lost without a word. A frame
does not state its length: the only way to find another stream is to look for its header in the whole file.
"""

import os
import re
from collections.abc import Iterator

from inattention.audio.containers.layout import APPENDED, File, Layout, read_at
from inattention.audio.containers.mpeg import tag_end

MAGIC = b"fLaC"
# A marker with the stream's properties (34 bytes), or the beginning of another format. 12 bytes are no coincidence.
_START = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22.{4}|RIFF.{4}WAVE|OggS\x00\x02\x00{8}", re.DOTALL)
_LONGEST, _BLOCK = 16, 2**20
_TAG_SEARCHED = 2**16
_MOST_REMEMBERED = 4096
_remembered: dict[tuple[int, ...], Layout] = {}


def flac_layout(file: File, size: int, start: int) -> Layout:
    """Return the layout of a FLAC file; streams that were appended are parts.

    Args:
        file: The file.
        size: Its length in bytes.
        start: Where the first stream begins.
    """
    key = _identity(file)
    if key not in _remembered:
        layout = _read(file, size, start)
        if not key:
            return layout
        if len(_remembered) >= _MOST_REMEMBERED:
            _remembered.clear()
        _remembered[key] = layout
    return _remembered[key]


def _identity(file: File) -> tuple[int, ...]:
    """Return what tells a file on disk from others, so that reading many pieces of it searches it once."""
    try:
        status = os.fstat(file.fileno())
    except OSError:
        return ()
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _read(file: File, size: int, start: int) -> Layout:
    starts = [start]
    for place in _starts(file, _metadata_end(file, size, start), size):
        if read_at(file, place, 4) != MAGIC:
            return Layout(refusal=APPENDED)
        starts.append(place)
    ends = [*(_without_tag(file, place) for place in starts[1:]), size]
    # libFLAC would look for frames in a tag at the end.
    ends[-1] = size - 128 if size > 128 and read_at(file, size - 128, 3) == b"TAG" else size
    if len(starts) == 1:
        return Layout((((start, ends[0]),),) if ends[0] < size else (), streamed=True)
    promised = [_promised_seconds(file, place) for place in starts]
    parts = tuple(((begin, end),) for begin, end in zip(starts, ends, strict=True))
    return Layout(parts, streamed=True, seconds=sum(promised) if all(promised) else None)


def _metadata_end(file: File, size: int, start: int) -> int:
    """Return where the frames begin: what a picture holds is no stream."""
    place, last = start + 4, False
    while not last and place < size:
        head = read_at(file, place, 4)
        if len(head) < 4:
            return size
        last = bool(head[0] & 0x80)
        place += 4 + int.from_bytes(head[1:], "big")
    return place


def _starts(file: File, place: int, size: int) -> Iterator[int]:
    """Yield the places of other files' beginnings."""
    while place < size:
        data = read_at(file, place, _BLOCK)
        if not data:
            return
        if found := _START.search(data):
            yield place + found.start()
            place = _metadata_end(file, size, place + found.start())
        else:
            place += max(1, len(data) - _LONGEST) if len(data) == _BLOCK else len(data)


def _without_tag(file: File, place: int) -> int:
    """Return where a stream ends before the next one: before its own tag and that of the next."""
    first = max(0, place - _TAG_SEARCHED)
    before = read_at(file, first, place - first)
    for at in (before.rfind(b"ID3"), len(before) - 128):
        if at >= 0 and before[at : at + 3] in (b"ID3", b"TAG") and tag_end(file, first + at) == place:
            return first + at
    return place


def _promised_seconds(file: File, start: int) -> float:
    """Return the duration that a stream's header states; 0 if it does not."""
    number = int.from_bytes(read_at(file, start + 18, 8), "big")  # rate: 20 bits, channels: 3, bits: 5, samples: 36
    rate, samples = number >> 44, number & (2**36 - 1)
    return samples / rate if rate else 0.0
