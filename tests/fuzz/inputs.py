"""Valid inputs of every kind, and how they are broken: the same for the same seed."""

import io
import json
import random
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np
import soundfile

import containers

FORMATS = (
    ("WAV", "PCM_16"),
    ("WAV", "FLOAT"),
    ("WAV", "MS_ADPCM"),
    ("WAV", "IMA_ADPCM"),
    ("WAV", "GSM610"),
    ("WAVEX", "PCM_24"),
    ("RF64", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
    ("AIFF", "PCM_16"),
    ("AU", "ULAW"),
    ("CAF", "ALAC_16"),
    ("CAF", "PCM_16"),
    ("W64", "PCM_16"),
    ("NIST", "PCM_16"),
    ("VOC", "PCM_16"),
    ("SVX", "PCM_16"),
)
# Of files that were made to be read: what programs write that do not know the length, tags, other containers.
VARIANTS: dict[str, Callable[[bytes], bytes]] = {
    "FLAC": containers.flac_of_unknown_length,
    "FLAC in Ogg": containers.ogg_flac,
    "MP3": containers.without_xing,
    "tagged MP3": lambda data: containers.id3(300) + containers.without_xing(data) + b"TAG" + bytes(125),
    "WAV": lambda data: containers.patched(data, data.index(b"data") + 4, "<I", 0),
    "AU": lambda data: containers.patched(data, 8, ">I", 0xFFFFFFFF),
    "CAF": lambda data: containers.patched(data, data.index(b"data") + 4, ">q", -1),
}


@cache
def valid_audio(number: int) -> bytes:
    """Return some tenths of a second in one of the formats."""
    form, subtype = FORMATS[number]
    samples = 0.2 * np.random.default_rng(number).standard_normal((1600 + 400 * number, 1 + number % 2))
    buffer = io.BytesIO()
    soundfile.write(buffer, samples.clip(-1, 1), 48_000 if subtype == "OPUS" else 16_000, subtype=subtype, format=form)
    return buffer.getvalue()


@cache
def odd_audio(name: str) -> bytes:
    """Return one of `VARIANTS`."""
    kind = name.split()[0 if name.startswith("FLAC") else -1]
    number = next(i for i, (form, subtype) in enumerate(FORMATS) if form == kind and "ALAC" not in subtype)
    return VARIANTS[name](valid_audio(number))


def audio(draw: random.Random) -> bytes:
    """An audio file, most often broken, or joined with another."""

    def one() -> bytes:
        number = draw.randrange(len(FORMATS) + len(VARIANTS))
        return valid_audio(number) if number < len(FORMATS) else odd_audio(list(VARIANTS)[number - len(FORMATS)])

    way = draw.random()
    if way < 0.1:  # appended, or to itself, as chains are
        first = one()
        return broken(first + (first if draw.random() < 0.5 else one()), draw)
    return broken(one() if way < 0.8 else spliced(one(), one(), draw), draw)


def textgrid(draw: random.Random) -> bytes:
    """A TextGrid in one of its forms and codings, most often broken or spliced with another."""
    return _broken_labels(_textgrid, draw)


def _broken_labels(make: Callable[[random.Random], str], draw: random.Random) -> bytes:
    data = _coded(make(draw), draw)
    return data if draw.random() < 0.2 else broken(spliced(data, _coded(make(draw), draw), draw), draw)


def _textgrid(draw: random.Random) -> str:
    end = draw.choice([draw.uniform(0.01, 3), 1.0, 3.0])
    short = draw.random() < 0.5
    tiers = [_tier(name, end, draw) for name in draw.sample(["phones", "words", "ann - phones", "beeps", "phones"], 2)]
    if short:
        form = '%s"%s"\n"%s"\n0\n%s\n%d\n%s'
        rows = [form % ("", kind, name, end, len(marks), _rows(marks, "", kind)) for kind, name, marks in tiers]
        head = draw.choice(
            ['File type = "ooTextFile"\nObject class = "TextGrid"', 'File type = "ooTextFile short"\n"TextGrid"']
        )
        return f"{head}\n\n0\n{end}\n<exists>\n{len(tiers)}\n" + "".join(rows)
    form = ' item [%d]:\n  class = "%s"\n  name = "%s"\n  xmin = 0\n  xmax = %s\n  intervals: size = %d\n%s'
    rows = [
        form % (i, kind, name, end, len(m), _rows(m, "  xmin = ", kind)) for i, (kind, name, m) in enumerate(tiers, 1)
    ]
    head = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'
    return f"{head}xmin = 0\nxmax = {end}\ntiers? <exists>\nsize = {len(tiers)}\nitem []:\n" + "".join(rows)


def _tier(name: str, end: float, draw: random.Random) -> tuple[str, str, list[tuple[float, float, str]]]:
    borders = [0.0, *sorted(draw.uniform(0, end) for _ in range(draw.randrange(12))), end]
    if draw.random() < 0.3:  # rounded, so that some intervals have no duration
        borders = [round(border, 2) for border in borders]
    symbols = ["ah", "AH0", "s", "", "spn", 'say ""so""', "œ", "a\nb", "! no comment", "IntervalTier"]
    marks = [(a, b, draw.choice(symbols)) for a, b in pairwise(borders)]
    return ("TextTier" if name == "beeps" else "IntervalTier"), name, marks


def _rows(marks: list[tuple[float, float, str]], lead: str, kind: str) -> str:
    times = [(f"{lead}{a}\n" if kind == "TextTier" else f"{lead}{a}\n{lead}{b}\n") for a, b, _ in marks]
    return "".join(f'{time}{lead and "  text = "}"{mark}"\n' for time, (_, _, mark) in zip(times, marks, strict=True))


def _coded(text: str, draw: random.Random) -> bytes:
    text = text.replace("\n", draw.choice(["\n", "\n", "\r\n", "\r"]))
    return text.encode(draw.choice(["utf-8", "utf-8", "utf-16", "utf-8-sig", "latin-1"]), "replace")


def ctm(draw: random.Random) -> bytes:
    """A CTM of one of its writers, most often broken or spliced with another."""
    return _broken_labels(_ctm, draw)


def _ctm(draw: random.Random) -> str:
    lines = [";; made up"]
    for name in draw.sample(["a", "b", "é", "a.wav", "ann/a"], draw.randrange(1, 4)):
        start, rest = 0.0, draw.choice(["", " 0.9", " NA lex NA", " NA lex"])
        for _ in range(draw.randrange(1, 15)):
            length = draw.uniform(0.0, 0.5)
            symbol = draw.choice(["ah", "AH0_B", "s", "<eps>", "œ"])
            lines.append(f"{name} {draw.choice('1AB')} {start:.{draw.choice([2, 3])}f} {length:.2f} {symbol}{rest}")
            start += length
    return "\n".join(lines)


def phn(draw: random.Random) -> bytes:
    """The phones of a sentence of TIMIT, most often broken."""
    ends = sorted(draw.randrange(50_000) for _ in range(draw.randrange(1, 20)))
    lines = [f"{a} {b} {draw.choice(['h#', 'ix', 'q', 'sh', 'dcl'])}" for a, b in pairwise([0, *ends])]
    return broken(_coded("\n".join(lines), draw), draw)


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


def spliced(one: bytes, other: bytes, draw: random.Random) -> bytes:
    """Return the beginning of one input and the end of another, three times in ten."""
    if draw.random() < 0.7:
        return one
    return one[: draw.randrange(len(one) + 1)] + other[draw.randrange(len(other) + 1) :]


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
