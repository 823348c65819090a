"""Claims about speed and their measurements."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from inattention.attention import mechanisms
from inattention.attention.rows import parse_row
from inattention.text import aligned


@dataclass(frozen=True)
class Checked:
    """A claim with its measurement.

    Attributes:
        what: the claim, in words.
        at_most: the largest value that meets it.
        measured: the median, or None where nothing could be measured.
        spread: its quartiles, or another remark.
        counted: the same by counted operations, where they exist.
    """

    what: str
    at_most: float
    measured: float | None
    spread: str = ""
    counted: str = ""

    @property
    def verdict(self) -> str:
        """Whether the claim is met, in words."""
        if self.measured is None:
            return "not measured"
        return "met" if self.measured <= self.at_most else "NOT met"


def table(checked: Sequence[Checked], unit: str) -> str:
    """Format claims as a table, with counts of the verdicts."""
    cells = [["claim", "at most", unit, "quartiles", "by operations", "verdict"]]
    for it in checked:
        measured = "-" if it.measured is None else f"{it.measured:.3f}"
        cells.append([it.what, f"{it.at_most:.2f}", measured, it.spread, it.counted, it.verdict])
    verdicts = sorted(it.verdict for it in checked)
    summary = ", ".join(f"{len(list(group))} {verdict}" for verdict, group in groupby(verdicts))
    return f"{aligned(cells)}\n{summary}"


def registered(rows: Iterable[str]) -> tuple[str, ...]:
    """Return the canonical names of rows whose mechanism is registered; print a note on each other row."""
    known = []
    for row in rows:
        if row.split("@")[0] in mechanisms():
            known.append(parse_row(row).name)
        else:
            print(f"{row}: there is no such mechanism here; skipped")
    return tuple(known)
