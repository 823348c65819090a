"""The labels of one recording: intervals as a file has them, and as they fit the audio.

Every format is read into `Labels`. Small faults, which rounding and editing leave in many files, are repaired, and each
repair is reported:

- borders that overlap, or leave a gap, by one rounding step of the format become one border;
- an end up to one frame past the audio, or past the tier, is moved there;
- intervals without duration are dropped;
- a gap leaves its frames without a label, and so does the end of audio that the labels do not reach;
- unknown words (`spn`) count as silence;
- sounds that are no English phone (`<unk>`, `nsn`) leave their frames without a label;
- labels whose times begin with an excerpt of a longer recording are shifted to the beginning of the audio.

Anything more is an error that names the tier and the line.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from inattention.audio.limits import DURATION_TOLERANCE_SECONDS
from inattention.corpora.core.cut_building import Phone
from inattention.corpora.core.phones import UNKNOWN_WORD_LABELS, LabelSymbols, UnknownPhoneError
from inattention.corpora.core.writer import CorpusWriter
from inattention.corpora.errors import CorpusError

FRAME_SECONDS = 0.0125  # of the log-mel features
PAST_AUDIO = "labels that end after the audio"
NOISE = 1e-6  # seconds; sums of floating-point numbers
_LINES_SHOWN = 5


class LabelError(CorpusError):
    """An error in a file of labels; the message names the tier, if there are tiers, and the line.

    Attributes:
        category: The kind of error in a few words, for the ledger.
    """

    category = "damaged labels"

    def __init__(self, message: str, *, category: str | None = None) -> None:
        super().__init__(message)
        if category is not None:
            self.category = category


class Interval(NamedTuple):
    """A label from `start` to `end`, in seconds, and its line in the file (0: unknown)."""

    symbol: str
    start: float
    end: float
    line: int = 0


@dataclass(frozen=True)
class Labels:
    """The labels of a recording as a file has them.

    Attributes:
        intervals: In order of their starts.
        step: Seconds to which the format rounds times.
        tier: The tier's name; None in formats without tiers.
        end: End of the tier, in seconds, if the format has one.
        span: Start and end of the whole file, in seconds, if the format has them.
        overhang: Seconds past the audio or the tier that are cut off.
        file: The file's name, where an item of reports is called otherwise.
        gapless: Whether the format has an interval for all times, so that a gap is worth a report.
    """

    intervals: tuple[Interval, ...]
    step: float
    tier: str | None = None
    end: float | None = None
    span: tuple[float, float] | None = None
    overhang: float = FRAME_SECONDS
    file: str | None = None
    gapless: bool = False

    def error(self, message: str, line: int = 0, category: str | None = None) -> LabelError:
        """Return an error that names the file, the tier and the line."""
        places = [self.file] if self.file is not None else []
        places += [f"tier {self.tier[:80]!r}"] if self.tier is not None else []
        places += [f"line {line}"] if line else []
        return LabelError(f"{', '.join(places)}: {message}" if places else message, category=category)


def use_labels(
    writer: CorpusWriter,
    item: str,
    labels: Labels,
    symbols: LabelSymbols,
    seconds: float,
    *,
    truncated: bool = False,
    speaker: str | None = None,
) -> list[Phone] | None:
    """Return the phones of a recording and report repairs; report labels that do not fit and return None.

    Args:
        writer: Takes the reports.
        item: The name of the labels in reports.
        labels: What was read.
        symbols: How labels are mapped to phones.
        seconds: Duration of the audio.
        truncated: The audio was cut off: labels end where it ends.
        speaker: Who speaks, if known.
    """
    try:
        fitted = fit(labels, symbols, seconds, truncated=truncated)
    except CorpusError as error:
        skip_labels(writer, item, error, speaker=speaker)
        return None
    for category, lines in fitted.repairs.items():
        writer.repair(item, labels_at(category, lines), kind="label", category=category)
    return fitted.phones


def skip_labels(writer: CorpusWriter, item: str, error: CorpusError, *, speaker: str | None = None) -> None:
    """Report labels that cannot be used."""
    category = error.category if isinstance(error, LabelError) else None
    writer.skip(item, f"its phones are skipped: {error}", kind="label", category=category, speaker=speaker)


def labels_at(category: str, lines: list[int]) -> str:
    """Return a repair with the lines where it was made.

    >>> labels_at("border moved", [3, 7]), labels_at("border moved", [0])
    ('border moved (lines 3, 7)', 'border moved')
    """
    shown = sorted({line for line in lines if line})
    if not shown:
        return category if len(lines) == 1 else f"{category} ({len(lines)} times)"
    more = f" and {len(shown) - _LINES_SHOWN} more" if len(shown) > _LINES_SHOWN else ""
    return f"{category} (line{'s'[: len(shown) > 1]} {', '.join(map(str, shown[:_LINES_SHOWN]))}{more})"


@dataclass
class Fitted:
    """Phones that fit their audio.

    Attributes:
        phones: In order, without overlaps, inside of the audio.
        repairs: Lines of the file by kind of repair.
    """

    phones: list[Phone] = field(default_factory=list)
    repairs: dict[str, list[int]] = field(default_factory=dict)

    def repaired(self, category: str, line: int) -> None:
        """Count a repair."""
        self.repairs.setdefault(category, []).append(line)


def fit(labels: Labels, symbols: LabelSymbols, seconds: float, *, truncated: bool = False) -> Fitted:
    """Return the phones of labels, repaired as the module says.

    Raises:
        LabelError: There are none, or a fault is larger than what is repaired.

    >>> labels = Labels((Interval("sil", 0.0, 0.501), Interval("AH0", 0.5, 1.01)), step=0.001)
    >>> found = fit(labels, LabelSymbols(english=True), 1.0)
    >>> found.phones
    [('sil', 0.0, 0.5), ('ah', 0.5, 1.0)]
    >>> sorted(found.repairs)
    ['border that overlapped by a rounding step', 'end slightly past the audio or the tier']
    """
    found = Fitted()
    offset = _offset(labels, seconds)
    if offset:
        found.repaired("times of an excerpt shifted to the beginning of the audio", 0)
    timed = _ordered(labels, _within_ends(labels, offset, seconds, found, truncated=truncated), found)
    reached = 0.0
    for symbol, start, end, line in timed:
        reached = max(reached, end)
        try:
            phone = symbols.phone_of(symbol)
        except UnknownPhoneError as error:
            message = f"{error}; --silence names labels of silence, --phone-set as-is keeps all labels"
            raise labels.error(message, line, "unknown phone") from None
        if symbol.strip().lower() in UNKNOWN_WORD_LABELS:
            found.repaired("unknown word counted as silence", line)
        elif phone is None:
            found.repaired("sound that is no phone left without a label", line)
        if phone is not None:
            found.phones.append((phone, start, end))
    if not found.phones:
        raise labels.error("there are no phones", category="no phones")
    if seconds - reached > DURATION_TOLERANCE_SECONDS:
        found.repaired("end of the audio without a label", timed[-1].line)
    return found


def _offset(labels: Labels, seconds: float) -> float:
    """Return the time at which the audio begins: above 0 in the labels of an excerpt that kept its times."""
    if labels.span is None or not labels.intervals:
        return 0.0
    first, last = labels.span
    outside = first < -labels.step or max(interval.end for interval in labels.intervals) > seconds + labels.overhang
    return first if outside and abs(last - first - seconds) <= DURATION_TOLERANCE_SECONDS else 0.0


def _within_ends(labels: Labels, offset: float, seconds: float, found: Fitted, *, truncated: bool) -> list[Interval]:
    """Return intervals that are inside of their tier and of the audio; empty ones are dropped."""
    intervals = [Interval(s, a - offset, b - offset, line) for s, a, b, line in labels.intervals]
    tier_end = float("inf") if labels.end is None else labels.end - offset
    last = max(intervals, key=lambda interval: interval.end, default=Interval("", 0.0, 0.0))
    if last.end > seconds + labels.overhang + NOISE and not truncated:
        raise labels.error(f"the phones end at {last.end:.3f} s, the audio at {seconds:.3f} s", last.line, PAST_AUDIO)
    kept = []
    for interval in intervals:
        symbol, start, end, line = interval
        if end < start - labels.step - NOISE:
            raise labels.error(f"{symbol[:40]!r} ends at {end:g} s, before it starts at {start:g} s", line)
        if end > tier_end + labels.overhang + NOISE:
            raise labels.error(f"{symbol[:40]!r} ends at {end:g} s, its tier at {tier_end:g} s", line)
        if start < -labels.step - NOISE:
            raise labels.error(f"{symbol[:40]!r} starts at {start:g} s, before the audio", line)
        start, end = _cut(start, end, min(seconds, tier_end), line, found, truncated=truncated and end > seconds)
        if end > start:
            kept.append(Interval(symbol, start, end, line))
        elif interval.start < seconds:
            found.repaired("label without duration dropped", line)
    return kept


def _cut(start: float, end: float, most: float, line: int, found: Fitted, *, truncated: bool) -> tuple[float, float]:
    """Return times between 0 and `most`."""
    if start < 0.0:
        if start < -NOISE:
            found.repaired("start before the audio moved", line)
        start = 0.0
    if end > most:
        if truncated:
            found.repaired("labels cut where truncated audio ends", line)
        elif end > most + NOISE:
            found.repaired("end slightly past the audio or the tier", line)
        end = most
    return start, end


def _ordered(labels: Labels, intervals: list[Interval], found: Fitted) -> list[Interval]:
    """Return intervals in order, whose borders do not overlap."""
    ordered: list[Interval] = []
    for interval in intervals:
        if not ordered:
            ordered.append(interval)
            continue
        before = ordered[-1]
        overlap = before.end - interval.start
        if overlap > labels.step + NOISE:
            raise labels.error(
                f"{interval.symbol[:40]!r} starts at {interval.start:g} s, {before.symbol[:40]!r} before it ends at "
                f"{before.end:g} s: they overlap",
                interval.line,
                "overlapping labels",
            )
        if overlap < -labels.step - NOISE and labels.gapless:
            found.repaired("gap without a label", interval.line)
        if 0 < abs(overlap) <= labels.step + NOISE:
            interval = _joined(ordered, interval)
            if abs(overlap) > NOISE:
                how = "overlapped" if overlap > 0 else "left a gap"
                found.repaired(f"border that {how} by a rounding step", interval.line)
        if interval.end > interval.start:
            ordered.append(interval)
    return ordered


def _joined(ordered: list[Interval], interval: Interval) -> Interval:
    """Move the border between the last interval and the next one to where the next one starts, if both last."""
    before = ordered[-1]
    if interval.start > before.start:
        ordered[-1] = before._replace(end=interval.start)
        return interval
    return interval._replace(start=before.end)
