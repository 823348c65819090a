"""Intervals cover what they say: simulated studies whose true differences are known."""

from functools import cache

import numpy as np
import pytest

from inattention.comparison import PairedBootstrap
from inattention.comparison.simulation import TASK, Simulation

STUDIES = 2000
PAIRS = {"three seeds": (0, 1), "two seeds": (2, 3), "one seed": (4, 5), "three against one": (0, 4)}
SIMULATIONS = {
    "frames": Simulation(accuracies=(0.5, 0.55, 0.5, 0.45, 0.5, 0.5), seed_deviation=0.03, difficulty=0.15),
    "speakers": Simulation(
        accuracies=(0.5, 0.55, 0.5, 0.45, 0.5, 0.5), seed_deviation=0.03, difficulty=0.15, speakers=6
    ),
}


@cache
def covered(name: str) -> dict[str, float]:
    simulation, rng = SIMULATIONS[name], np.random.default_rng(20)
    hits = dict.fromkeys(PAIRS, 0)
    for _ in range(STUDIES):
        compare = PairedBootstrap(simulation.study(rng), draws=200)
        for seeds, (one, other) in PAIRS.items():
            found = compare.difference([simulation.names[one]], [simulation.names[other]], [TASK])
            assert found is not None
            assert found.widened == (seeds in ("one seed", "three against one"))
            hits[seeds] += found.low <= simulation.accuracies[one] - simulation.accuracies[other] <= found.high
    return {seeds: hit / STUDIES for seeds, hit in hits.items()}


@pytest.mark.parametrize("seeds", PAIRS)
@pytest.mark.parametrize("name", SIMULATIONS)
def test_95_percent_intervals_cover_the_true_difference_in_93_to_97_percent_of_studies(name, seeds):
    assert 0.93 <= covered(name)[seeds] <= 0.97
