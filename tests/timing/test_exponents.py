"""The exponent of time over length: right for synthetic numbers, and of the mixing alone."""

import math
from dataclasses import replace

import pytest
import torch

from inattention.attention import card
from inattention.attention.rows import parse_row
from inattention.timing import exponents
from inattention.timing.config import TimingConfig
from inattention.timing.exponents import (
    fit_exponent,
    fits,
    measure_exponent,
    mixing_task,
    projections_replayed,
    theoretical_exponent,
)
from inattention.timing.flops import counted_flops

SIZES = TimingConfig(width=24, heads=4, lengths=(), exponent_lengths=(32, 64), rounds=2, seconds=0, threads=1)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 1.5, 2.0])
def test_a_power_is_recovered(exponent: float) -> None:
    lengths = [1000, 2000, 4000, 8000]
    assert fit_exponent(lengths, [3e-6 * length**exponent for length in lengths]) == pytest.approx(exponent)


def test_a_fit_goes_through_the_middle_of_scatter() -> None:
    lengths = [1000, 2000, 4000, 8000]
    factors = [1.1, 0.9, 0.9, 1.1]  # symmetric, so that the slope stays
    costs = [factor * length**1.5 for factor, length in zip(factors, lengths, strict=True)]
    assert fit_exponent(lengths, costs) == pytest.approx(1.5)


def test_a_fixed_cost_shows_as_a_lower_exponent() -> None:
    lengths = [1000, 2000]
    assert fit_exponent(lengths, [1000 + length for length in lengths]) == pytest.approx(math.log2(1.5))


def test_projections_are_not_computed_while_they_are_replayed() -> None:
    task, mechanism = mixing_task(parse_row("qk"), 32, SIZES)
    whole, scores = counted_flops(task), 4 * 32 * 32 * SIZES.width
    expected = task()
    with projections_replayed(mechanism, task) as count:
        assert count == 2
        assert counted_flops(task) == scores
        for _ in range(3):
            assert torch.equal(task(), expected)
    assert counted_flops(task) == whole == scores + 2 * 2 * 32 * SIZES.width**2


def test_narrow_maps_are_part_of_the_mixing() -> None:
    task, mechanism = mixing_task(parse_row("synthesizer-dense"), 32, SIZES)
    whole = counted_flops(task)
    with projections_replayed(mechanism, task) as count:
        assert count == 0
        assert counted_flops(task) == whole


@pytest.mark.parametrize(
    ("row", "projections", "exponent"),
    [("qk", 2, 2.0), ("shared-qk", 1, 2.0), ("patterned", 0, 2.0), ("none", 0, None)],
)
def test_theory_is_the_cards_without_projections(row: str, projections: int, exponent: float | None) -> None:
    found = theoretical_exponent(parse_row(row), (1000, 4000), SIZES, projections)
    assert found is None if exponent is None else found == pytest.approx(exponent)


def test_a_measured_exponent_records_its_lengths_and_times() -> None:
    found = measure_exponent(parse_row("qk"), SIZES)
    assert found is not None
    assert (found.row, found.lengths, found.projections) == ("qk", (32, 64), 2)
    assert found.theory == pytest.approx(2.0)
    assert found.cost == card("qk").inference_cost
    assert found.exponent_low <= found.exponent <= found.exponent_high
    assert found.exponent == pytest.approx(math.log2(found.seconds[1] / found.seconds[0]), abs=1.0)


def test_lengths_whose_maps_do_not_fit_the_memory_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = exponents.MAPS_AT_ONCE * 4 * SIZES.heads * 48**2 / 4096  # room for maps of 48 frames
    monkeypatch.setattr("os.sysconf", {"SC_AVPHYS_PAGES": pages, "SC_PAGE_SIZE": 4096}.__getitem__)
    assert [fits(parse_row(row), 64, SIZES) for row in ("patterned", "qk", "none")] == [False, True, True]
    assert fits(parse_row("patterned"), 32, SIZES)
    assert measure_exponent(parse_row("patterned"), SIZES) is None
    measured = measure_exponent(parse_row("patterned"), replace(SIZES, exponent_lengths=(16, 32, 64)))
    assert measured is not None
    assert measured.lengths == (16, 32)
