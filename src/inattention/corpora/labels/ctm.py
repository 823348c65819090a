"""A strict reader of NIST's CTM, whose lines are tokens of one or many recordings.

A line is `recording channel start duration token`, in seconds, and may go on with a confidence, a type such as `lex`
and a speaker: Kaldi writes five or six fields, NeMo eight. A damaged line costs the recording that it names. Lines may
be in any order. Channels are averaged in audio, so that tokens of two channels that overlap are an error.
"""

import math
import os
import stat
import sys
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from inattention.corpora.core.file_tree import coding_of, not_text
from inattention.corpora.labels.intervals import NOISE, Interval, LabelError, Labels

LARGEST = 4 * 2**30  # bytes; a token takes 28 bytes of memory, about as much as its line
LONGEST_LINE = 2**16
STEP = 0.01  # seconds; what aligners round times to
_TYPES = frozenset(("lex", "frag", "fp", "un-lex", "for-lex", "non-lex", "misc", "noscore", "na", "unk"))
_UNKNOWN = frozenset(("na", "-", "<na>"))  # instead of a confidence


class CtmError(LabelError):
    """An error in a CTM file; the message names the line or the recording."""

    category = "damaged CTM"


@dataclass
class _Tokens:
    """The tokens of a recording, in little memory."""

    symbols: list[str] = field(default_factory=list)
    starts: array = field(default_factory=lambda: array("d"))
    ends: array = field(default_factory=lambda: array("d"))
    lines: array = field(default_factory=lambda: array("I"))
    channels: set[str] = field(default_factory=set)
    error: CtmError | None = None


class Ctm:
    """The labels of a CTM by recording.

    Args:
        lines: The lines of the file.

    Raises:
        CtmError: Every line is damaged, or a line is far too long.

    >>> ctm = Ctm([";; a comment", "a 1 0.00 0.50 sil", "b A 0.50 0.25 ah NA lex NA"])
    >>> ctm.names
    ['a', 'b']
    >>> ctm.labels("b").intervals
    (Interval(symbol='ah', start=0.5, end=0.75, line=3),)
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._found: dict[str, _Tokens] = {}
        valid = False
        for number, line in enumerate(lines, 1):
            if len(line) >= LONGEST_LINE:
                raise CtmError(f"line {number}: is longer than {LONGEST_LINE} characters")
            fields = line.split()
            if not fields or fields[0].startswith(";;"):
                continue
            tokens = self._found.setdefault(fields[0], _Tokens())
            try:
                _add(tokens, fields, number)
                valid = True
            except CtmError as error:
                tokens.error = tokens.error or error
        if self._found and not valid:
            raise next(tokens.error for tokens in self._found.values() if tokens.error is not None)

    @property
    def names(self) -> list[str]:
        """The names of the recordings, in the order of the file."""
        return list(self._found)

    def error(self, name: str) -> CtmError | None:
        """Return why a recording's lines are damaged; None if they are not."""
        return self._found[name].error

    def labels(self, name: str) -> Labels:
        """Return the labels of a recording, in order of time.

        Raises:
            CtmError: One of its lines is damaged.
        """
        tokens = self._found[name]
        if tokens.error is not None:
            raise tokens.error
        order = sorted(range(len(tokens.symbols)), key=lambda i: tokens.starts[i])
        intervals = tuple(Interval(tokens.symbols[i], tokens.starts[i], tokens.ends[i], tokens.lines[i]) for i in order)
        if len(tokens.channels) > 1 and any(a.end > b.start + STEP + NOISE for a, b in pairwise(intervals)):
            channels = ", ".join(repr(channel[:20]) for channel in sorted(tokens.channels)[:4])
            raise CtmError(f"{name[:80]!r} has tokens of channels that overlap ({channels}): keep those of one")
        return Labels(intervals, STEP)


def read_ctm(path: str | Path, encoding: str | None = None) -> Ctm:
    """Read a CTM file.

    Args:
        path: The file.
        encoding: Of text that is neither UTF-8 nor UTF-16; None if the user cannot choose one.

    Raises:
        CorpusError: It cannot be read, is too large, is no text, or every line of it is damaged.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its other end
            raise CtmError("is no plain file")
        if status.st_size > LARGEST:
            raise CtmError(f"is larger than {LARGEST} bytes: divide it")
        with open(path, "rb") as file:
            coding = coding_of(file.read(2))
        try:
            return Ctm(_lines(path, coding))
        except UnicodeError:
            if encoding is None or coding.startswith("utf-16"):
                raise _no_text(path, coding, hint=encoding is not None) from None
        try:
            return Ctm(_lines(path, encoding))
        except UnicodeError:
            raise _no_text(path, encoding, hint=True) from None
    except OSError as error:
        raise CtmError(f"cannot be read ({error.strerror})") from error


def _no_text(path: str | Path, coding: str, *, hint: bool) -> CtmError:
    with open(path, "rb") as file:
        bad = (number for number, data in enumerate(file, 1) if not _is_text(data, coding))
        return CtmError(not_text(coding, next(bad, 1), hint=hint), category="not UTF-8")


def _is_text(data: bytes, coding: str) -> bool:
    try:
        data.decode(coding)
    except UnicodeError:
        return False
    return True


def _lines(path: str | Path, coding: str) -> Iterator[str]:
    with open(path, encoding=coding) as file:
        while line := file.readline(LONGEST_LINE):
            yield line


def _add(tokens: _Tokens, fields: list[str], number: int) -> None:
    if not 5 <= len(fields) <= 8:
        raise CtmError(f"line {number}: has {len(fields)} fields, not 5 (Kaldi) to 8 (NeMo)")
    start, duration = _time(fields[2], "start", number), _time(fields[3], "duration", number)
    if len(fields) > 5 and fields[5].lower() not in _UNKNOWN:
        _number(fields[5], "confidence", number)
    if len(fields) > 6 and fields[6].lower() not in _TYPES:
        raise CtmError(f"line {number}: the type is {fields[6][:40]!r}, not one such as lex")
    tokens.symbols.append(sys.intern(fields[4]))
    tokens.starts.append(start)
    tokens.ends.append(start + duration)
    tokens.lines.append(number)
    tokens.channels.add(sys.intern(fields[1]))


def _number(field: str, what: str, line: int) -> float:
    try:
        # float() alone would take "1_0" and digits of any script.
        value = float(field) if field.isascii() and "_" not in field else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise CtmError(f"line {line}: the {what} is {field[:40]!r}, which is no number")
    return value


def _time(field: str, what: str, line: int) -> float:
    value = _number(field, what, line)
    if value < 0:
        raise CtmError(f"line {line}: the {what} is {field[:40]!r}, below 0")
    return value
