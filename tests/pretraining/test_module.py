"""The optimizer's schedule."""

from inattention.pretraining.config import PretrainingConfig
from inattention.pretraining.module import rate_at


def test_the_rate_rises_and_falls_linearly() -> None:
    rates = [rate_at(step, PretrainingConfig(steps=100, warmup=0.1)) for step in range(101)]
    assert max(rates) == 1
    assert rates.index(1) == 9
    assert rates[-1] == 0
