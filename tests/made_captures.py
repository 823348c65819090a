"""Captures of synthetic maps, for tests that use captures."""

import numpy as np

from inattention.analysis.capture import Captured, Single
from inattention.analysis.measures import CATEGORIES, categorise, measure


def captured_of(maps: np.ndarray, *, singles: int = 100, step_seconds: float | None = 0.0375) -> Captured:
    """Return the capture of maps of (utterances, layers, heads, time, time)."""
    found = measure(maps)
    categories = categorise(found)
    time = maps.shape[-1]
    log_mel = np.add.outer(np.linspace(-9, 2, time), np.linspace(0, 1, 12)).astype(np.float32)
    return Captured(
        name="made",
        step_seconds=step_seconds,
        seed=0,
        count=len(maps),
        mean=maps.mean(0),
        squares=np.square(maps - maps.mean(0)).sum(0),
        measures={name: value.mean(0) for name, value in found.items()},
        categories=np.stack([(categories == place).sum(0) for place in range(len(CATEGORIES))], axis=-1),
        singles=tuple(
            Single(f"utterance-{i}", 0.5 * i, one.astype(np.float16), log_mel + i)
            for i, one in enumerate(maps[:singles])
        ),
        kept=singles,
    )
