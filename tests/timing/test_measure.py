"""Tasks take turns in rounds, and are compared within their round."""

import itertools
import time

import pytest
import torch

from inattention.timing.measure import Quartiles, quartiles, ratio_quartiles, take_turns


def turns_of(calls: list[str], tasks: int) -> list[list[str]]:
    """Return the rounds of calls, without repetitions within a turn."""
    turns = [name for name, _ in itertools.groupby(calls)]
    return [turns[i : i + tasks] for i in range(0, len(turns), tasks)]


def logging_tasks(calls: list[str], names: str) -> dict:
    def make(name: str):
        def task() -> None:
            calls.append(name)
            time.sleep(0.006)

        return task

    return {name: make(name) for name in names}


def test_every_task_has_one_turn_per_round_in_a_new_random_order() -> None:
    calls: list[str] = []
    # Two turns of one task may follow each other where rounds meet; a marker keeps the rounds apart.
    taken = take_turns(
        logging_tasks(calls, "abcd"), rounds=6, seed=3, after_round=lambda done: calls.append(f"end {done}")
    )
    rounds = turns_of(calls, 5)
    assert [turns[-1] for turns in rounds] == [f"end {done}" for done in range(1, 7)]
    assert all(sorted(turns[:-1]) == list("abcd") for turns in rounds)
    assert len({tuple(turns[:-1]) for turns in rounds}) > 2
    assert {name: len(seconds) for name, seconds in taken.items()} == dict.fromkeys("abcd", 6)


def test_the_order_depends_on_the_seed() -> None:
    orders = []
    for seed in (0, 0, 1):
        calls: list[str] = []
        take_turns(logging_tasks(calls, "abcde"), rounds=2, seed=seed, after_round=lambda _, c=calls: c.append("end"))
        orders.append(turns_of(calls, 6))
    assert orders[0] == orders[1] != orders[2]


def test_rounds_are_added_until_the_time_is_up() -> None:
    done: list[int] = []
    take_turns({"nap": lambda: time.sleep(0.02)}, rounds=1, seconds=0.3, after_round=done.append)
    assert done == list(range(1, len(done) + 1))
    assert 2 <= len(done) <= 10


def test_a_time_is_that_of_one_run() -> None:
    (seconds,) = take_turns({"nap": lambda: time.sleep(0.005)}, rounds=1)["nap"]
    assert 0.005 <= seconds < 0.02


def test_tasks_run_on_as_many_threads_as_asked_for() -> None:
    seen: set[int] = set()
    take_turns({"ask": lambda: (seen.add(torch.get_num_threads()), time.sleep(0.005))}, rounds=1, threads=2)
    assert seen == {2}
    assert torch.get_num_threads() == 1


def test_ratios_are_taken_round_by_round() -> None:
    # The machine slows down tenfold. The ratio of the medians would be 20 / 10 = 2 only by luck; here it is 30 / 10.
    reference = [1.0, 1.0, 10.0, 10.0, 100.0]
    row = [2.0, 2.0, 20.0, 30.0, 300.0]
    assert quartiles(row).median / quartiles(reference).median == 2.0
    assert ratio_quartiles(row, reference) == Quartiles(2.0, 2.0, 3.0)


def test_a_ratio_needs_the_same_rounds() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratio_quartiles([1.0, 2.0], [1.0])


def test_quartiles_of_a_single_measurement_are_equal() -> None:
    assert quartiles([2.0]) == Quartiles(2.0, 2.0, 2.0)
