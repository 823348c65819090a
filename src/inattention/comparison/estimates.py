"""Estimates and differences with 95 % intervals, and the verdicts read from them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from inattention.comparison.components import Components, Needed

Verdict = Literal["holds", "does not hold", "cannot be told", "not measured"]


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval.

    Attributes:
        estimate: as a fraction for accuracies.
        low: where the interval begins; not clipped to the range of accuracies.
        high: where it ends; not clipped.
        seeds: number of seeds of the row that has fewest; rows without training do not count.
        utterances: number of test utterances; 0 where they are unknown.
        widened: whether a row with one seed was widened by the deviation between seeds of other rows.
        utterances_only: whether a trained row has one seed and nothing is known of the deviation between seeds: the
            interval then covers other test utterances and not another training.
    """

    estimate: float
    low: float
    high: float
    seeds: int
    utterances: int = 0
    widened: bool = False
    utterances_only: bool = False

    def in_points(self) -> "Interval":
        """Return the same in percentage points."""
        return replace(self, estimate=100 * self.estimate, low=100 * self.low, high=100 * self.high)

    def clipped(self) -> tuple[float, float]:
        """Return the interval within 0 and 1, to display an accuracy; never compute a width from it."""
        return max(self.low, 0.0), min(self.high, 1.0)


@dataclass(frozen=True)
class Difference(Interval):
    """A difference, or any other contrast of accuracies, with its 95 % interval.

    Attributes:
        components: its variance by sources, from which `needed` follows.
    """

    components: Components | None = field(default=None, repr=False, compare=False)

    def in_points(self) -> "Difference":
        """Return the same in percentage points."""
        points = Interval.in_points(self)
        components = self.components and self.components.scaled(100)
        return replace(self, estimate=points.estimate, low=points.low, high=points.high, components=components)

    @property
    def verdict(self) -> Verdict:
        """Return whether the difference is above 0.

        >>> Difference(0.02, 0.01, 0.03, seeds=3).verdict
        'holds'
        """
        return "holds" if self.low > 0 else "does not hold" if self.high < 0 else "cannot be told"

    @property
    def needed(self) -> Needed | None:
        """Return what would decide the difference; None if it is decided."""
        undecided = self.verdict == "cannot be told" and self.components
        return self.components.needed(self.estimate) if undecided and self.components else None


def all_above(differences: Sequence[Difference | None]) -> Verdict:
    """Return whether all differences are above 0: not if any is below; those not measured (None) are skipped."""
    verdicts = {it.verdict for it in differences if it}
    if not verdicts:
        return "not measured"
    return "does not hold" if "does not hold" in verdicts else "holds" if verdicts == {"holds"} else "cannot be told"


def most(verdicts: Sequence[Verdict]) -> Verdict:
    """Return whether more than half hold; those not measured are skipped.

    >>> most(["holds", "holds", "cannot be told"]), most(["holds", "cannot be told", "does not hold"])
    ('holds', 'cannot be told')
    >>> most(["does not hold", "does not hold", "cannot be told"])
    'does not hold'
    """
    known = [it for it in verdicts if it != "not measured"]
    if not known:
        return "not measured"
    if known.count("holds") > len(known) / 2:
        return "holds"
    return "cannot be told" if len(known) - known.count("does not hold") > len(known) / 2 else "does not hold"


def verdict_of(difference: Difference | None) -> Verdict:
    """Return the verdict of a difference, "not measured" for None."""
    return difference.verdict if difference else "not measured"


def opposite(verdict: Verdict) -> Verdict:
    """Return the verdict on the opposite claim: "holds" and "does not hold" are exchanged."""
    if verdict == "holds":
        return "does not hold"
    return "holds" if verdict == "does not hold" else verdict
