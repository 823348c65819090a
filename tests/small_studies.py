"""A study of seconds, and workers that neither import libraries nor compute for long."""

import multiprocessing
from types import SimpleNamespace

from inattention.model.config import AudioTransformerConfig
from inattention.pretraining import linear_baseline
from inattention.pretraining.config import PretrainingConfig
from inattention.probing.config import ProbeConfig
from inattention.study.execution import local
from inattention.study.planning.config import StudyConfig
from inattention.timing.config import TimingConfig

SMALL = StudyConfig(
    rows=("mel", "qk", "patterned@logits", "none@untrained"),
    model=AudioTransformerConfig(width=24, feed_forward=24, layers=2, max_length=40),
    training=PretrainingConfig(steps=4, batch_size=6, validate_every=2, held_out_draws=1),
    probes=ProbeConfig(epochs=2, hidden_width=16, bootstrap_draws=20),
    timing=TimingConfig(
        width=24, feed_forward=24, layers=1, lengths=(20,), rounds=1, seconds=0.0, exponent_lengths=(), threads=1
    ),
)


def quick_workers() -> None:
    """Fork the workers of this process's studies, as a new one imports for seconds, and fit their baselines on less.

    Commands that tests run in processes of their own start workers as users do.
    """
    local.multiprocessing = SimpleNamespace(get_context=lambda _: multiprocessing.get_context("fork"))
    linear_baseline.EPOCHS = 2
