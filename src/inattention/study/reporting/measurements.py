"""What claims are judged from: rows and groups of rows held against each other, with an interval for the difference.

The interval of a difference adds the squared half-widths of both sides, as if they were independent. Rows are scored
on the same utterances, so that it is rather too wide than too narrow.

A row with one seed has an interval over test utterances alone, which says nothing of another start. Where rows of the
same study have several seeds, its half-width is widened by what a start of theirs is worth: 1.96 times the pooled
standard deviation over seeds.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from inattention.study.estimates import NORMAL_95
from inattention.study.reporting.tables import AccuracyRow, CostRow, accuracy_rows, cost_rows, settings_of
from inattention.study.results import StudyResults

Judgement = Literal["holds", "does not hold", "cannot be told", "not measured"]
SPEAKERS = ("speaker-utterance", "speaker-frame")
PHONES = ("phone-1-hidden", "phone-2-hidden")


@dataclass(frozen=True)
class Gap:
    """How much more one side has than the other, in points of accuracy, with a 95 % interval."""

    points: float
    low: float
    high: float

    def __sub__(self, other: "Gap") -> "Gap":
        return self._with(other, self.points - other.points)

    def __add__(self, other: "Gap") -> "Gap":
        return self._with(other, self.points + other.points)

    def __truediv__(self, number: float) -> "Gap":
        return Gap(self.points / number, self.low / number, self.high / number)

    def _with(self, other: "Gap", points: float) -> "Gap":
        half = math.hypot((self.high - self.low) / 2, (other.high - other.low) / 2)
        return Gap(points, points - half, points + half)

    @property
    def above(self) -> Judgement:
        """Whether it is above 0."""
        return "holds" if self.low > 0 else "does not hold" if self.high < 0 else "cannot be told"


def mean(gaps: Sequence[Gap]) -> Gap:
    """Average differences.

    >>> mean([Gap(1.0, 0.0, 2.0), Gap(3.0, 2.0, 4.0)]).points
    2.0
    """
    total = gaps[0]
    for gap in gaps[1:]:
        total = total + gap
    return total / len(gaps)


class Evidence:
    """A study's numbers, as claims ask for them. Rows that collapsed support nothing and are left out."""

    def __init__(self, results: StudyResults) -> None:
        self.results = results
        self.rows: dict[str, AccuracyRow] = {row.info.name: row for row in accuracy_rows(results)}
        self.collapsed = [name for name, row in self.rows.items() if row.collapsed]

    def accuracy(self, task: str, *names: str) -> Gap | None:
        """Give the mean accuracy of rows, in points; None if none of them has one."""
        found = [gap for name in names if (gap := self._of(task, name))]
        return mean(found) if found else None

    def gap(self, task: str, ones: Sequence[str], others: Sequence[str]) -> Gap | None:
        """Hold rows against others in a task; None if either side was not measured."""
        one, other = self.accuracy(task, *ones), self.accuracy(task, *others)
        return one - other if one and other else None

    def gaps(self, ones: Sequence[str], others: Sequence[str]) -> dict[str, Gap]:
        """Hold rows against others in every task that both were measured in."""
        found = {task: self.gap(task, ones, others) for task in self.results.tasks}
        return {task: gap for task, gap in found.items() if gap}

    def sound(self, names: Sequence[str]) -> list[str]:
        """Give those rows that the study has and that did not collapse."""
        return [name for name in names if name in self.rows and name not in self.collapsed]

    @cached_property
    def baseline(self) -> str | None:
        """Query-key attention from the start that has the lower held-out loss on dev."""
        return self.better_start("qk")

    def better_start(self, mechanism: str) -> str | None:
        """Give a mechanism's row, from its usual start or the identity, that has the lower held-out loss on dev."""
        rows = [self.rows[name] for name in (mechanism, f"{mechanism}@identity") if name in self.rows]
        losses = {row.info.name: row.loss.mean for row in rows if row.loss and not row.collapsed}
        return min(losses, key=lambda name: losses[name], default=None)

    @cached_property
    def seed_deviation(self) -> dict[str, float]:
        """What a start is worth: the pooled standard deviation over seeds in points, by task, where it is known."""
        found = {}
        for task in self.results.tasks:
            scores = {name: self.results.scores_of(name, task) for name in self.rows if name not in self.collapsed}
            trained = [it for name, it in scores.items() if len(it) > 1 and not self.rows[name].info.is_mel]
            if trained:
                variances = [statistics.variance([100 * score.accuracy for score in it]) for it in trained]
                weights = [len(it) - 1 for it in trained]
                pooled = sum(v * w for v, w in zip(variances, weights, strict=True)) / sum(weights)
                found[task] = math.sqrt(pooled)
        return found

    def costs(self, length: int) -> dict[str, CostRow]:
        """Times at a length with one utterance, by row."""
        setting = next((it for it in settings_of(self.results) if it[0] == length), None)
        return {row.info.name: row for row in cost_rows(self.results, setting)} if setting else {}

    def steps_to(self, name: str, loss: float) -> float | None:
        """Give the steps after which a row's held-out loss is first as low, mean over seeds; None if it never is."""
        reached = []
        for run in self.results.runs_of(name):
            step = next((point.step for point in run.curve if point.held_out_l1 <= loss), None)
            if step is None:
                return None
            reached.append(step)
        return statistics.fmean(reached) if reached else None

    def _of(self, task: str, name: str) -> Gap | None:
        row = self.rows.get(name)
        score = row.scores.get(task) if row and not row.collapsed else None
        if row is None or score is None or score.low is None or score.high is None:
            return None
        half = 50 * (score.high - score.low)
        if score.seeds == 1 and not (row.info.is_mel or row.info.untrained):
            half = math.hypot(half, NORMAL_95 * self.seed_deviation.get(task, 0.0))
        return Gap(100 * score.mean, 100 * score.mean - half, 100 * score.mean + half)


def all_above(gaps: Sequence[Gap]) -> Judgement:
    """Whether all differences are above 0: not if any is below it."""
    if not gaps:
        return "not measured"
    verdicts = {gap.above for gap in gaps}
    return "does not hold" if "does not hold" in verdicts else "holds" if verdicts == {"holds"} else "cannot be told"


def judged(gap: Gap | None) -> Judgement:
    """Whether a difference is above 0, if it was measured."""
    return gap.above if gap else "not measured"


def most(parts: Sequence[bool | None]) -> Judgement:
    """Whether more than half of the parts are true, as far as they are known.

    >>> most([True, True, None]), most([True, None, None]), most([False, False, None])
    ('holds', 'cannot be told', 'does not hold')
    """
    if not parts:
        return "not measured"
    half = len(parts) / 2
    if sum(part is True for part in parts) > half:
        return "holds"
    return "cannot be told" if sum(part is not False for part in parts) > half else "does not hold"
