"""The layout of any file, by how it begins."""

import dataclasses
from collections.abc import Callable
from typing import Any

from inattention.audio.containers import chunks, flac, mpeg, ogg
from inattention.audio.containers.layout import File, Layout, Segment, Spliced, read_at

_READERS: dict[bytes, Callable[[File, int, bytes], Layout]] = {
    **dict.fromkeys(chunks.FORMS, chunks.chunked_layout),
    **dict.fromkeys((b".snd", b"dns."), chunks.au_layout),
    b"NIST": chunks.sphere_layout,
    b"Crea": chunks.voc_layout,
    ogg.MAGIC: ogg.ogg_layout,
}


def layout_of(file: File, size: int) -> Layout:
    """Return how to decode a file.

    Args:
        file: The file, which can be sought.
        size: Its length in bytes.
    """
    start = mpeg.tags_end(file, size)
    magic = read_at(file, start, 4)
    if magic == flac.MAGIC:
        return flac.flac_layout(file, size, start)
    if magic in _READERS:
        # libsndfile counts a tag before a WAV as samples.
        return _READERS[magic](file, size, magic) if not start else _behind_tag(file, size, magic, start)
    return mpeg.mpeg_layout(file, size) if mpeg.begins(file, size) else Layout()


def layout_behind_junk(file: File, size: int) -> Layout:
    """Return the layout of Ogg or MPEG audio that begins after something else; without parts if there is none.

    Args:
        file: A file of no format that is known.
        size: Its length in bytes.
    """
    known = read_at(file, mpeg.tags_end(file, size), 4) in _READERS
    if known:
        return Layout()
    return (
        ogg.ogg_layout(file, size, ogg.MAGIC)
        if ogg.MAGIC in read_at(file, 0, mpeg.SEARCHED)
        else mpeg.mpeg_layout(file, size)
    )


def _behind_tag(file: File, size: int, magic: bytes, start: int) -> Layout:
    """Return the layout of a file that begins after a tag."""
    inner: Any = Spliced(file, ((start, size),))
    layout = _READERS[magic](inner, size - start, magic)

    def moved(segment: Segment) -> Segment:
        return segment if isinstance(segment, bytes | int) else (segment[0] + start, segment[1] + start)

    parts = layout.parts or (((0, size - start),),)
    return dataclasses.replace(layout, parts=tuple(tuple(map(moved, part)) for part in parts))
