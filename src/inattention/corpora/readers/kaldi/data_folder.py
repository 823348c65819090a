"""The files of a Kaldi data folder: `wav.scp`, `segments`, `utt2spk` or `spk2utt`, and `text`.

Each line is a key and a value. A damaged line costs what it describes: it is counted with its file and number. Entries
of `wav.scp` may be commands; they are refused, and nothing is ever run.
"""

import math
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from inattention.corpora.core.audio_paths import AudioPaths, MissingAudioError
from inattention.corpora.core.writer import CorpusWriter
from inattention.corpora.errors import CorpusError
from inattention.text import printable

LONGEST_LINE = 16 * 2**20  # a line of spk2utt has all utterances of a speaker
_BLANKS = re.compile(r"[ \t]+")  # Kaldi separates fields at these only; other spaces may be part of a text
_NUMBER = re.compile(r"-?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_IN_ARCHIVE = re.compile(r":\d+(\[[^\]]*\])?$", re.ASCII)
_DAMAGED = "damaged line"
_COMMAND = (
    "commands in wav.scp, which are not run: list audio files instead. FLAC and SPHERE files that the commands only "
    "decode can be listed as they are; run other commands yourself and list the files that they write"
)
_ARCHIVE = "archives in wav.scp, which are not read: write separate files with wav-copy"


@dataclass(frozen=True)
class Utterance:
    """A piece of a recording.

    Attributes:
        name: Its id.
        recording: The id of its recording.
        place: The file and line that define it.
        start: In seconds.
        end: In seconds; None for the end of the recording.
        channel: Channel of the recording, numbered from 0; None for all of them.
        path: The recording's file, absolute.
        speaker: Its speaker, if known.
        text: Its words, if known.
    """

    name: str
    recording: str
    place: str
    start: float = 0.0
    end: float | None = None
    channel: int | None = None
    path: str = ""
    speaker: str | None = None
    text: str | None = None


@dataclass
class _Table:
    """A file of keys and values; `lines` has the number of each key's line."""

    name: str
    values: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def place(self, key: str) -> str:
        return f"{self.name}, line {self.lines[key]}"


def read_utterances(
    writer: CorpusWriter, folder: Path, paths: AudioPaths, encoding: str
) -> tuple[list[Utterance], set[str]]:
    """Return the utterances of a data folder in the order of its files, and all ids; other utterances are counted.

    Args:
        writer: Counts what cannot be used.
        folder: The data folder.
        paths: Where relative paths of `wav.scp` begin.
        encoding: Of lines that are not UTF-8.

    Raises:
        CorpusError: There is no `wav.scp`, or a file cannot be read.
    """
    if not (folder / "wav.scp").exists():
        raise CorpusError(f"{folder} is no Kaldi data folder: it has no wav.scp")
    read = partial(_read_table, writer, encoding=encoding)
    recordings = read(folder / "wav.scp", "recording")
    segments = read(folder / "segments", "recording") if (folder / "segments").exists() else None
    found, refused = _recordings(recordings, paths)
    pieces = _segments(writer, segments, recordings) if segments else _whole(recordings)
    utterances = []
    for piece in pieces:
        if piece.recording in refused:
            reason, category = refused[piece.recording]
            writer.skip(printable(piece.name), f"{recordings.place(piece.recording)}: {reason}", category=category)
        else:
            utterances.append(piece)
    defined = (segments or recordings).values
    writer.found("recording", len(defined))
    names = {piece.name for piece in utterances}
    tables = [read(folder / name, "file") for name in ("utt2spk", "spk2utt") if (folder / name).exists()]
    speakers = _speakers(writer, tables, names)
    text = read(folder / "text", "text") if (folder / "text").exists() else None
    texts = _texts(writer, text, names, set(defined)) if text else {}
    complete = [
        replace(u, path=found[u.recording], speaker=speakers.get(u.name), text=texts.get(u.name)) for u in utterances
    ]
    return complete, {*defined, *recordings.values}


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file that are not empty, with their numbers.

    Raises:
        CorpusError: The file cannot be read, or a line is too long.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for its other end
            raise CorpusError(f"{path} is no plain file")
        with path.open("rb") as file:
            number = 0
            while line := file.readline(LONGEST_LINE):
                number += 1
                if len(line) == LONGEST_LINE:
                    raise CorpusError(f"{path}: line {number} is longer than {LONGEST_LINE} bytes")
                content = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                if content.strip():
                    yield number, content
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror or error})") from error


def _read_table(writer: CorpusWriter, path: Path, kind: str, *, encoding: str) -> _Table:
    """Read a file of keys and values; a damaged line and a key that was there before are counted."""
    table = _Table(path.name)
    for number, line in read_lines(path):
        place = f"{path.name}, line {number}"
        try:
            text = _decoded(line, encoding).strip(" \t\r\n")
        except UnicodeError:
            writer.found(kind, 1)
            writer.skip(place, f"is not text in {encoding}", kind=kind, category="not UTF-8")
            continue
        key, _, value = _BLANKS.sub(" ", text, count=1).partition(" ")
        if key in table.values:
            writer.found(kind, 1)
            reason = f"{printable(key[:80])} is already in line {table.lines[key]}, which is used"
            writer.skip(place, reason, kind=kind, category="duplicate id")
            continue
        table.values[key], table.lines[key] = value, number
    return table


def _decoded(line: bytes, encoding: str) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode(encoding)


def _recordings(table: _Table, paths: AudioPaths) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
    """Return the files of recordings, and the reason and its category of each recording that has none."""
    found: dict[str, str] = {}
    refused: dict[str, tuple[str, str]] = {}
    for name, entry in table.values.items():
        shown = printable(repr(entry[:80]))
        if entry.endswith("|") or entry.startswith("|"):
            refused[name] = f"{shown} is a command, which is not run", _COMMAND
            continue
        try:
            if entry in ("", "-"):
                raise CorpusError(f"{shown} is no path of a file")
            found[name] = paths.find(entry)
        except MissingAudioError as error:
            in_archive = _IN_ARCHIVE.search(entry) is not None
            refused[name] = (
                (f"{shown} is a place in an archive", _ARCHIVE) if in_archive else (str(error), error.category)
            )
        except CorpusError as error:
            refused[name] = str(error), _DAMAGED
    return found, refused


def _whole(recordings: _Table) -> Iterator[Utterance]:
    for name in recordings.values:
        yield Utterance(name, name, recordings.place(name))


def _segments(writer: CorpusWriter, segments: _Table, recordings: _Table) -> Iterator[Utterance]:
    """Yield the segments with a known recording and possible times; others are counted."""
    used: set[str] = set()
    for name, value in segments.values.items():
        try:
            piece = _segment(name, value, segments.place(name))
        except CorpusError as error:
            writer.skip(printable(name), f"{segments.place(name)}: {error}", category=_DAMAGED)
            continue
        if piece.recording not in recordings.values:
            reason = f"{piece.place}: wav.scp has no recording {printable(piece.recording[:80])!r}"
            writer.skip(printable(name), reason, category="segment without a recording")
            continue
        used.add(piece.recording)
        yield piece
    for name in recordings.values:
        if name not in used:
            writer.ignore(printable(name), "recordings of wav.scp without a segment")


def _segment(name: str, value: str, place: str) -> Utterance:
    """Parse the value of a line of `segments`: recording, start, end and perhaps a channel.

    >>> piece = _segment("a", "rec 0.5 1.25", "line 1")
    >>> piece.start, piece.end
    (0.5, 1.25)
    """
    fields = _BLANKS.split(value)
    if len(fields) not in (3, 4):
        raise CorpusError(f"has {len(fields) + 1} fields, not utterance, recording, start and end")
    start, end = (_seconds(text) for text in fields[1:3])
    open_end = end == -1  # Kaldi's sign for the end of the recording
    if start < 0 or (end <= start and not open_end):
        raise CorpusError(f"its times are {fields[1][:20]} and {fields[2][:20]}: the start must be before the end")
    channel = None
    if len(fields) == 4 and fields[3] != "-1":
        if not (fields[3].isascii() and fields[3].isdecimal() and len(fields[3]) < 5):
            raise CorpusError(f"its channel is {printable(fields[3][:20])!r}, which is no number")
        channel = int(fields[3])
    return Utterance(name, fields[0], place, start, None if open_end else end, channel)


def _seconds(text: str) -> float:
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise CorpusError(f"the time {printable(text[:40])!r} is no number of seconds")
    return value


def _speakers(writer: CorpusWriter, tables: list[_Table], names: set[str]) -> dict[str, str]:
    """Return the speakers of utterances from `utt2spk`, or from `spk2utt` where that has none."""
    speakers: dict[str, str] = {}
    for table in tables:
        for name, speaker, place in _pairs(table, inverted=table.name == "spk2utt"):
            if not speaker or " " in speaker:
                writer.skip(place, "is not an utterance and its speaker", kind="file", category=_DAMAGED)
            elif speakers.setdefault(name, speaker) != speaker:
                reason = (
                    f"{printable(name)} has the speaker {printable(speaker)} here, {printable(speakers[name])} is used"
                )
                writer.skip(place, reason, kind="file", category="two speakers of an utterance")
    if tables:
        for name in sorted(names - set(speakers)):
            reason = f"has no speaker in {' or '.join(table.name for table in tables)}: it is used without one"
            writer.repair(name, reason, kind="recording", category="utterance without a speaker")
    return speakers


def _pairs(table: _Table, *, inverted: bool) -> Iterator[tuple[str, str, str]]:
    """Yield utterance, speaker and place."""
    for key, value in table.values.items():
        if not inverted:
            yield key, _BLANKS.sub(" ", value), table.place(key)
            continue
        for name in filter(None, _BLANKS.split(value)):
            yield name, key, table.place(key)


def _texts(writer: CorpusWriter, table: _Table, names: set[str], known: set[str]) -> dict[str, str]:
    for name in table.values:
        if name not in known:
            reason = f"{table.place(name)}: there is no such utterance"
            writer.skip(printable(name), reason, kind="text", category="text without audio")
    return {name: _BLANKS.sub(" ", text) for name, text in table.values.items() if text and name in names}
