"""Bootstrap interval of the accuracy of one probe.

Two probes are compared by `inattention.comparison.PairedBootstrap`, which draws the same utterances for both.
"""

import numpy as np
from jaxtyping import Float, Int

# Drawn indices that are held in memory at once.
CHUNK = 4_000_000


def accuracy_interval(
    correct: Int[np.ndarray, " utterances"],
    items: Int[np.ndarray, " utterances"],
    *,
    draws: int,
    seed: int,
    classes: Int[np.ndarray, " utterances"] | None = None,
) -> tuple[float, float]:
    """Return the 95 % percentile interval of an accuracy over draws of utterances with replacement.

    Utterances are drawn instead of items because the items of an utterance are not independent.

    Args:
        correct: number of correct items of each utterance.
        items: number of items of each utterance.
        draws: number of bootstrap draws.
        seed: seed of the draws.
        classes: class of each utterance, if the accuracy is the mean over the classes in a draw.
    """
    rng = np.random.default_rng(seed)
    groups = np.zeros(len(items), dtype=np.int64) if classes is None else classes
    member: Float[np.ndarray, "utterances groups"] = np.eye(groups.max() + 1)[groups]
    chunk = max(1, CHUNK // len(items))
    accuracies = []
    for first in range(0, draws, chunk):
        drawn = rng.integers(len(items), size=(min(chunk, draws - first), len(items)))
        times = np.stack([np.bincount(draw, minlength=len(items)) for draw in drawn])
        correct_of, items_of = times @ (correct[:, None] * member), times @ (items[:, None] * member)
        present = items_of > 0
        accuracies.append((correct_of / np.maximum(items_of, 1)).sum(1, where=present) / present.sum(1))
    low, high = np.quantile(np.concatenate(accuracies), [0.025, 0.975])
    return float(low), float(high)
