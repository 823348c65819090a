"""Small audio files with odd headers, made from valid ones."""

import io
import struct
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import soundfile

RATE = 16_000


def noise(seconds: float = 1.0, rate: int = RATE, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Return noise at the level of speech."""
    shape = (round(seconds * rate), channels)
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).clip(-0.9, 0.9).astype(np.float32)


def encode(samples: np.ndarray, kind: str = "WAV", subtype: str | None = None, rate: int = RATE, **options) -> bytes:
    """Return samples as a file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> np.ndarray:
    """Return the samples of a valid file, as libsndfile reads it."""
    return soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0]


def patched(data: bytes, place: int, kind: str, value: int) -> bytes:
    """Return a file with another number at a place; `kind` as for `struct`."""
    raw = struct.pack(kind, value)
    return data[:place] + raw + data[place + len(raw) :]


def flac_of_unknown_length(data: bytes) -> bytes:
    """Return a FLAC whose header states 0 samples."""
    return data[:21] + bytes([data[21] & 0xF0]) + bytes(4) + data[26:]


def id3(size: int = 35, version: int = 4) -> bytes:
    """Return a tag as MP3 has it before its frames."""
    places = [size >> shift & 0x7F for shift in (21, 14, 7, 0)]
    return b"ID3" + bytes([version, 0, 0, *places]) + (b"\xff\xfb\x90\x64" + bytes(size))[:size]


def without_xing(data: bytes) -> bytes:
    """Return an MP3 without its first frame, which states the length."""
    rates = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
    version, index, rate = data[1] >> 3 & 3, data[2] >> 4, data[2] >> 2 & 3
    mpeg1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
    mpeg2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
    bits = (mpeg1 if version == 3 else mpeg2)[index] * 1000
    return data[(144 if version == 3 else 72) * bits // rates[version][rate] + (data[2] >> 1 & 1) :]


def frames_of_mp3(samples: np.ndarray, rate: int = RATE, **options) -> bytes:
    """Return samples as an MP3 without any header that states the length."""
    return without_xing(encode(samples, "MP3", rate=rate, **options))


def pages(data: bytes) -> list[bytes]:
    """Return the pages of an Ogg file."""
    found, place = [], 0
    while place < len(data):
        count = data[place + 26]
        end = place + 27 + count + sum(data[place + 27 : place + 27 + count])
        found.append(data[place:end])
        place = end
    return found


def page(data: bytes, *, flags: int | None = None, position: int | None = None) -> bytes:
    """Return a page of Ogg with other flags or another position, and its checksum."""
    changed = bytearray(data)
    if flags is not None:
        changed[5] = flags
    if position is not None:
        changed[6:14] = struct.pack("<q", position)
    changed[22:26] = bytes(4)
    crc = 0
    for byte in changed:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    changed[22:26] = struct.pack("<I", crc)
    return bytes(changed)


def ogg_flac(data: bytes, serial: int = 7) -> bytes:
    """Return a FLAC file in Ogg: a page for each packet, as the mapping of Xiph has it."""
    place, last = 4, False
    while not last:
        last, length = bool(data[place] & 0x80), int.from_bytes(data[place + 1 : place + 4], "big")
        place += 4 + length
    info = bytes([data[4] & 0x7F]) + data[5:42]
    packets = [b"\x7fFLAC\x01\x00\x00\x01fLaC" + info, b"\x84\x00\x00\x08" + bytes(8)]
    starts = [*_flac_frames(data, place), len(data)]
    packets += [data[a:b] for a, b in pairwise(starts)]
    out, position = b"", 0
    for number, packet in enumerate(packets):
        lacing = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
        position += 4096 * (number > 1)
        flags = 2 if number == 0 else 4 if number == len(packets) - 1 else 0
        head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, position, serial, number, 0, len(lacing))
        out += page(head + lacing + packet)
    return out


def _flac_frames(data: bytes, place: int) -> Iterator[int]:
    """Yield where frames begin: a sync code, and a header with a true checksum."""
    for start in range(place, len(data) - 16):
        if data[start] == 0xFF and data[start + 1] & 0xFE == 0xF8:
            coded = data[start + 4]
            length = 4 + max(1, f"{coded:08b}".find("0"))
            length += {6: 1, 7: 2}.get(data[start + 2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(data[start + 2] & 15, 0)
            if _crc8(data[start : start + length]) == data[start + length]:
                yield start


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc
