"""Compare the rows of one or several studies: binds their records to the statistics of `inattention.comparison`.

Every difference of accuracies is paired over test utterances, every difference of losses is over seeds, and every ratio
of times is paired over rounds. Rows that collapsed are not compared.
"""

import math
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from inattention.comparison import (
    Difference,
    Interval,
    PairedBootstrap,
    Ratio,
    UtteranceCounts,
    VariancePrior,
    loss_prior,
    seed_difference,
    time_ratio,
)
from inattention.probing.results import TaskResult
from inattention.study.collapse import collapse_reason
from inattention.study.results import StudyResults
from inattention.timing.report import TimedRow

REFERENCE = "qk"
# Stored ratios are medians of the same quotients: any other deviation means that the rounds are not the same.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Estimate:
    """A result of one row, mean over its seeds.

    Attributes:
        mean: over seeds.
        low: where its 95 % interval begins; None where there is no interval.
        high: where it ends.
        seeds: number of seeds.
        widened: whether the interval of a single seed was widened by the deviation between seeds of other rows.
        utterances_only: whether the interval covers other test utterances and not another training.
    """

    mean: float
    low: float | None
    high: float | None
    seeds: int
    widened: bool = False
    utterances_only: bool = False

    @classmethod
    def of(cls, interval: Interval) -> "Estimate":
        """Return an accuracy, with its interval within 0 and 1."""
        low, high = interval.clipped()
        return cls(interval.estimate, low, high, interval.seeds, interval.widened, interval.utterances_only)


@dataclass(frozen=True)
class MeasuredRow:
    """Results of the runs and probes of one row.

    Attributes:
        name: of the row, unique among the rows that are compared.
        trained: False for features and untrained encoders.
        collapsed: why any of its runs collapsed; None if none did.
        losses: held-out loss by seed.
        scores: by task, then by seed; without counts per test utterance only where no seed has them.
        corpus: key of the corpus: utterances of different corpora are never paired.
    """

    name: str
    trained: bool
    collapsed: str | None
    losses: Mapping[int, float]
    scores: Mapping[str, Mapping[int, TaskResult]]
    corpus: str = ""

    def is_paired(self, task: str) -> bool:
        """Return whether all probes of a task stored their counts per test utterance."""
        return bool(self.scores.get(task)) and all(score.counts for score in self.scores[task].values())

    def counts(self) -> dict[tuple[str, int], dict[str, UtteranceCounts]]:
        """Return the counts of the tasks that can be paired, by row and seed."""
        found: dict[tuple[str, int], dict[str, UtteranceCounts]] = {}
        for task, by_seed in self.scores.items():
            for seed, score in by_seed.items() if self.is_paired(task) else ():
                assert score.counts is not None
                ids = tuple(f"{self.corpus}/{it}" for it in score.counts.utterances)
                found.setdefault((self.name, seed), {})[task] = replace(score.counts, utterances=ids)
        return found


def measured_rows(results: StudyResults, study: str = "") -> list[MeasuredRow]:
    """Return the rows of a study, ready to be compared.

    Args:
        results: the study.
        study: its name, which row names then begin with (`address`).
    """
    rows = []
    for row in results.rows:
        runs = {run.seed: run for run in results.runs_of(row.name)}
        probes = {seed: it for (name, seed), it in sorted(results.probes.items()) if name == row.name}
        reasons = [
            collapse_reason(run, list(probes[seed].tasks.values()) if seed in probes else [])
            for seed, run in runs.items()
        ]
        rows.append(
            MeasuredRow(
                name=address(study, row.name),
                trained=not (row.is_features or row.untrained),
                collapsed=next(filter(None, reasons), None),
                losses={seed: run.held_out_l1 for seed, run in runs.items()},
                scores={
                    task: _comparable({seed: it.tasks[task] for seed, it in probes.items() if task in it.tasks})
                    for task in results.tasks
                },
                corpus=results.corpus.key,
            )
        )
    return rows


def _comparable(scores: Mapping[int, TaskResult]) -> Mapping[int, TaskResult]:
    """Return the seeds with counts per test utterance where there are any; the others are of an earlier version."""
    return {seed: score for seed, score in scores.items() if score.counts} or scores


def address(study: str, row: str) -> str:
    """Return the name of a row among the rows of several studies."""
    return f"{study}: {row}" if study else row


class RowComparison:
    """Estimates and differences of rows, each with its 95 % interval.

    Args:
        rows: of one study, or of several whose row names begin with the study's.
    """

    def __init__(self, rows: Iterable[MeasuredRow]) -> None:
        self._rows = {row.name: row for row in rows}
        sound = [row for row in self._rows.values() if not row.collapsed]
        self._sound = _bootstrap(sound)
        self._collapsed = _bootstrap([row for row in self._rows.values() if row.collapsed])
        self._trained = [row for row in sound if row.trained]
        self._loss_prior = loss_prior(row.losses for row in self._trained)

    @property
    def unpaired(self) -> list[str]:
        """Return the rows that were probed without storing counts per test utterance."""
        return [
            row.name
            for row in self._rows.values()
            if any(scores and not row.is_paired(task) for task, scores in row.scores.items())
        ]

    def is_compared(self, row: str, tasks: Sequence[str]) -> bool:
        """Return whether a row did not collapse and has counts per test utterance on any of the tasks."""
        return any(self._sound.measured(row, task) for task in tasks)

    def accuracy(self, row: str, task: str) -> Estimate | None:
        """Return the accuracy of a row, collapsed or not; None if it was not measured.

        Without counts per test utterance the stored intervals of its seeds are averaged: they cover other test
        utterances and not another training.
        """
        measured = self._rows[row]
        scores = list(measured.scores.get(task, {}).values())
        if not scores:
            return None
        if measured.is_paired(task):
            interval = (self._collapsed if measured.collapsed else self._sound).accuracy(row, task)
            assert interval is not None
            return Estimate.of(interval)
        return Estimate(
            mean=statistics.fmean(score.accuracy for score in scores),
            low=statistics.fmean(score.low for score in scores),
            high=statistics.fmean(score.high for score in scores),
            seeds=len(scores),
            utterances_only=measured.trained,
        )

    def loss(self, row: str) -> Estimate | None:
        """Return the held-out loss of a row; None if it has no run."""
        losses = self._rows[row].losses
        if not losses:
            return None
        mean = statistics.fmean(losses.values())
        prior = self._loss_prior if self._rows[row].trained else None
        found = seed_difference(losses, 0.0, prior) if math.isfinite(mean) else None
        if found is None:
            return Estimate(mean, None, None, len(losses))
        return Estimate(mean, found.low, found.high, len(losses), widened=found.widened)

    def difference(self, ones: Sequence[str], others: Sequence[str], tasks: Sequence[str]) -> Difference | None:
        """Return how much more accurate some rows are than others, mean over rows and tasks.

        Rows that collapsed or were not measured are skipped.

        Returns:
            The difference; None if there is no task that both sides were measured on.
        """
        return self._sound.difference(ones, others, tasks)

    def difference_between_tasks(
        self, ones: Sequence[str], others: Sequence[str], tasks: Sequence[str], less: Sequence[str]
    ) -> Difference | None:
        """Return the difference between rows on some tasks, less their difference on other tasks.

        Returns:
            The difference of differences; None if a side was not measured on one of both groups of tasks.
        """
        weights, subtracted = (self._sound.weights(ones, others, it) for it in (tasks, less))
        if not weights or not subtracted:
            return None
        for key, weight in subtracted.items():
            weights[key] = weights.get(key, 0.0) - weight
        by_row: dict[str, list[str]] = {}
        for (row, task), weight in weights.items():
            if weight:
                by_row.setdefault(row, []).append(task)
        if not by_row or not all(self._sound.measured(row, *its) for row, its in by_row.items()):
            return None
        return self._sound.contrast(weights)

    def loss_difference(self, row: str, other: str | float) -> Difference | None:
        """Return how much higher the held-out loss of a row is than that of another row, or than a baseline's.

        Returns:
            The difference over seeds; None if a row collapsed or has no run, or nothing is known of the deviation
            between seeds.
        """
        measured = [self._rows[row], *([self._rows[other]] if isinstance(other, str) else [])]
        if any(it.collapsed or not it.losses or not it.trained for it in measured):
            return None
        others = self._rows[other].losses if isinstance(other, str) else other
        return seed_difference(measured[0].losses, others, self._loss_prior)

    def seed_deviation(self, task: str) -> float | None:
        """Return the standard deviation of an accuracy between seeds, pooled over trained rows with several seeds."""
        by_row = [[score.accuracy for score in row.scores.get(task, {}).values()] for row in self._trained]
        several = [it for it in by_row if len(it) > 1]
        if not several:
            return None
        prior = VariancePrior.fit([statistics.variance(it) for it in several], [len(it) - 1 for it in several])
        return math.sqrt(prior.variance)


def ratio_to_reference(timed: TimedRow, reference: Collection[TimedRow]) -> Ratio | None:
    """Return the time of a row relative to ``qk``'s in the same rounds, with its 95 % interval.

    Args:
        timed: the row in one setting and mode.
        reference: ``qk``'s rows in all settings and modes.

    Returns:
        The ratio; None if ``qk`` was not timed in the same rounds (rows that are added to a study later have rounds of
        their own).
    """
    setting = timed.length, timed.batch, timed.mode
    same = next((it for it in reference if (it.length, it.batch, it.mode) == setting), None)
    if same is None or not same.round_seconds or len(same.round_seconds) != len(timed.round_seconds):
        return None
    found = time_ratio(timed.round_seconds, same.round_seconds)
    return found if math.isclose(found.ratio, timed.ratio, rel_tol=ROUNDING) else None


def _bootstrap(rows: Sequence[MeasuredRow]) -> PairedBootstrap:
    counts = {key: by_task for row in rows for key, by_task in row.counts().items()}
    return PairedBootstrap(counts, deterministic=[row.name for row in rows if not row.trained])
