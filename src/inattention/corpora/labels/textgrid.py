"""Praat's TextGrid, in its long and its short text form, read strictly.

Both forms are one: Praat reads the numbers, the quoted strings and the flags in angle brackets that stand free between
blanks, in order, and skips all other words (`xmin =`, `intervals [1]:`) and what follows an exclamation mark. So does
this parser; whatever then does not fit is an error that names its line. Time and memory grow with the text alone.
"""

import math
import re
from dataclasses import dataclass

from inattention.corpora.core.cut_building import Phone
from inattention.corpora.core.file_tree import decode_text
from inattention.corpora.errors import CorpusError

LARGEST = 32 * 2**20
_TOKEN = re.compile(r'"(?P<string>(?:[^"]|"")*+)"(?=\s|$)|(?P<comment>![^\n]*)|(?P<word>\S+)')
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_SAME_TIME = 1e-4  # seconds; writers round


class TextGridError(CorpusError):
    """What is wrong with a TextGrid, and in which line."""


@dataclass(frozen=True)
class Tier:
    """A tier of intervals, or of points, which last no time.

    Attributes:
        name: As it stands in the file.
        intervals: (text, start, end) in seconds, in order.
        points: Whether it is a tier of points.
    """

    name: str
    intervals: tuple[Phone, ...]
    points: bool = False


def parse_textgrid(data: bytes | str) -> tuple[Tier, ...]:
    r"""Read all tiers of a TextGrid.

    Raises:
        TextGridError: It is none, or a number, a string or an interval is not as it should be.

    >>> parse_textgrid('"ooTextFile" "TextGrid" 0 1 <exists> 1 "IntervalTier" "phones" 0 1 1 0 1 "ah"')
    (Tier(name='phones', intervals=(('ah', 0.0, 1.0),), points=False),)
    """
    if len(data) > LARGEST:
        raise TextGridError(f"is larger than {LARGEST} bytes")
    try:
        tokens = _Tokens(decode_text(data) if isinstance(data, bytes) else data)
    except TextGridError:
        raise
    except CorpusError as error:
        raise TextGridError(str(error)) from None
    if tokens.string("the kind of file") != "ooTextFile" or tokens.string("the kind of object") != "TextGrid":
        raise TextGridError("is no TextGrid in text form: its first lines say another kind")
    start, end = tokens.span("the TextGrid")
    if tokens.flag() != "<exists>":
        return tokens.end(())
    count = tokens.count("tiers")
    tiers = tuple(_tier(tokens, start, end) for _ in range(count))
    return tokens.end(tiers)


def _tier(tokens: "_Tokens", first: float, last: float) -> Tier:
    kind = tokens.string("the class of a tier")
    if kind not in ("IntervalTier", "TextTier"):
        raise tokens.error(f"there is no class of tier {kind!r}")
    name = tokens.string("a tier's name")
    start, end = tokens.span(f"tier {name!r}")
    if start < first - _SAME_TIME or end > last + _SAME_TIME:
        raise tokens.error(f"tier {name!r} leads out of the TextGrid")
    count = tokens.count(f"intervals of tier {name!r}")
    intervals: list[Phone] = []
    reached = start
    for _ in range(count):
        if kind == "TextTier":
            time = tokens.number("a point's time")
            piece = (tokens.string("a point's text"), time, time)
        else:
            begin, finish = tokens.span("an interval")
            piece = (tokens.string("an interval's text"), begin, finish)
        if piece[1] < reached - _SAME_TIME or piece[2] > end + _SAME_TIME:
            raise tokens.error(f"in tier {name!r} {piece[0]!r} at {piece[1]:g} s overlaps another, or leads out of it")
        reached = piece[2]
        intervals.append(piece)
    return Tier(name, tuple(intervals), kind == "TextTier")


class _Tokens:
    """The free-standing strings, numbers and flags of a text, one after the other, each with its line."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found = _TOKEN.finditer(text)
        self._place = 0

    def _next(self, what: str) -> tuple[str, str]:
        """Give the kind and the value of the next token that counts."""
        for match in self._found:
            self._place = match.start()
            if match.group("string") is not None:
                return "string", match.group("string").replace('""', '"')
            word = match.group("word")
            if word is None:
                continue
            if _NUMBER.fullmatch(word):
                return "number", word
            if word.startswith("<") and word.endswith(">"):
                return "flag", word
            if word.startswith('"'):
                raise self.error("a quotation mark is never closed")
        raise self.error(f"it ends before {what}")

    def error(self, message: str) -> TextGridError:
        """An error that names the line of the last token."""
        return TextGridError(f"line {self._text.count(chr(10), 0, self._place) + 1}: {message}")

    def _expect(self, kind: str, what: str) -> str:
        got, value = self._next(what)
        if got != kind:
            raise self.error(f"{what} should stand here, as a {kind}, not {value[:40]!r}")
        return value

    def string(self, what: str) -> str:
        """The next token, which must be a string."""
        return self._expect("string", what)

    def flag(self) -> str:
        """The next token, which must be a flag such as <exists>."""
        return self._expect("flag", "<exists> or <absent>")

    def number(self, what: str) -> float:
        """The next token, which must be a time."""
        value = float(self._expect("number", what))
        if not math.isfinite(value) or value < 0:
            raise self.error(f"{what} is {value}")
        return value

    def count(self, what: str) -> int:
        """The next token, which must be a whole number that the text can hold."""
        value = self.number(f"the number of {what}")
        if value != int(value) or value > len(self._text):
            raise self.error(f"there cannot be {value:g} {what}")
        return int(value)

    def span(self, what: str) -> tuple[float, float]:
        """The next two tokens, a start and an end."""
        start, end = self.number(f"the start of {what}"), self.number(f"the end of {what}")
        if end < start:
            raise self.error(f"{what} ends at {end:g} s, before it starts at {start:g} s")
        return start, end

    def end(self, tiers: tuple[Tier, ...]) -> tuple[Tier, ...]:
        """Give the tiers if nothing is left."""
        try:
            _, value = self._next("")
        except TextGridError as error:
            if "ends before" in str(error):
                return tiers
            raise
        raise self.error(f"there is more than the TextGrid says: {value[:40]!r}")
