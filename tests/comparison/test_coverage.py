"""Intervals cover what they say: simulated studies whose true differences are known."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "coverage.py"


@cache
def shares(setting: str) -> dict[str, list[float]]:
    # In a process of its own: shape checks at every call would take minutes.
    command = [sys.executable, str(BENCHMARK), "--studies", "2000", "--json", "--settings", setting]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)[setting]


@pytest.mark.slow
@pytest.mark.parametrize("seeds", ["3 and 3", "2 and 2", "1 and 1", "3 and 1"])
@pytest.mark.parametrize("setting", ["frames", "speakers"])
def test_95_percent_intervals_cover_the_true_difference_in_93_to_97_percent_of_studies(setting, seeds):
    assert 0.93 <= shares(setting)[seeds][0] <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(("pool", "low", "high"), [("one row", 0.96, 1.0), ("two rows", 0.93, 0.99)])
def test_rows_with_one_seed_are_covered_whatever_the_few_rows_with_several_happen_to_say(pool, low, high):
    assert low <= shares(f"pool of {pool}")["1 and 1"][0] <= high


@pytest.mark.slow
def test_five_rows_with_two_seeds_are_enough_for_rows_with_one():
    assert 0.93 <= shares("pool of five rows")["1 and 1"][0] <= 0.97
