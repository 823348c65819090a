"""Claims of the benchmarks with their measurements and verdicts."""

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
        what: the claim.
        at_most: largest value with which it is met.
        measured: median; None where nothing could be measured.
        spread: quartiles, or another note on the measurement.
        counted: the same by counted operations, where these exist.
    """

    what: str
    at_most: float
    measured: float | None
    spread: str = ""
    counted: str = ""

    @property
    def verdict(self) -> str:
        """Return whether the claim is met."""
        if self.measured is None:
            return "not measured"
        return "met" if self.measured <= self.at_most else "NOT met"


def table(checked: Sequence[Checked], unit: str) -> str:
    """Return claims as a text table, with counts of their verdicts."""
    cells = [["claim", "at most", unit, "quartiles", "by operations", "verdict"]]
    for it in checked:
        measured = "-" if it.measured is None else f"{it.measured:.3f}"
        cells.append([it.what, f"{it.at_most:.2f}", measured, it.spread, it.counted, it.verdict])
    verdicts = sorted(it.verdict for it in checked)
    summary = ", ".join(f"{len(list(group))} {verdict}" for verdict, group in groupby(verdicts))
    return f"{aligned(cells)}\n{summary}"


def registered(rows: Iterable[str]) -> tuple[str, ...]:
    """Return the canonical names of rows whose mechanism is registered; others are skipped with a message."""
    known = []
    for row in rows:
        if row.split("@")[0] in mechanisms():
            known.append(parse_row(row).name)
        else:
            print(f"{row}: skipped, its mechanism is not registered")
    return tuple(known)
