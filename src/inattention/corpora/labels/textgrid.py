"""A strict parser of Praat's TextGrid, in its long and its short text form.

Both forms share one grammar: Praat reads the free-standing numbers, quoted strings and flags in angle brackets in
order, and skips all other words (`xmin =`, `intervals [1]:`) and what follows an exclamation mark. So does this parser;
anything else that does not fit is an error that names its line. Time and memory are linear in the length of the text.
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
    """An error in a TextGrid; the message names the line."""


@dataclass(frozen=True)
class Tier:
    """A tier of intervals, or of points, whose intervals have no duration.

    Attributes:
        name: As in the file.
        intervals: (text, start, end) in seconds, in order.
        points: Whether it is a tier of points.
    """

    name: str
    intervals: tuple[Phone, ...]
    points: bool = False


def parse_textgrid(data: bytes | str) -> tuple[Tier, ...]:
    r"""Parse all tiers of a TextGrid.

    Raises:
        TextGridError: The data is not a TextGrid, or a part of it is damaged.

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
    """The free-standing strings, numbers and flags of a text, in order, with the line of the last one for messages."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found = _TOKEN.finditer(text)
        self._place = 0

    def _next(self, what: str) -> tuple[str, str]:
        """Return the kind and the value of the next token."""
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
        """Return an error that names the line of the last token."""
        return TextGridError(f"line {self._text.count(chr(10), 0, self._place) + 1}: {message}")

    def _expect(self, kind: str, what: str) -> str:
        got, value = self._next(what)
        if got != kind:
            raise self.error(f"{what} should stand here, as a {kind}, not {value[:40]!r}")
        return value

    def string(self, what: str) -> str:
        """Return the next token, which must be a string."""
        return self._expect("string", what)

    def flag(self) -> str:
        """Return the next token, which must be a flag such as <exists>."""
        return self._expect("flag", "<exists> or <absent>")

    def number(self, what: str) -> float:
        """Return the next token, which must be a time."""
        value = float(self._expect("number", what))
        if not math.isfinite(value) or value < 0:
            raise self.error(f"{what} is {value}")
        return value

    def count(self, what: str) -> int:
        """Return the next token, which must be a whole number that is plausible for the length of the text."""
        value = self.number(f"the number of {what}")
        if value != int(value) or value > len(self._text):
            raise self.error(f"there cannot be {value:g} {what}")
        return int(value)

    def span(self, what: str) -> tuple[float, float]:
        """Return the next two tokens, a start and an end."""
        start, end = self.number(f"the start of {what}"), self.number(f"the end of {what}")
        if end < start:
            raise self.error(f"{what} ends at {end:g} s, before it starts at {start:g} s")
        return start, end

    def end(self, tiers: tuple[Tier, ...]) -> tuple[Tier, ...]:
        """Return the tiers if no token is left."""
        try:
            _, value = self._next("")
        except TextGridError as error:
            if "ends before" in str(error):
                return tiers
            raise
        raise self.error(f"there is more than the TextGrid says: {value[:40]!r}")
