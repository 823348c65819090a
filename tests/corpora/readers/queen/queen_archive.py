"""A tiny made-up archive in the game's format: tests need nothing of the real one."""

import io
import struct
from collections.abc import Mapping, Sequence

import numpy as np
import soundfile

RATE = 11_025


def archive(files: Mapping[str, bytes], *, compression: int = 1, count: int | None = None) -> bytes:
    """An archive of files by name; `count` may lie."""
    offset = 15 + 21 * len(files)
    index, body = b"", b""
    for name, data in files.items():
        index += struct.pack(">12sBII", name.encode("latin-1"), 1, offset + len(body), len(data))
        body += data
    return b"QTBLCEM10\0\0\0" + struct.pack(">BH", compression, len(files) if count is None else count) + index + body


def dialogue(
    key: int,
    joe: Sequence[tuple[int, str]],
    other: Sequence[tuple[int, str]],
    again: tuple[str, str] = ("", ""),
    *,
    levels: int = 1,
) -> bytes:
    """A dialogue file: lines by number of Joe and the other, and what the other and Joe say when they meet again."""
    joes, others = _lines(joe), _lines(other)
    other_start = 32 + 96 * levels + len(joes)
    again_start = other_start + len(others)
    ending = _string(again[0], again_start, 2)
    ending += _string(again[1], again_start + len(ending), 2)
    head = struct.pack(">5h12x3H4x", levels, 1, key, len(joe), len(other), other_start, again_start, again_start)
    return b"AmBk" + bytes(16) + head + bytes(96 * levels) + joes + others + ending


def recording(samples: np.ndarray, rate: int = RATE) -> bytes:
    """Samples as MP3."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="MP3")
    return buffer.getvalue()


def _lines(lines: Sequence[tuple[int, str]]) -> bytes:
    data = b""
    for number, text in lines:
        data += struct.pack(">2xh", number) + _string(text, 4, 4)
    return data


def _string(text: str, offset: int, align: int) -> bytes:
    """A string as it stands at an offset: filled up behind, unless it is empty."""
    data = bytes([len(text)]) + text.encode("latin-1")
    return data + bytes(-(offset + len(data)) % align) if text else data
