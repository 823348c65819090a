"""Simulated studies with a known truth: rows of an accuracy, seeds that differ, test utterances that all rows share."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from inattention.comparison.counts import UtteranceCounts

TASK = "task"


@dataclass(frozen=True)
class Simulation:
    """Settings of simulated studies.

    An utterance of a row and seed has the probability `accuracy + seed effect + difficulty + interaction`, where the
    difficulty is that of the utterance for all rows and seeds, and the interaction its own for a row and seed.
    All effects have mean 0, so that the accuracy of a row in the population is its `accuracy`.

    Attributes:
        seeds: number of seeds of each row.
        accuracies: of the rows in the population of utterances and seeds.
        utterances: number of test utterances.
        items: items of an utterance, at most; at least half of it.
        seed_deviation: standard deviation of the seed effects, one for all rows or one for each.
        scatter: standard deviation of the logarithms of the rows' deviations, which are drawn anew for each study.
        difficulty: standard deviation of the utterances' difficulties.
        interaction: standard deviation of the interactions.
        correlation: of the seed effects of different rows at one seed.
        speakers: number of classes over which the accuracy is averaged; 0 if it is not.
    """

    seeds: Sequence[int] = (3, 3, 2, 2, 1, 1)
    accuracies: Sequence[float] = (0.5, 0.5, 0.5, 0.5, 0.5, 0.5)
    utterances: int = 60
    items: int = 20
    seed_deviation: float | Sequence[float] = 0.02
    scatter: float = 0.0
    difficulty: float = 0.12
    interaction: float = 0.05
    correlation: float = 0.0
    speakers: int = 0
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(f"row-{index}" for index in range(len(self.seeds))))

    def study(self, rng: np.random.Generator) -> dict[tuple[str, int], dict[str, UtteranceCounts]]:
        """Return the counts of one study."""
        rows, most = len(self.seeds), max(self.seeds)
        ids = tuple(f"utterance-{index:04}" for index in range(self.utterances))
        common, own = rng.normal(size=(1, most)), rng.normal(size=(rows, most))
        effects = np.sqrt(self.correlation) * common + np.sqrt(1 - self.correlation) * own
        effects = effects * np.broadcast_to(self.seed_deviation, rows)[:, None]
        if self.scatter:
            effects = effects * rng.lognormal(0, self.scatter, (rows, 1))
        items = rng.integers((self.items + 1) // 2, self.items + 1, size=self.utterances)
        classes, difficulty = None, self.difficulty * _bounded(rng, self.utterances)
        if self.speakers:
            spoken_by = rng.integers(self.speakers, size=self.utterances)
            difficulty = difficulty + np.linspace(-0.1, 0.1, self.speakers)[spoken_by]
            classes = tuple(spoken_by.tolist())
        rate = np.reshape(self.accuracies, (-1, 1, 1)) + effects[:, :, None] + difficulty
        rate = rate + self.interaction * _bounded(rng, (rows, most, self.utterances))
        correct = rng.binomial(items, np.clip(rate, 0, 1))
        return {
            (name, seed): {
                TASK: UtteranceCounts(ids, tuple(correct[row, seed].tolist()), tuple(items.tolist()), classes)
            }
            for row, name in enumerate(self.names)
            for seed in range(self.seeds[row])
        }


def _bounded(rng: np.random.Generator, shape: int | tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """Return uniform values of mean 0 and standard deviation 1: probabilities made from them stay within 0 and 1."""
    return rng.uniform(-(3**0.5), 3**0.5, shape)
