"""The peak of a known pattern of allocations is found."""

import pytest
import torch

from inattention.attention.rows import parse_row
from inattention.timing.config import TimingConfig
from inattention.timing.memory import peak_bytes
from inattention.timing.run import encoder, forward_task, training_task

MEGABYTE = 250_000  # float32 numbers


def test_the_peak_is_the_largest_simultaneous_memory() -> None:
    def call() -> torch.Tensor:
        first = torch.empty(3 * MEGABYTE)
        second = torch.empty(2 * MEGABYTE)
        del first
        third = torch.empty(4 * MEGABYTE)  # now 2 + 4 stand, more than 3 + 2
        del second
        return torch.cat([third[:MEGABYTE], torch.empty(MEGABYTE)])  # and 4 + 1 + 2 at last

    assert peak_bytes(call) == pytest.approx(7e6, rel=0.05)


def test_temporaries_inside_an_operation_count() -> None:
    x = torch.randn(MEGABYTE)
    assert peak_bytes(lambda: x.logsumexp(0)) == pytest.approx(1e6, rel=0.05)  # the exponentials, then one number


def test_memory_allocated_before_does_not_count() -> None:
    kept = torch.empty(10 * MEGABYTE)

    def call() -> None:
        nonlocal kept
        kept = torch.empty(MEGABYTE)

    assert peak_bytes(call) == pytest.approx(1e6, rel=0.05)


def test_a_call_without_allocations_has_no_peak() -> None:
    assert peak_bytes(lambda: None) == 0


def test_the_first_pass_includes_what_is_cached_for_later_ones() -> None:
    sizes = TimingConfig(width=24, heads=4, layers=2, feed_forward=48, threads=1)
    length = 300
    maps = 4 * length**2 * 4  # bytes of one softmax over (heads, length, length)
    peaks = {
        row: peak_bytes(forward_task(encoder(parse_row(row), length, sizes), length, 1, sizes))
        for row in ("none", "patterned")
    }
    assert maps <= peaks["patterned"] <= peaks["none"] + 2.2 * maps


def test_a_training_step_includes_gradients_and_optimizer_state() -> None:
    sizes = TimingConfig(width=96, heads=4, layers=1, feed_forward=400, threads=1)
    model = encoder(parse_row("none"), 2, sizes)
    weights = sum(p.numel() * 4 for p in model.parameters())
    # One gradient and AdamW's two moments; two steps of input need next to nothing.
    assert peak_bytes(training_task(model, 2, 1, sizes)) == pytest.approx(3 * weights, rel=0.05)


def test_the_profilers_own_messages_are_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    peak_bytes(lambda: torch.ones(3))
    assert capfd.readouterr().err == ""
