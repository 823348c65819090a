"""Account of everything that was found when a corpus was prepared: counts, reasons and the options that keep more.

`preparation.json` in the corpus's folder has the counts first and every name last, one per line, so that the counts of
a million skipped files can be read without their names. `Ledger` writes it.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inattention.corpora.errors import CorpusError
from inattention.text import printable

FILE = "preparation.json"
FORMAT = 1
FIRST = 10  # names shown per reason
REASONS_SHOWN = 20
LARGEST_SUMMARY = 2**26
ITEMS = '"items": ['
TENTH = 0.1

_OPTIONS: dict[str, tuple[str, str]] = {
    "truncated": ("--truncated keep uses what is there", ""),
    "too short": ("--shortest-seconds, if lower, keeps them", "folder"),
    "text of a divided recording": ("--longest-seconds, if higher, keeps them", "folder hf kaldi"),
    "unknown phone": ("--silence NAMES counts symbols as silence", "cutset folder kaldi librispeech"),
    "no such tier": ("--tier NAME selects the tier", "folder"),
    "several such tiers": ("--tier NAME selects the tier", "folder"),
    "not UTF-8": ("--encoding latin-1 reads older files", "folder kaldi librispeech"),
    "audio not found": ("--audio-root FOLDER says where the audio is", "cutset hf kaldi"),
    "in no list of the split": ("--split chapters uses all utterances", "librispeech"),
    "text not known": ("--untold uses them for training without labels", "queen"),
}


def option_for(category: str, corpus: str) -> str | None:
    """Return the option of `corpus prepare` that keeps what a category loses, in words; None if there is none.

    >>> option_for("no such tier", "folder")
    '--tier NAME selects the tier'
    >>> option_for("no such tier", "librispeech")  # which has no such option
    """
    option, corpora = _OPTIONS.get(category, (None, ""))
    return option if not corpora or corpus in corpora.split() else None


@dataclass(frozen=True, kw_only=True)
class Count:
    """Number of items of a kind: `found` is the sum of `used`, `skipped`, `ignored` and those not accounted for.

    Attributes:
        kind: `recording`, `label`, `text`, `speaker`, or `file` for files that are none of these.
        found: Items that the reader came across.
        used: Items in the corpus, repaired ones included.
        repaired: Items used after a repair.
        skipped: Items that could not be used.
        ignored: Items left out on purpose.
    """

    kind: str
    found: int
    used: int
    repaired: int
    skipped: int
    ignored: int

    @property
    def unaccounted(self) -> int:
        """Items found of which nothing else is known."""
        return self.found - self.used - self.skipped - self.ignored


@dataclass(frozen=True, kw_only=True)
class Group:
    """Items with one outcome for one reason.

    Attributes:
        outcome: `skipped`, `repaired`, `ignored`, or `used` for recordings that lack labels or a text.
        kind: See `Count`.
        category: The reason without names and numbers.
        count: Number of items.
        seconds: Of audio, as far as known.
        option: The option that keeps them, if there is one.
        first: Some of the items, with their full reasons.
    """

    outcome: str
    kind: str
    category: str
    count: int
    seconds: float
    option: str | None
    first: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class SpeakerCount:
    """Shares of one speaker in the corpus.

    Attributes:
        speaker: None for recordings of unknown speakers.
        recordings: Used.
        seconds: Of audio used.
        labels_kept: Recordings with phone labels.
        labels_dropped: Recordings that lost theirs.
    """

    speaker: str | None
    recordings: int
    seconds: float
    labels_kept: int
    labels_dropped: int


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Summary of a preparation.

    Attributes:
        counts: Of each kind of item.
        seconds_used: Of audio in the corpus.
        seconds_skipped: Of audio skipped, as far as known.
        seconds_with_labels: Of audio of the recordings with phone labels.
        seconds_labelled: The part of these that a label covers.
        groups: Reasons, the most frequent first.
        speakers: By name.
    """

    counts: tuple[Count, ...]
    seconds_used: float
    seconds_skipped: float
    seconds_with_labels: float
    seconds_labelled: float
    groups: tuple[Group, ...]
    speakers: tuple[SpeakerCount, ...]

    @property
    def skipped(self) -> int:
        """Number of items that could not be used, of all kinds."""
        return sum(count.skipped for count in self.counts)

    def to_json(self) -> dict[str, Any]:
        """Return the content of `preparation.json` without the names."""
        return {"format": FORMAT, **asdict(self)}


def read_preparation(folder: Path) -> Preparation | None:
    """Read the summary of a corpus's preparation; None if the corpus is older than these.

    Raises:
        CorpusError: The file is damaged.
    """
    path = folder / FILE
    try:
        with path.open(encoding="utf-8") as file:
            data = _head(file)
        return _from_json(data)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CorpusError(f"{path} is damaged: --overwrite prepares the corpus again") from None


def _head(file: Any) -> Any:
    """Parse a file of JSON up to its list of items."""
    head, size = [], 0
    while line := file.readline(LARGEST_SUMMARY):
        if line.strip() == ITEMS:
            return json.loads("".join(head).rstrip().removesuffix(",") + "}")
        head.append(line)
        size += len(line)
        if size > LARGEST_SUMMARY:
            raise ValueError("too large")
    return json.loads("".join(head))


def _from_json(data: Any) -> Preparation:
    """Return a summary, with its types checked: the file may be a stranger's.

    Raises:
        ValueError, KeyError, TypeError: It is none.
    """
    if data["format"] != FORMAT:
        raise ValueError("another format")
    return Preparation(
        counts=tuple(
            Count(kind=_word(count["kind"]), **{name: _number(count[name]) for name in _COUNTED})
            for count in data["counts"]
        ),
        groups=tuple(
            Group(
                outcome=_word(group["outcome"]),
                kind=_word(group["kind"]),
                category=_word(group["category"]),
                count=_number(group["count"]),
                seconds=float(group["seconds"]),
                option=None if group["option"] is None else _word(group["option"]),
                first=tuple((_word(item), _word(reason)) for item, reason in group["first"]),
            )
            for group in data["groups"]
        ),
        speakers=tuple(
            SpeakerCount(
                speaker=None if speaker["speaker"] is None else _word(speaker["speaker"]),
                recordings=_number(speaker["recordings"]),
                seconds=float(speaker["seconds"]),
                labels_kept=_number(speaker["labels_kept"]),
                labels_dropped=_number(speaker["labels_dropped"]),
            )
            for speaker in data["speakers"]
        ),
        **{name: float(data[name]) for name in _SECONDS},
    )


_COUNTED = ("found", "used", "repaired", "skipped", "ignored")
_SECONDS = ("seconds_used", "seconds_skipped", "seconds_with_labels", "seconds_labelled")


def _number(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError("no number")
    return value


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return printable(value)


def as_lines(preparation: Preparation) -> Iterator[str]:
    """Yield lines of text: counts, reasons with the first names, and what lost more than a tenth."""
    for count in preparation.counts:
        if count.found and count.kind != "file":
            yield _count_line(count)
    yield _seconds_line(preparation)
    outcomes = ("skipped", "repaired", "used", "ignored")
    for outcome in outcomes:
        groups = [group for group in preparation.groups if group.outcome == outcome]
        # What a command would make usable comes first, so that no litter hides it.
        groups.sort(key=lambda group: "convert with" not in group.category)
        for group in groups[:REASONS_SHOWN]:
            yield from _group_lines(group)
        if len(groups) > REASONS_SHOWN:
            rest = sum(group.count for group in groups[REASONS_SHOWN:])
            yield f"{outcome} for {len(groups) - REASONS_SHOWN} more reasons: {rest} (all in {FILE})"
    for loss in losses(preparation):
        yield f"WARNING: {loss}"


def _count_line(count: Count) -> str:
    parts = [f"{count.used} used"]
    parts += [f"{count.repaired} of them repaired"] * bool(count.repaired)
    parts += [f"{count.skipped} skipped"] * bool(count.skipped)
    parts += [f"{count.ignored} ignored"] * bool(count.ignored)
    parts += [f"{count.unaccounted} not accounted for"] * (count.unaccounted > 0)
    return f"{count.found} {_plural(count.kind, count.found)}: {', '.join(parts)}"


def _seconds_line(preparation: Preparation) -> str:
    line = f"{preparation.seconds_used:.1f} s of audio used"
    if preparation.seconds_skipped:
        line += f", {preparation.seconds_skipped:.1f} s skipped"
    if preparation.seconds_with_labels:
        share = preparation.seconds_labelled / preparation.seconds_with_labels
        line += f"; labels cover {100 * share:.1f} % of the recordings that have them"
    return line


def _group_lines(group: Group) -> Iterator[str]:
    option = f" ({group.option})" if group.option else ""
    what = "" if group.outcome == "used" else f" {_plural(group.kind, group.count)},"
    yield f"{group.outcome}{what} {group.category}: {group.count}{option}"
    if group.outcome == "ignored":
        return
    for item, reason in group.first:
        yield f"  {item}: {reason}" if reason != group.category else f"  {item}"
    if group.count > len(group.first):
        yield f"  and {group.count - len(group.first)} more (all in {FILE})"


def losses(preparation: Preparation) -> Iterator[str]:
    """Yield a line for anything of which more than a tenth was dropped, with the options that keep it."""
    for count in preparation.counts:
        # What was left out on purpose counts if an option would have kept it.
        left_out = sum(
            group.count
            for group in preparation.groups
            if group.outcome == "ignored" and group.kind == count.kind and group.option
        )
        dropped = count.skipped + left_out + max(0, count.unaccounted)
        if count.kind != "file" and dropped > TENTH * count.found:
            yield _loss(preparation, dropped, count.found, _plural(count.kind, 2), {count.kind})
    seconds, skipped = preparation.seconds_used + preparation.seconds_skipped, preparation.seconds_skipped
    if skipped > TENTH * seconds:
        yield _loss(preparation, skipped, seconds, "seconds of audio", {"recording"})
    uncovered = preparation.seconds_with_labels - preparation.seconds_labelled
    if uncovered > TENTH * preparation.seconds_with_labels:
        what = "seconds of the recordings with labels have none"
        yield _loss(preparation, uncovered, preparation.seconds_with_labels, what, {"label"})
    yield from _speakers_losses(preparation)


def _speakers_losses(preparation: Preparation) -> Iterator[str]:
    # Labels without a recording are nobody's.
    known = [s for s in preparation.speakers if s.speaker is not None or s.recordings]
    lost = {s: s.labels_dropped / (s.labels_kept + s.labels_dropped) for s in known if s.labels_dropped}
    worst = sorted((s for s in lost if lost[s] > TENTH), key=lambda s: (-lost[s], str(s.speaker)))
    if not worst:
        return
    names = [
        f"{s.speaker or 'unknown'} ({s.labels_dropped} of {s.labels_kept + s.labels_dropped})" for s in worst[:FIRST]
    ]
    more = f" and {len(worst) - FIRST} more" if len(worst) > FIRST else ""
    advice = _advice(preparation, {"label"})
    yield f"more than a tenth of the labels of {len(worst)} speakers was dropped: {', '.join(names)}{more}{advice}"


def _loss(preparation: Preparation, dropped: float, whole: float, what: str, kinds: set[str]) -> str:
    amounts = [f"{amount:.1f}" if isinstance(amount, float) else str(amount) for amount in (dropped, whole)]
    share = 100 * dropped / whole
    advice = _advice(preparation, kinds)
    if what.endswith("none"):
        return f"{amounts[0]} of {amounts[1]} {what} ({share:.0f} %){advice}"
    return f"more than a tenth of the {what} was dropped: {amounts[0]} of {amounts[1]} ({share:.0f} %){advice}"


def _advice(preparation: Preparation, kinds: set[str]) -> str:
    """Return the options that keep items of some kinds, the most effective first."""
    groups = [group for group in preparation.groups if group.kind in kinds and group.option]
    options = dict.fromkeys(group.option for group in groups if group.option)
    return "; " + "; ".join(options) if options else ""


def _plural(kind: str, count: int) -> str:
    return kind if count == 1 else f"{kind}s"
