"""Accuracies of all probes of a study with their bootstrap draws, computed once each."""

from collections.abc import Collection, Iterator, Mapping
from itertools import groupby

import numpy as np
from jaxtyping import Float

from inattention.comparison.counts import UtteranceCounts
from inattention.comparison.draws import UtteranceDraws

Counts = Mapping[tuple[str, int], Mapping[str, UtteranceCounts]]


class AccuracyDraws:
    """Accuracy of each row, seed and task on the test set and on the draws that all of them share.

    Args:
        counts: by row and seed, then by task, the counts of each probe.
        draws: number of bootstrap draws.
        seed: of the draws.
    """

    def __init__(self, counts: Counts, *, draws: int, seed: int) -> None:
        self._counts = counts
        self._seeds = {row: [s for _, s in keys] for row, keys in groupby(sorted(counts), key=lambda key: key[0])}
        ids = {it for by_task in counts.values() for found in by_task.values() for it in found.utterances}
        self._draws = UtteranceDraws(ids, draws=draws, seed=seed)
        self._scored: dict[tuple[str, int, str], frozenset[str]] = {}
        self._known: dict[tuple[str, int, str, frozenset[str]], Float[np.ndarray, " values"]] = {}

    @property
    def rows(self) -> Iterator[str]:
        """Return all rows."""
        yield from self._seeds

    def seeds_of(self, row: str, tasks: Collection[str]) -> list[int]:
        """Return the seeds of a row that were probed on all of the tasks."""
        return [s for s in self._seeds.get(row, []) if all(task in self._counts[row, s] for task in tasks)]

    def scored(self, row: str, seed: int, task: str) -> frozenset[str]:
        """Return the utterances that a probe was scored on."""
        key = row, seed, task
        if key not in self._scored:
            self._scored[key] = self._counts[row, seed][task].scored
        return self._scored[key]

    def of(self, row: str, seed: int, task: str, utterances: frozenset[str]) -> Float[np.ndarray, " values"]:
        """Return the accuracy on some of the utterances, the estimate first and its draws behind it."""
        key = row, seed, task, utterances
        if key not in self._known:
            self._known[key] = self._draws.accuracies(self._counts[row, seed][task].only(utterances))
        return self._known[key]
