"""Which differences hold: the comparisons that a study is run for, each on every task."""

from collections.abc import Sequence
from dataclasses import dataclass

from inattention.study.estimates import Verdict, compare
from inattention.study.reporting.families import RowInfo
from inattention.study.reporting.tables import AccuracyRow


@dataclass(frozen=True)
class Difference:
    """One row against another on one task.

    Attributes:
        points: how much more, in points of accuracy.
        verdict: whether intervals lie apart; None if either was not measured.
    """

    points: float
    verdict: Verdict | None


@dataclass(frozen=True)
class Comparison:
    """One row against another on all tasks.

    Attributes:
        one: the row.
        other: what it is held against.
        why: what the comparison is for.
        differences: by task; None where either was not measured.
    """

    one: RowInfo
    other: RowInfo
    why: str
    differences: dict[str, Difference | None]


def subjects(infos: Sequence[RowInfo]) -> list[RowInfo]:
    """Pick the rows that a study is about: trained encoders whose attention is learned and blind to its input."""
    chosen = [
        info
        for info in infos
        if info.card and info.card.input_independent and info.family.name != "control" and not info.untrained
    ]
    # The paper's own first.
    return sorted(chosen, key=lambda info: not info.name.startswith("patterned"))


def baselines(infos: Sequence[RowInfo]) -> list[RowInfo]:
    """Pick the rows that others are held against: query-key attention, trained, from any start."""
    return [info for info in infos if info.name.partition("@")[0] == "qk" and not info.untrained]


def comparisons(rows: Sequence[AccuracyRow], tasks: Sequence[str]) -> list[Comparison]:
    """Hold rows against their untrained copies, query-key attention and Mel, where both were measured."""
    infos = [row.info for row in rows]
    by_name = {row.info.name: row for row in rows}
    pairs = [
        (by_name[info.trained_name].info, info, "what pre-training added")
        for info in infos
        if info.untrained and info.trained_name in by_name
    ]
    for info in subjects(infos):
        pairs += [(info, other, "input-independent against query-key") for other in baselines(infos)]
    pairs += [
        (info, mel, "an encoder against its own input")
        for info in [*subjects(infos), *baselines(infos)]
        for mel in infos
        if mel.is_mel
    ]
    found = [
        Comparison(one, other, why, {task: _difference(by_name[one.name], by_name[other.name], task) for task in tasks})
        for one, other, why in pairs
    ]
    return [it for it in found if any(it.differences.values())]


def _difference(one: AccuracyRow, other: AccuracyRow, task: str) -> Difference | None:
    first, second = one.scores[task], other.scores[task]
    if first is None or second is None:
        return None
    return Difference(100 * (first.mean - second.mean), compare(first, second))
