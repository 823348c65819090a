"""Valid inputs of every kind, and how they are broken: the same for the same seed."""

import io
import json
import random
from collections.abc import Callable
from functools import cache

import numpy as np
import soundfile

FORMATS = (
    ("WAV", "PCM_16"),
    ("WAV", "FLOAT"),
    ("WAV", "MS_ADPCM"),
    ("WAVEX", "PCM_24"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
    ("AIFF", "PCM_16"),
    ("AU", "ULAW"),
    ("CAF", "ALAC_16"),
    ("W64", "PCM_16"),
    ("NIST", "PCM_16"),
)


@cache
def valid_audio(number: int) -> bytes:
    """Return some tenths of a second in one of the formats."""
    form, subtype = FORMATS[number]
    samples = 0.2 * np.random.default_rng(number).standard_normal((1600 + 400 * number, 1 + number % 2))
    buffer = io.BytesIO()
    soundfile.write(buffer, samples.clip(-1, 1), 48_000 if subtype == "OPUS" else 16_000, subtype=subtype, format=form)
    return buffer.getvalue()


def audio(draw: random.Random) -> bytes:
    """An audio file, most often broken."""
    return broken(valid_audio(draw.randrange(len(FORMATS))), draw)


def textgrid(draw: random.Random) -> bytes:
    """A TextGrid in one of its forms and codings, most often broken."""
    count = draw.randrange(1, 12)
    ends = sorted(draw.uniform(0, 3) for _ in range(count))
    marks = [draw.choice(["ah", "s", "", 'say ""so""', "œ", "a\nb", "! no comment"]) for _ in ends]
    starts = [0.0, *ends[:-1]]
    if draw.random() < 0.5:
        rows = "\n".join(f'{a}\n{b}\n"{m}"' for a, b, m in zip(starts, ends, marks, strict=True))
        body = f'0\n{ends[-1]}\n<exists>\n1\n"IntervalTier"\n"phones"\n0\n{ends[-1]}\n{count}\n{rows}\n'
    else:
        rows = "\n".join(
            f'intervals [{i}]:\n xmin = {a}\n xmax = {b}\n text = "{m}"'
            for i, (a, b, m) in enumerate(zip(starts, ends, marks, strict=True), 1)
        )
        body = (
            f"xmin = 0\nxmax = {ends[-1]}\ntiers? <exists>\nsize = 1\nitem []:\n item [1]:\n"
            f' class = "IntervalTier"\n name = "phones"\n xmin = 0\n xmax = {ends[-1]}\n'
            f" intervals: size = {count}\n{rows}\n"
        )
    text = f'File type = "ooTextFile"\nObject class = "TextGrid"\n\n{body}'
    return broken(text.encode(draw.choice(["utf-8", "utf-8", "utf-16"])), draw)


def ctm(draw: random.Random) -> bytes:
    """A CTM, most often broken."""
    lines, start = [";; made up"], 0.0
    for _ in range(draw.randrange(1, 15)):
        length = draw.uniform(0.01, 0.5)
        lines.append(f"a {draw.choice('1AB')} {start:.3f} {length:.3f} {draw.choice(['ah', 's', 'œ'])} 0.9")
        start += length
    return broken("\n".join(lines).encode(), draw)


def cpc(draw: random.Random) -> bytes:
    """A file of CPC's labels, most often broken."""
    lines = [
        f"{draw.randrange(100)}-{draw.randrange(100)}-{i:04d} "
        + " ".join(str(draw.randrange(41)) for _ in range(draw.randrange(1, 60)))
        for i in range(draw.randrange(1, 5))
    ]
    return broken("\n".join(lines).encode(), draw)


def manifest(draw: random.Random) -> bytes:
    """A line of a manifest, most often broken as JSON or in one of its values."""
    source = {"type": "file", "channels": [0], "source": "audio/a.flac"}
    recording = {"id": "a", "sources": [source], "sampling_rate": 16000, "num_samples": 16000, "duration": 1.0}
    phones = {"phone": [["sil", 0.0, 0.5], ["ah", 0.5, 0.5]]}
    times = {"start": 0.0, "duration": 1.0}
    supervision = {"id": "a", "recording_id": "a", **times, "speaker": "x", "alignment": phones}
    cut = {
        "id": "a",
        "start": 0.0,
        "duration": 1.0,
        "channel": 0,
        "recording": recording,
        "supervisions": [supervision],
    }
    cut["type"] = "MonoCut"
    if draw.random() < 0.7:
        place = draw.choice([cut, recording, source, supervision])
        numbers = [-1, 1e999, 10**30, 10**400]
        odd = [None, *numbers, "", "x" * 1000, [], {}, True, [[]], "command", "../../a", "pipe:ls", "\0"]
        place[draw.choice(list(place))] = draw.choice(odd)
    data = json.dumps(cut).encode()
    return data if draw.random() < 0.7 else broken(data, draw)


def broken(data: bytes, draw: random.Random) -> bytes:
    """Return bytes broken in one or several ways; one in twenty is unchanged."""
    if draw.random() < 0.05:
        return data
    for _ in range(draw.randrange(1, 4)):
        data = draw.choice(_WAYS)(data, draw)
    return data


def _cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def _flip(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.randrange(1, 30)):
        if changed:
            changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def _head(data: bytes, draw: random.Random) -> bytes:
    """Set a number in the header to an extreme one."""
    place = draw.randrange(64)
    number = draw.choice([0, 1, 2, 0x7F, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE, 16, 768_000])
    size = draw.choice([1, 2, 4])
    patch = (number & (256**size - 1)).to_bytes(size, draw.choice(["little", "big"]))
    return data[:place] + patch + data[place + size :]


def _repeat(data: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(data) + 1)
    end = min(len(data), start + draw.randrange(1, 500))
    return data[:end] + data[start:end] * draw.randrange(1, 20) + data[end:]


def _remove(data: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(data) + 1)
    return data[:start] + data[start + draw.randrange(1, 200) :]


def _noise(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(40)] + draw.randbytes(draw.randrange(2000))


_WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (_cut, _flip, _head, _repeat, _remove, _noise)
