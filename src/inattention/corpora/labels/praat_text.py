"""The tokens of Praat's text files: free-standing numbers, quoted strings and flags in angle brackets.

Praat's long and short forms share one grammar: it reads these tokens in order, and skips all other words (`xmin =`,
`intervals [1]:`) and what follows an exclamation mark. So does this reader. Time and memory are linear in the length of
the text.
"""

import math
import re
from collections.abc import Iterator

from inattention.corpora.labels.intervals import LabelError

_TOKEN = re.compile(r'"(?P<string>(?:[^"]|"")*+)"(?=\s|$)|(?P<comment>![^\n]*)|(?P<word>\S+)')
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_LIKE_A_NUMBER = re.compile(r"[+-]?\.?\d|--undefined--")


class TextGridError(LabelError):
    """An error in a TextGrid; the message names the tier, where there is one, and the line."""

    category = "damaged TextGrid"


class EndOfTextError(TextGridError):
    """A TextGrid ends where a token is missing."""


class Tokens:
    """The tokens of a text in order, which can be read again from another place.

    Attributes:
        line: Line of the last token, from 1.
        place: Offset of the last token.
        resume: Offset from which to look for the next part of the text after damage.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.line, self.place, self.resume = 1, 0, 0
        self._found: Iterator[re.Match[str]] = _TOKEN.finditer(text)

    def move(self, place: int) -> None:
        """Go on reading from another place, which must not be inside of a token."""
        self._set_place(place)
        self._found = _TOKEN.finditer(self.text, place)

    def _set_place(self, place: int) -> None:
        if place >= self.place:
            self.line += self.text.count("\n", self.place, place)
        else:
            self.line -= self.text.count("\n", place, self.place)
        self.place = place

    def _next(self, what: str) -> tuple[str, str]:
        """Return the kind and the value of the next token."""
        for match in self._found:
            if match.group("comment") is not None:
                continue
            self._set_place(match.start())
            if match.group("string") is not None:
                return "string", match.group("string").replace('""', '"')
            word = match.group("word")
            if _NUMBER.fullmatch(word):
                return "number", word
            if word.startswith("<") and word.endswith(">"):
                return "flag", word
            if word.startswith('"'):
                raise self.error("a quotation mark is never closed")
            if _LIKE_A_NUMBER.match(word):
                raise self.error(f"{word[:40]!r} is no number")
        raise EndOfTextError(f"line {self.line}: it ends before {what}")

    def error(self, message: str) -> TextGridError:
        """Return an error that names the line of the last token."""
        return TextGridError(f"line {self.line}: {message}")

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
        """Return the next token, which must be a finite number."""
        value = float(self._expect("number", what))
        if not math.isfinite(value):
            raise self.error(f"{what} is {value}")
        return value

    def count(self, what: str) -> int:
        """Return the next token, which must be a whole number that is plausible for the length of the text."""
        value = self.number(f"the number of {what}")
        if value != int(value) or not 0 <= value <= len(self.text):
            raise self.error(f"there cannot be {value:g} {what}")
        return int(value)

    def span(self, what: str) -> tuple[float, float]:
        """Return the next two tokens, a start and an end."""
        start, end = self.number(f"the start of {what}"), self.number(f"the end of {what}")
        if end < start:
            raise self.error(f"{what} ends at {end:g} s, before it starts at {start:g} s")
        return start, end

    def rest(self) -> tuple[str, str] | None:
        """Return the kind and the value of the next token, or None at the end of the text."""
        try:
            return self._next("")
        except EndOfTextError:
            return None
