"""A strict reader of Praat's TextGrid, in its long and its short text form, that forgives faults in other tiers.

Each tier is read on its own. A damaged one (a wrong count, a quotation mark that is never closed) keeps its error, and
reading goes on at the header of the next, so that an error matters only to who asks for that tier. Whether intervals
overlap or leave the audio is checked later, in the tier that is asked for (`inattention.corpora.labels.intervals`).

The libraries praatio 6.2, tgt 1.5, praat-textgrids 1.4 and TextGrid 1.6 were tried on the cases of the tests. None
reads all of them, names the line of an error, or tells a damaged tier from a sound one. praatio, the best, refuses a
file for an overlap in any tier, for numbers such as 1e-3 and for Latin-1.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from unicodedata import normalize

from inattention.corpora.core.file_tree import decode_text
from inattention.corpora.errors import CorpusError
from inattention.corpora.labels.intervals import Interval, Labels
from inattention.corpora.labels.praat_text import TextGridError, Tokens

LARGEST = 32 * 2**20
STEP = 0.001  # seconds; what programs that write TextGrids round times to
MOST_INTERVALS = 2_000_000  # of all tiers; each takes some 200 bytes of memory
MOST_DAMAGED = 50  # tiers; each may take the time of reading the whole text
_HEADER = re.compile(r'^[ \t]*(?:class\s*=\s*)?"(?:IntervalTier|TextTier)"[ \t]*$', re.MULTILINE)
_CLASSES = ("IntervalTier", "TextTier")
_USUAL_TIERS = ("phones", "phone", "phonemes", "phoneme", "segments", "mau")


@dataclass(frozen=True)
class Tier:
    """A tier of intervals, or of points, whose intervals have no duration.

    Attributes:
        name: As in the file.
        intervals: In the order of the file; those before the damage if it is damaged.
        points: Whether it is a tier of points.
        span: Start and end in seconds.
        line: Of its header.
        error: Why it cannot be used, if it is damaged.
    """

    name: str
    intervals: tuple[Interval, ...]
    points: bool = False
    span: tuple[float, float] = (0.0, 0.0)
    line: int = 0
    error: TextGridError | None = None


@dataclass(frozen=True)
class TextGrid:
    """The tiers of a file, and its start and end in seconds."""

    tiers: tuple[Tier, ...]
    span: tuple[float, float]

    def labels(self, names: "TierNames") -> Labels:
        """Return the labels of a tier.

        Raises:
            CorpusError: There is no such tier or more than one, it has points, or it is damaged.
        """
        tier = names.choose(self.tiers)
        return Labels(tier.intervals, STEP, tier=tier.name, end=tier.span[1], span=self.span, gapless=True)


@dataclass(frozen=True)
class TierNames:
    """The tier of a TextGrid with the phones.

    Attributes:
        wanted: Its name, or its number from 1; if empty, the usual names (`phones`, `MAU`, or `ann - phones` as in
            aligned dialogues).
    """

    wanted: str = ""

    def choose(self, tiers: Sequence[Tier]) -> Tier:
        """Return the tier.

        Raises:
            CorpusError: No tier or more than one has such a name, it is a tier of points, or it is damaged.
        """
        found = self._matching(tiers)
        if len(found) != 1:
            names = ", ".join(repr(tier.name[:40]) for tier in tiers[:8]) or "none"
            which = repr(self.wanted) if self.wanted else "phones"
            raise TextGridError(
                f"has {len(found)} tiers called {which} (its tiers: {names}): --tier selects one by name or number",
                category="several such tiers" if found else "no such tier",
            )
        if found[0].error is not None:
            raise found[0].error
        if found[0].points:
            raise TextGridError(f"its tier {found[0].name!r} has points and no intervals", category="tier of points")
        return found[0]

    def _matching(self, tiers: Sequence[Tier]) -> list[Tier]:
        if not self.wanted:
            return [tier for tier in tiers if _plain(tier.name.rpartition(" - ")[2]) in _USUAL_TIERS]
        wanted = _plain(self.wanted)
        found = [tier for tier in tiers if tier.name == self.wanted] or [t for t in tiers if _plain(t.name) == wanted]
        found = found or [tier for tier in tiers if _plain(tier.name.rpartition(" - ")[2]) == wanted]
        if not found and self.wanted.isascii() and self.wanted.isdecimal() and 0 < int(self.wanted) <= len(tiers):
            return [tiers[int(self.wanted) - 1]]
        return found


def _plain(name: str) -> str:
    return normalize("NFC", name.strip()).casefold()


def parse_textgrid(data: bytes | str, encoding: str | None = None) -> TextGrid:
    r"""Parse all tiers of a TextGrid; a damaged one has an error.

    Args:
        data: The content of the file.
        encoding: Of text that is neither UTF-8 nor UTF-16; see `decode_text`.

    Raises:
        TextGridError: The data is not a TextGrid, or its beginning is damaged.

    >>> grid = parse_textgrid('"ooTextFile" "TextGrid" 0 1 <exists> 1 "IntervalTier" "phones" 0 1 1 0 1 "ah"')
    >>> grid.labels(TierNames()).intervals
    (Interval(symbol='ah', start=0.0, end=1.0, line=1),)
    """
    if len(data) > LARGEST:
        raise TextGridError(f"is larger than {LARGEST} bytes")
    tokens = Tokens(_text_of(data, encoding) if isinstance(data, bytes) else data)
    _check_kind(tokens)
    span = tokens.span("the TextGrid")
    flag = tokens.flag()
    if flag not in ("<exists>", "<absent>"):
        raise tokens.error(f"<exists> or <absent> should stand here, not {flag[:40]!r}")
    if flag == "<absent>":
        if (more := tokens.rest()) is not None:
            raise tokens.error(f"there is more than the TextGrid says: {more[1][:40]!r}")
        return TextGrid((), span)
    return TextGrid(_tiers(tokens), span)


def _text_of(data: bytes, encoding: str | None) -> str:
    if data.startswith(b"ooBinaryFile"):
        raise TextGridError(
            "is a TextGrid in Praat's binary form (ooBinaryFile): save it in Praat with Save as text file",
            category="binary TextGrid",
        )
    try:
        return decode_text(data, encoding)
    except CorpusError as error:
        raise TextGridError(str(error), category="not UTF-8") from None


def _check_kind(tokens: Tokens) -> None:
    if not tokens.text.strip():
        raise TextGridError("is an empty file")
    if tokens.text.lstrip().startswith('"Praat chronological TextGrid'):
        raise TextGridError("is a chronological TextGrid: save it in Praat with Save as text file")
    if tokens.string("the kind of file") not in ("ooTextFile", "ooTextFile short"):
        raise TextGridError("is no TextGrid in text form: its first lines say another kind")
    kind = tokens.string("the kind of object")
    if kind != "TextGrid":
        raise TextGridError(f"is no TextGrid in text form: its first lines say another kind, {kind[:40]!r}")


def _tiers(tokens: Tokens) -> tuple[Tier, ...]:
    """Read all tiers that are there, whatever their number is said to be."""
    said = tokens.count("tiers")
    tiers: list[Tier] = []
    lost: TextGridError | None = None
    intervals = moves = 0
    while intervals <= MOST_INTERVALS and moves <= MOST_DAMAGED:
        damaged = False
        try:
            header = _header(tokens)
            if header is None:
                break
            tiers.append(_tier(tokens, *header))
            intervals += len(tiers[-1].intervals)
            damaged = tiers[-1].error is not None
        except _MoreIntervalsError as error:
            damaged, lost = True, lost or error
            if tiers:
                tiers[-1] = replace(tiers[-1], error=_in_tier(tiers[-1].name, error))
        except TextGridError as error:
            damaged, lost = True, lost or error
        if damaged and not _move_to_next_header(tokens):
            break
        moves += damaged
    else:
        raise TextGridError(f"has more than {MOST_INTERVALS} intervals, or more than {MOST_DAMAGED} damaged tiers")
    if not tiers and lost is not None:
        raise lost
    if said and not tiers:
        raise TextGridError(f"line {tokens.line}: it ends before the class of a tier")
    return tuple(tiers)


class _MoreIntervalsError(TextGridError):
    """After a tier follows something that is no header."""


def _header(tokens: Tokens) -> tuple[str, str, int] | None:
    """Read the class and the name of a tier; return them with the line of its header, or None at the end."""
    token = tokens.rest()
    if token is None:
        return None
    kind, line = token[1], tokens.line
    if token[0] != "string":
        message = f"line {line}: there are more intervals than the tier says, or no class of a tier: {kind[:40]!r}"
        raise _MoreIntervalsError(message)
    if kind not in _CLASSES:
        if tokens.rest() is None:  # else it may be the header of a tier whose class is damaged
            raise _MoreIntervalsError(f"line {line}: there is more than the tier says: {kind[:40]!r}")
        raise tokens.error(f"there is no class of tier {kind[:40]!r}")
    return kind, tokens.string("a tier's name"), line


def _move_to_next_header(tokens: Tokens) -> bool:
    """Move to the next line that may be the header of a tier; return whether there is one."""
    match = _HEADER.search(tokens.text, tokens.resume)
    if match is None:
        return False
    tokens.move(match.start())
    tokens.resume = match.end()
    return True


def _tier(tokens: Tokens, kind: str, name: str, line: int) -> Tier:
    """Read the rest of a tier; damage is kept as its error."""
    tokens.resume = tokens.place
    intervals: list[Interval] = []
    span, count = (0.0, 0.0), 0
    points = kind == "TextTier"
    try:
        span = tokens.span("the tier")
        count = tokens.count("points" if points else "intervals")
        while len(intervals) < count:
            intervals.append(_point(tokens) if points else _interval(tokens))
    except TextGridError as error:
        where = f" (at {len(intervals) + 1} of {count})" if count else ""
        return Tier(name, tuple(intervals), points, span, line, _in_tier(name, error, where))
    return Tier(name, tuple(intervals), points, span, line)


def _interval(tokens: Tokens) -> Interval:
    start = tokens.number("the start of an interval")
    line = tokens.line
    end = tokens.number("the end of an interval")
    return Interval(sys.intern(tokens.string("an interval's text")), start, end, line)


def _point(tokens: Tokens) -> Interval:
    time = tokens.number("a point's time")
    line = tokens.line
    return Interval(tokens.string("a point's text"), time, time, line)


def _in_tier(name: str, error: TextGridError, where: str = "") -> TextGridError:
    return TextGridError(f"tier {name[:80]!r}, {error}{where}")
