"""Intervals cover what they say: simulated studies whose true differences are known."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "coverage.py"


SEEDS = ("3 and 3", "2 and 2", "1 and 1", "3 and 1")
# Bounds of the share of intervals that cover the truth.
USUAL = (0.93, 0.97)
POOLS = {"one row": (0.96, 1.0), "two rows": (0.93, 0.99), "five rows": USUAL}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shares() -> dict[str, dict[str, list[float]]]:
    settings = ["frames", "speakers", *(f"pool of {pool}" for pool in POOLS)]
    # In a process of its own: shape checks at every call would take minutes.
    command = [sys.executable, str(BENCHMARK), "--studies", "2000", "--json", "--settings", *settings]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("setting", ["frames", "speakers"])
def test_95_percent_intervals_cover_the_true_difference_in_93_to_97_percent_of_studies(shares, setting, seeds):
    low, high = USUAL
    assert low <= shares[setting][seeds][0] <= high


@pytest.mark.parametrize("pool", POOLS)
def test_rows_with_one_seed_are_covered_whatever_the_few_rows_with_several_happen_to_say(shares, pool):
    low, high = POOLS[pool]
    assert low <= shares[f"pool of {pool}"]["1 and 1"][0] <= high
