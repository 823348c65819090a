"""Marks of intervals that rest on less than several seeds of the row itself."""

from typing import Protocol, runtime_checkable

WIDENED, UTTERANCES_ONLY = "\N{DAGGER}", "\N{DOUBLE DAGGER}"
MARKS = (
    f"{WIDENED} a row has one seed: its interval is widened by the deviation between seeds of the rows that have "
    f"several. {UTTERANCES_ONLY} a row has one seed and no row has several: the interval covers other test utterances "
    "and not another training."
)


@runtime_checkable
class Marked(Protocol):
    """An interval that knows what it rests on, see `inattention.comparison.Interval`."""

    @property
    def widened(self) -> bool:
        """Whether it was widened by the deviation between seeds of other rows."""
        ...

    @property
    def utterances_only(self) -> bool:
        """Whether it covers other test utterances and not another training."""
        ...


def mark_of(interval: Marked) -> str:
    """Return the mark of an interval that rests on a single seed of a row, explained by `MARKS`; else nothing."""
    return UTTERANCES_ONLY if interval.utterances_only else WIDENED if interval.widened else ""
