"""The one statistical test of accuracies: a contrast with a 95 % interval, paired over test utterances.

All probes of a study are scored on the same utterances, so that most of what other utterances would change is common
to both sides of a difference and cancels: one set of bootstrap draws serves all rows, tasks and seeds. The variance
between seeds is added row by row (see `components`), moderated over rows (see `seed_variance`).

Runs of the same seed share masks and order of batches, and could be paired as well. They are not: the effects of a
seed on different rows are uncorrelated (-0.02 to 0.11 over 9 rows of three seeds), so that pairing would only halve
the degrees of freedom. A positive correlation would make intervals of differences too wide and never too narrow.
"""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from inattention.comparison.accuracies import AccuracyDraws, Counts
from inattention.comparison.components import Components, RowVariance, opened
from inattention.comparison.estimates import Difference, Interval
from inattention.comparison.seed_variance import SeedPool, SeedVariance, between_seeds

Weights = Mapping[tuple[str, str], float]
ByTask = Mapping[str, float]
# A bootstrap deviation below this is rounding.
ROUNDING = 1e-6


class PairedBootstrap:
    """Differences between rows with 95 % intervals, from counts per test utterance.

    Args:
        counts: by row and seed, then by task, the counts of each probe.
        deterministic: rows without training (features, untrained encoders): with one seed, their variance between
            seeds is 0; with several, they have a pool of their own.
        draws: number of bootstrap draws.
        seed: of the draws.

    >>> from inattention.comparison.counts import UtteranceCounts
    >>> ids = tuple(f"utterance-{n}" for n in range(100))
    >>> def probed(every):
    ...     return {"phones": UtteranceCounts(ids, tuple(9 if n % every else 5 for n in range(100)), (10,) * 100)}
    >>> compare = PairedBootstrap({
    ...     ("toeplitz", 0): probed(4), ("toeplitz", 1): probed(5), ("qk", 0): probed(2), ("qk", 1): probed(2)
    ... })
    >>> found = compare.difference(["toeplitz"], ["qk"], ["phones"])
    >>> round(found.estimate, 2), found.verdict
    (0.11, 'holds')
    """

    def __init__(
        self, counts: Counts, *, deterministic: Collection[str] = (), draws: int = 2000, seed: int = 0
    ) -> None:
        self._accuracies = AccuracyDraws(counts, draws=draws, seed=seed)
        self._deterministic = frozenset(deterministic)
        self._pools: dict[tuple[bool, tuple[tuple[str, float], ...]], SeedPool | None] = {}

    def measured(self, row: str, *tasks: str) -> bool:
        """Return whether a row has a seed that was probed on all of the tasks."""
        return bool(self._accuracies.seeds_of(row, tasks))

    def accuracy(self, row: str, task: str) -> Interval | None:
        """Return the accuracy of a row, mean over its seeds; None if it was not measured.

        The interval covers other test utterances and other seeds. For two rows ask `difference`: their own intervals
        may overlap where the rows can be told apart.
        """
        return self.contrast({(row, task): 1.0}) if self.measured(row, task) else None

    def difference(self, ones: Sequence[str], others: Sequence[str], tasks: Sequence[str]) -> Difference | None:
        """Return how much more accurate some rows are than others, mean over rows and tasks.

        Rows that were not measured on a task are left out of its mean, and so are tasks where one side has no row.

        Args:
            ones: rows on one side, averaged.
            others: rows on the other, averaged.
            tasks: averaged.

        Returns:
            The difference; None if there is no task that both sides were measured on.
        """
        weights = self.weights(ones, others, tasks)
        return self.contrast(weights) if weights else None

    def weights(self, ones: Sequence[str], others: Sequence[str], tasks: Sequence[str]) -> dict[tuple[str, str], float]:
        """Return the contrast that `difference` estimates, to build others from; empty if nothing was measured."""
        parts = []
        for task in tasks:
            sides = [[row for row in rows if self.measured(row, task)] for rows in (ones, others)]
            if all(sides):
                parts.append(
                    [(row, task, sign / len(rows)) for rows, sign in zip(sides, (1, -1), strict=True) for row in rows]
                )
        found: dict[tuple[str, str], float] = {}
        for row, task, weight in (it for part in parts for it in part):
            found[row, task] = found.get((row, task), 0.0) + weight / len(parts)
        return found

    def contrast(self, weights: Weights) -> Difference:
        """Return a weighted sum of accuracies: any claim that can be put as "this is above 0".

        Accuracies on a task are compared on the utterances that all rows of the contrast have there. Where rows have
        none in common (two corpora), each is taken on its own and the comparison is unpaired. A row counts with the
        seeds that were probed on all of its tasks.

        Args:
            weights: by row and task.

        Raises:
            ValueError: if there is no weight, or a row has no seed that was probed on all of its tasks.
        """
        by_row: dict[str, dict[str, float]] = {}
        for (row, task), weight in weights.items():
            if weight:
                by_row.setdefault(row, {})[task] = weight
        if not by_row:
            raise ValueError("a contrast needs a weight other than 0")
        for row, tasks in by_row.items():
            if not self.measured(row, *tasks):
                raise ValueError(f"{row!r} has no seed that was probed on {', '.join(tasks)}")
        shared = self._shared_utterances(by_row)
        values = {row: self._values(row, tasks, shared) for row, tasks in by_row.items()}
        estimate = float(sum(it[:, 0].mean() for it in values.values()))
        utterances = min(len(it) for its in shared.values() for it in its.values())
        components = self._components(by_row, values, utterances)
        down, up = self._openings(by_row, shared)
        low, high = (math.hypot(components.half_width, it) for it in (down, up))
        trained = {row: len(it) for row, it in values.items() if row not in self._deterministic}
        one_seed = [row for row, seeds in trained.items() if seeds == 1]
        known = all(self._pool(by_row[row]) for row in one_seed)
        return Difference(
            estimate=estimate,
            low=estimate - low,
            high=estimate + high,
            seeds=min(trained.values(), default=min(map(len, values.values()))),
            utterances=utterances,
            widened=bool(one_seed) and known,
            utterances_only=not known,
            components=components,
        )

    def _shared_utterances(self, by_row: Mapping[str, ByTask]) -> dict[str, dict[str, frozenset[str]]]:
        """Return the utterances of each task that count for each row: those that all rows have, if there are any."""
        found: dict[str, dict[str, frozenset[str]]] = {}
        for row, tasks in by_row.items():
            for task in tasks:
                scored = [self._accuracies.scored(row, seed, task) for seed in self._accuracies.seeds_of(row, tasks)]
                found.setdefault(task, {})[row] = frozenset.intersection(*scored)
        for task, own in found.items():
            common = frozenset.intersection(*own.values())
            if common:
                found[task] = dict.fromkeys(own, common)
            elif not all(own.values()):
                raise ValueError(f"{task}: the seeds of a row share no test utterance")
        return found

    def _values(
        self, row: str, tasks: ByTask, shared: Mapping[str, Mapping[str, frozenset[str]]]
    ) -> Float[np.ndarray, "seeds values"]:
        """Return what a row contributes to a contrast by seed, the estimate first and its draws behind it."""
        return np.stack(
            [
                sum(weight * self._accuracies.of(row, seed, task, shared[task][row]) for task, weight in tasks.items())
                for seed in self._accuracies.seeds_of(row, tasks)
            ]
        )

    def _components(
        self, by_row: Mapping[str, ByTask], values: Mapping[str, Float[np.ndarray, "_ values"]], utterances: int
    ) -> Components:
        total = sum(it.mean(0) for it in values.values())
        correction = utterances / max(utterances - 1, 1)  # a bootstrap variance is (n - 1)/n of the unbiased one
        pools = {row: self._lender(row, by_row[row], len(it)) for row, it in values.items()}
        lenders = [pools[row] for row, it in values.items() if len(it) < 3]
        rows = []
        for row, it in values.items():
            pool = pools[row]
            if len(it) == 1 and pool is None:
                continue
            variance, noise = between_seeds(it) if len(it) > 1 else (0.0, 0.0)
            own = SeedVariance(variance, len(it) - 1)
            if pool and len(it) < 3:
                scale = sum(weight**2 for weight in by_row[row].values())
                own = pool.prior.scaled(scale).posterior(own)
                noise = noise if len(it) > 1 else pool.noise * scale
            pooled = pool.prior.pooled_freedom if pool and pool in lenders else math.inf
            rows.append(RowVariance(own.variance, noise * correction, len(it), own.freedom, pooled))
        return Components(float(np.var(total[1:])) * correction, utterances, tuple(rows))

    def _lender(self, row: str, tasks: ByTask, seeds: int) -> SeedPool | None:
        """Return the pool that a row belongs to or may borrow from; None if there is none.

        The variance of a row without training is that of its probes, and of the initial weights of an untrained
        encoder: such rows have a pool of their own. A row that is alone in it borrows from the trained rows, whose
        variance has another training in it as well: its interval is then rather too wide than too narrow. With one
        seed, it has no variance between seeds.
        """
        if row not in self._deterministic:
            return self._pool(tasks)
        if seeds == 1:
            return None
        own = self._pool(tasks, trained=False)
        return own if seeds > 2 or (own and own.prior.pooled_freedom > 1) else self._pool(tasks)

    def _pool(self, tasks: ByTask, *, trained: bool = True) -> SeedPool | None:
        """Return the pool of all rows with several seeds on the same tasks, with weights of norm 1.

        Args:
            tasks: weights by task.
            trained: pool the trained rows, or those without training.
        """
        ordered = dict(sorted(tasks.items()))
        norm = math.copysign(math.hypot(*ordered.values()), next(iter(ordered.values())))
        pattern = {task: round(weight / norm, 9) for task, weight in ordered.items()}
        key = trained, tuple(pattern.items())
        if key not in self._pools:
            self._pools[key] = SeedPool.fit(
                [
                    self._values(row, pattern, self._shared_utterances({row: pattern}))
                    for row in self._accuracies.rows
                    if (row not in self._deterministic) == trained and len(self._accuracies.seeds_of(row, pattern)) > 1
                ]
            )
        return self._pools[key]

    def _openings(
        self, by_row: Mapping[str, ByTask], shared: Mapping[str, Mapping[str, frozenset[str]]]
    ) -> tuple[float, float]:
        """Return how far down and up a contrast may lie on tasks where no draw differs from the test set.

        There no utterance shows another difference than all others, as where all items are right for both rows. Such
        utterances may still have a share of up to `opened(n)`, each at most as far away as weights allow.
        """
        down = up = 0.0
        for task, by_task in shared.items():
            rows = {row: tasks[task] for row, tasks in by_row.items() if task in tasks}
            part = sum(self._values(row, {task: weight}, {task: by_task}).mean(0) for row, weight in rows.items())
            if np.std(part) > ROUNDING:
                continue
            reach = opened(min(map(len, by_task.values())))
            down = math.hypot(down, reach * (part[0] - sum(min(it, 0.0) for it in rows.values())))
            up = math.hypot(up, reach * (sum(max(it, 0.0) for it in rows.values()) - part[0]))
        return down, up
