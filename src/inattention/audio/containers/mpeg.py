"""MPEG audio (MP3 and layers 1 and 2): frames, and the tags around and between them.

Without a Xing header libsndfile estimates the length from the first frames, and stops there or reports more than there
is; it never reads beyond a first file to others that were appended. Here the frames are counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from inattention.audio.containers.layout import File, Layout, Segment, read_at

# Of junk before the first frame; a file that begins with more is something else.
SEARCHED = 2**16
# Frames in a row that are proof of a stream.
PROOF = 3

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # by version bits
# kbit/s by (MPEG-1, layer), from index 1.
_BIT_RATES = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_BIT_RATES[False, 3] = _BIT_RATES[False, 2]
# Fields of a Xing header: flag and length. The first two are the numbers of frames and of bytes.
_XING_FIELDS = ((1, 4), (2, 4), (4, 100), (8, 4))
_XING_FRAMES, _XING_BYTES = 1, 2
# Of a file with a hole: a decoder looks for a tag there.
TAIL = 4096


class Frame(NamedTuple):
    """Contents of a frame's header; `kind` is equal for frames of one stream."""

    length: int
    samples: int
    rate: int
    channels: int
    layer: int
    kind: int


@dataclass
class _Part:
    """Frames that one encoder wrote.

    Attributes:
        runs: Where its frames are: first byte and end of those without tags or junk between them.
        first: Header of the first frame, which may be a Xing header.
        frames: Number of whole frames of sound.
        promised: Number of frames that its Xing header states, if it does.
        label: Place of the word Xing, Info or VBRI in the file; 0 without one.
    """

    runs: list[tuple[int, int]]
    first: Frame
    frames: int = 0
    promised: int | None = None
    label: int = 0

    def add(self, place: int, found: Frame) -> None:
        """Add the next frame."""
        first, end = self.runs[-1]
        if place == end:
            self.runs[-1] = (first, place + found.length)
        else:
            self.runs.append((place, place + found.length))
        self.frames += not place < self.label < place + found.length

    @property
    def start(self) -> int:
        """Place of the first frame."""
        return self.runs[0][0]

    @property
    def is_true(self) -> bool:
        """Whether the header's number is right; some count themselves."""
        return self.promised is not None and self.promised - self.frames in (0, 1)


def frame(head: bytes) -> Frame | None:
    """Return what the four bytes of a frame's header say; None if they are none, or of a free bit rate.

    >>> frame(bytes.fromhex("fffb9064"))
    Frame(length=417, samples=1152, rate=44100, channels=2, layer=3, kind=16775680)
    """
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    index, rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or rate == 3 or not 1 <= index <= 14:
        return None
    hz = _RATES[version][rate]
    bits = _BIT_RATES[version == 3, layer][index - 1] * 1000
    padding = head[2] >> 1 & 1
    samples = 384 if layer == 1 else 1152 if layer == 2 or version == 3 else 576
    length = (12 * bits // hz + padding) * 4 if layer == 1 else samples // 8 * bits // hz + padding
    channels = 1 if head[3] >> 6 == 3 else 2
    return Frame(length, samples, hz, channels, layer, head[0] << 16 | (head[1] & 0xFE) << 8 | head[2] & 0x0C)


def tag_end(file: File, place: int) -> int:
    """Return where a tag (ID3v2, ID3v1, APE) at a place ends; the place itself if there is none."""
    head = read_at(file, place, 32)
    if head[:3] == b"ID3" and len(head) >= 10 and not any(byte & 0x80 for byte in head[6:10]):
        length = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        return place + 10 + length + (10 if head[5] & 0x10 else 0)
    if head[:3] == b"TAG":
        return place + 128
    if head[:8] == b"APETAGEX" and len(head) >= 24:
        has_header = len(head) == 32 and head[23] & 0x20
        return place + 32 + (int.from_bytes(head[12:16], "little") if has_header else 0)
    return place


def tags_end(file: File, size: int) -> int:
    """Return where the tags at the beginning of a file end."""
    place = 0
    while place < size and (end := tag_end(file, place)) > place:
        place = end
    return place


def begins(file: File, size: int) -> bool:
    """Return whether frames follow each other from the beginning of a file on, after tags and zeros."""
    place = tags_end(file, size)
    data = read_at(file, place, SEARCHED)
    place += len(data) - len(data.lstrip(b"\0"))
    found = frame(read_at(file, place, 4))
    return found is not None and _continues(file, size, place, found)


def mpeg_layout(file: File, size: int) -> Layout:
    """Return the layout of MPEG audio; files that were appended to each other are parts."""
    parts, cut = _parts(file, size)
    if not parts:
        return Layout()
    plain = len(parts) == 1 and parts[0].is_true and parts[0].runs == [(0, size)]
    last = parts[-1]
    less = last.promised is not None and last.promised - last.frames > 1
    damage = "its last frame is cut off" if cut else "frames are missing" if less else ""
    seconds = None
    if damage and last.promised is not None:
        seconds = sum(_promised_samples(file, part) / part.first.rate for part in parts)
    segments = tuple(_segments(file, part, is_whole=part is not last or not damage) for part in parts)
    return Layout(() if plain else segments, streamed=True, seconds=seconds, damage=damage)


def _parts(file: File, size: int) -> tuple[list[_Part], bool]:
    """Return all runs of frames, and whether the last frame is cut off."""
    parts: list[_Part] = []
    cut = False
    for place, found in _frames(file, size):
        cut = place + found.length > size
        if cut:
            break
        label, promised = _label(file, place, found) if found.layer == 3 else (0, None)
        part = parts[-1] if parts else None
        # A tag in the middle of a stream parts nothing: its frames may refer to those before it.
        same = part is not None and part.first.kind == found.kind and part.first.channels == found.channels
        if part is None or label or not same:
            part = _Part([(place, place)], found, promised=promised, label=label)
            parts.append(part)
        part.add(place, found)
    return [part for part in parts if part.frames], cut


def _frames(file: File, size: int) -> Iterator[tuple[int, Frame]]:
    """Yield each frame with its place, the last one perhaps cut off; tags and junk between them are passed over."""
    place, kind = tags_end(file, size), 0
    last = place + SEARCHED  # place of the first frame at most
    while place < min(size - 3, last):
        found = frame(read_at(file, place, 4))
        if found is not None and (found.kind == kind or _continues(file, size, place, found)):
            yield place, found
            place, kind, last = place + found.length, found.kind, size
            continue
        kind = 0
        end = tag_end(file, place)
        place = end if end > place else _next_frame(file, size, place + 1)


def _continues(file: File, size: int, place: int, found: Frame) -> bool:
    """Return whether frames of one kind follow each other from a place on, or up to the end or a tag."""
    for step in range(PROOF):
        place += found.length
        if place >= size - 3:
            return step > 0 or place <= size
        if tag_end(file, place) > place:
            return True
        following = frame(read_at(file, place, 4))
        if following is None or following.kind != found.kind:
            return False
        found = following
    return True


def _next_frame(file: File, size: int, place: int) -> int:
    """Return the place of the next byte where a frame or a tag may begin; the end of the file if there is none."""
    while place < size:
        data = read_at(file, place, SEARCHED)
        found = [at for word in (b"\xff", b"ID3", b"TAG", b"APETAGEX") if (at := data.find(word)) >= 0]
        if found:
            return place + min(found)
        if len(data) < SEARCHED:
            break
        place += SEARCHED - 8
    return size


def _label(file: File, place: int, found: Frame) -> tuple[int, int | None]:
    """Return where a frame has a Xing or VBRI header (0: nowhere), and the number of frames that Xing states."""
    data = read_at(file, place, 4 + 2 + 32 + 18)
    side = _side_bytes(found)
    for at in (4 + side, 6 + side):  # with a checksum, two bytes later
        if data[at : at + 4] in (b"Xing", b"Info"):
            has = len(data) >= at + 12 and data[at + 7] & _XING_FRAMES
            return place + at, int.from_bytes(data[at + 8 : at + 12], "big") if has else None
    return (place + 36, None) if data[36:40] == b"VBRI" else (0, None)


def _side_bytes(found: Frame) -> int:
    """Return the length of a frame's side information (layer 3)."""
    mpeg1 = found.samples == 1152
    return (32 if mpeg1 else 17) if found.channels == 2 else (17 if mpeg1 else 9)


def _segments(file: File, part: _Part, *, is_whole: bool) -> tuple[Segment, ...]:
    """Return a run of frames as a part that is decoded to its end.

    Where no Xing header states the number of frames, libsndfile stops after as many as it estimates from the size of
    the file: a hole makes the file look larger than its frames can be.
    """
    if part.is_true and is_whole:
        return tuple(part.runs)
    (start, end), *others = part.runs
    if part.label:
        start += part.first.length
    if part.promised is None:
        return (start, end), *others, 2 * part.frames * part.first.length + SEARCHED, bytes(TAIL)
    head = bytearray(read_at(file, part.start, part.first.length))
    at = part.label - part.start
    head[at + 8 : at + 12] = part.frames.to_bytes(4, "big")
    if head[at + 7] & _XING_BYTES:  # a decoder warns if it is not so
        head[at + 12 : at + 16] = sum(b - a for a, b in part.runs).to_bytes(4, "big")
    if not is_whole:
        _remove_padding(head, at)
    return bytes(head), (start, end), *others


def _promised_samples(file: File, part: _Part) -> int:
    """Return the samples that a run's Xing header promises, less what its encoder put before and after the sound."""
    head = read_at(file, part.start, part.first.length)
    place = _delays(head, part.label - part.start) if part.promised else len(head)
    raw = int.from_bytes(head[place : place + 3], "big")
    return (part.promised or part.frames) * part.first.samples - (raw >> 12) - (raw & 0xFFF)


def _remove_padding(head: bytearray, at: int) -> None:
    """Set the padding that an encoder reports, which is no longer at the end, to none."""
    place = _delays(head, at)
    if len(head) >= place + 3:
        head[place + 1] &= 0xF0
        head[place + 2] = 0


def _delays(head: bytes | bytearray, at: int) -> int:
    """Return where in a Xing frame the encoder's delay and padding are, 12 bits each; the end of the frame without."""
    flags = head[at + 7]
    place = at + 8 + sum(length for flag, length in _XING_FIELDS if flags & flag)
    return place + 21 if bytes(head[place : place + 4]).isalnum() else len(head)  # LAME, Lavc, ...
