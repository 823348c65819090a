"""A strict parser of NIST's CTM: recording, channel, start, duration, token and optional confidence on each line."""

import math
from itertools import pairwise

from inattention.corpora.core.cut_building import Phone
from inattention.corpora.errors import CorpusError

LARGEST = 32 * 2**20


class CtmError(CorpusError):
    """An error in a CTM file; the message names the line or the recording."""


def parse_ctm(text: str) -> dict[str, list[Phone]]:
    r"""Parse the tokens of each recording, as (token, start, end) in seconds, in order of time.

    Raises:
        CtmError: A line has a wrong number of fields or a field that is not a number, or tokens overlap.

    >>> parse_ctm(";; a comment\na 1 0.00 0.50 sil\na 1 0.50 0.25 ah 0.9\n")
    {'a': [('sil', 0.0, 0.5), ('ah', 0.5, 0.75)]}
    """
    found: dict[str, list[Phone]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        fields = line.split()
        if not fields or line.lstrip().startswith(";;"):
            continue
        if len(fields) not in (5, 6):
            raise CtmError(f"line {number}: has {len(fields)} fields, not 5 or 6")
        start, duration = _time(fields[2], "start", number), _time(fields[3], "duration", number)
        if len(fields) == 6:
            _number(fields[5], "confidence", number)
        found.setdefault(fields[0], []).append((fields[4], start, start + duration))
    for name, tokens in found.items():
        tokens.sort(key=lambda token: token[1])
        for before, after in pairwise(tokens):
            if after[1] < before[2] - 1e-4:
                raise CtmError(f"{name[:80]!r}: {before[0]!r} ends at {before[2]:g} s, and {after[0]!r} starts before")
    return found


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
