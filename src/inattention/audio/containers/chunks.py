"""Containers of chunks (WAV, RF64, W64, AIFF, 8SVX, CAF) and plain headers (AU, SPHERE, VOC): is the audio complete?

libsndfile does not report that a file is shorter than its chunk of samples, and reads nothing of some files whose
length was not known when the header was written, as a program that writes to a pipe cannot know it.
"""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from inattention.audio.containers.layout import APPENDED, File, Layout, read_at

# Some writers of WAV count the header as samples: so much may be missing.
HEADER_BYTES = 44
MOST_CHUNKS = 10_000
LARGEST_SPHERE_HEADER = 2**16


class Chunk(NamedTuple):
    """A chunk; `field` is the place of its size, `start` that of its content."""

    name: bytes
    field: int
    start: int
    size: int


class Form(NamedTuple):
    """Form of the chunks of a container.

    Attributes:
        first: Place of the first chunk.
        name: Bytes of a chunk's name; only the first four count.
        size: Format of a chunk's size.
        counted: Bytes of the chunk's own header that are part of its size.
        align: Chunks begin at multiples of this.
        wanted: Names of the chunk of samples.
    """

    first: int
    name: int
    size: str
    counted: int
    align: int
    wanted: tuple[bytes, ...]


FORMS = {
    b"RIFF": Form(12, 4, "<I", 0, 2, (b"data",)),
    b"RIFX": Form(12, 4, ">I", 0, 2, (b"data",)),
    b"RF64": Form(12, 4, "<I", 0, 2, (b"data",)),
    b"FORM": Form(12, 4, ">I", 0, 2, (b"SSND", b"BODY")),
    b"riff": Form(40, 16, "<q", 24, 8, (b"data",)),
    b"caff": Form(8, 4, ">q", 0, 1, (b"data",)),
}


def chunked_layout(file: File, size: int, magic: bytes) -> Layout:
    """Return the layout of a container of chunks.

    Args:
        file: The file.
        size: Its length in bytes.
        magic: Its first four bytes, one of `FORMS`.
    """
    form = FORMS[magic]
    chunks = list(_chunks(file, size, form, form.first))
    if any(chunk.name in _STARTS for chunk in chunks):
        return Layout(refusal=APPENDED)
    found = {chunk.name: chunk for chunk in chunks if chunk.name in _OF_INTEREST}
    data = next((found[name] for name in form.wanted if name in found), None)
    if data is None:
        return Layout()
    rest, declared, field, kind = size - data.start, data.size, data.field, form.size
    long = found.get(b"ds64")
    if magic == b"RF64" and long is not None and declared == 0xFFFFFFFF:
        field, kind = long.start + 8, "<q"
        declared = _number(file, field, kind)
        if 0 < declared < rest:
            return _whole(file, size, data.start, declared)
    if declared == 0 and _is_empty(file, size, form, data.start):
        return Layout()
    if not _is_unknown(declared, kind):
        if rest >= declared - (HEADER_BYTES if magic in (b"RIFF", b"FORM") else 0):
            return Layout()
        damage, share = "its chunk of samples is cut off", rest / declared
        return Layout(_patched(size, field, kind, rest) if magic == b"caff" else (), share=share, damage=damage)
    if magic in (b"FORM", b"riff") or (kind == "<I" and declared):
        return Layout()  # libsndfile reads to the end of the file
    return Layout(_patched(size, field, kind, rest))


def sample_chunk_is_cut_off(file: File, size: int, magic: bytes) -> bool:
    """Return whether a container of chunks ends before its chunk of samples begins.

    Args:
        file: The file.
        size: Its length in bytes.
        magic: Its first four bytes, one of `FORMS`.
    """
    form = FORMS[magic]
    end, last = form.first, None
    for last in _chunks(file, size, form, form.first):
        if last.name in form.wanted:
            return False
        end = last.start + last.size
    if last is not None and last.size < 0:
        return False  # damaged, not cut off
    promised = 8 + _number(file, 4, form.size) if form.size.endswith("I") else 0
    return end != size or magic == b"caff" or promised > size + 1


_OF_INTEREST = (b"data", b"SSND", b"BODY", b"ds64")
# Beginnings of files, which are names of no chunks.
_STARTS = (b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b"caff", b".snd", b"dns.", b"fLaC", b"OggS", b"NIST", b"Crea")


def _chunks(file: File, size: int, form: Form, place: int) -> Iterator[Chunk]:
    """Yield the chunks from a place on, up to the first that reaches the end of the file."""
    head = form.name + struct.calcsize(form.size)
    for _ in range(MOST_CHUNKS):
        raw = read_at(file, place, head)
        if len(raw) < head:
            return
        length = struct.unpack(form.size, raw[form.name :])[0] - form.counted
        yield Chunk(raw[:4], place + form.name, place + head, length)
        if length < 0 or place + head + length >= size:
            return
        place += head + length
        place += -place % form.align


def _is_empty(file: File, size: int, form: Form, place: int) -> bool:
    """Return whether the chunks after a chunk of size 0 fill the file exactly, so that the 0 is true."""
    if place >= size:
        return True
    last = None
    for last in _chunks(file, size, form, place):
        if not re.fullmatch(rb"[A-Za-z0-9 _]{4}", last.name):
            return False
    return last is not None and last.size > 0 and size <= last.start + last.size <= size + 1


def _is_unknown(declared: int, kind: str) -> bool:
    """Return whether a size is what programs write that do not know it yet."""
    if kind.endswith("q"):
        return declared <= 0 or declared >= 2**62
    return declared == 0 or 0x7FFF0000 <= declared <= 0x80000100 or declared >= 0xFFFF0000


def _number(file: File, place: int, kind: str) -> int:
    raw = read_at(file, place, struct.calcsize(kind))
    return struct.unpack(kind, raw)[0] if len(raw) == struct.calcsize(kind) else 0


def _patched(size: int, field: int, kind: str, value: int) -> tuple[tuple[bytes | tuple[int, int], ...], ...]:
    """Return the whole file as one part, with another number in a field."""
    if kind == "<I":
        value = min(value, 0xFFFFFFFF)
    raw = struct.pack(kind, value)
    return (((0, field), raw, (field + len(raw), size)),)


def au_layout(file: File, size: int, magic: bytes) -> Layout:
    """Return the layout of an AU file (.au, .snd), big or little endian."""
    order = ">" if magic == b".snd" else "<"
    start, declared = (_number(file, place, f"{order}I") for place in (4, 8))
    if _is_unknown(declared, "I"):
        return Layout(_patched(size, 8, f"{order}I", 0xFFFFFFFF)) if declared != 0xFFFFFFFF else Layout()
    return _whole(file, size, start, declared)


def sphere_layout(file: File, size: int, magic: bytes) -> Layout:
    """Return the layout of a NIST SPHERE file; `magic` is not used, as there is one kind."""
    length = read_at(file, 8, 8).strip()
    start = int(length) if length.isdigit() else 1024
    head = read_at(file, 0, min(start, LARGEST_SPHERE_HEADER))
    numbers = dict(re.findall(rb"(?m)^(sample_count|sample_n_bytes|channel_count) -i (\d{1,15})\b", head))
    samples, width = int(numbers.get(b"sample_count", 0)), int(numbers.get(b"sample_n_bytes", 0))
    return _whole(file, size, start, samples * width * int(numbers.get(b"channel_count", 1)))


def voc_layout(file: File, size: int, magic: bytes) -> Layout:
    """Return the layout of a Creative Voice file, whose blocks have a type and a size of 24 bits."""
    place = int.from_bytes(read_at(file, 20, 2), "little")
    for _ in range(MOST_CHUNKS):
        head = read_at(file, place, 4)
        if len(head) < 4 or head[0] == 0:
            return _whole(file, size, place, 1) if head else Layout()
        if place and head in _STARTS:
            return Layout(refusal=APPENDED)
        length = int.from_bytes(head[1:], "little")
        if head[0] in (1, 2, 9) and length not in (0, 0xFFFFFF) and place + 4 + length > size:
            return _compared(size - place - 4, length)
        place += 4 + length
    return Layout()


def _whole(file: File, size: int, start: int, declared: int) -> Layout:
    """Return the layout of samples behind a header, after which another file may begin."""
    if declared > 0 and read_at(file, start + declared, 4) in _STARTS:
        return Layout(refusal=APPENDED)
    return _compared(size - start, declared)


def _compared(present: int, declared: int) -> Layout:
    if declared <= 0 or present >= declared:
        return Layout()
    return Layout(share=max(0, present) / declared, damage="its samples are cut off")
