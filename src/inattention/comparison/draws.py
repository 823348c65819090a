"""The bootstrap: test utterances drawn with replacement, the same draws for all rows, tasks and seeds.

Utterances are drawn and not items, because the frames of one utterance are not independent trials.
"""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from inattention.comparison.counts import UtteranceCounts


class UtteranceDraws:
    """Draws of test utterances, as how often each utterance is in each draw.

    The frame is the sorted union of all ids, so that a draw holds the same utterances for every probe, whatever the
    probe skipped.

    Args:
        utterances: ids of all test utterances; repeated ids count once.
        draws: number of bootstrap draws.
        seed: of the draws.

    Attributes:
        times: how often each utterance is in each draw. The first row is all ones, the test set itself: whatever is
            computed from `times` has the estimate first and its bootstrap draws behind it.
    """

    def __init__(self, utterances: Iterable[str], *, draws: int, seed: int) -> None:
        ids = sorted(set(utterances))
        self._index = {it: index for index, it in enumerate(ids)}
        self.times: Float[np.ndarray, "values utterances"] = _times(len(ids), draws, seed)

    def accuracies(self, counts: UtteranceCounts) -> Float[np.ndarray, " values"]:
        """Return the accuracy on the test set and on each draw.

        With classes it is the mean over those classes that a draw holds. A draw that holds no item at all has the
        accuracy of the test set.

        Args:
            counts: of one probe; its utterances must be in the frame.
        """
        columns = [self._index[it] for it in counts.utterances]
        times = self.times if columns == list(range(self.times.shape[1])) else self.times[:, columns]
        correct, items = np.array(counts.correct, np.float32), np.array(counts.items, np.float32)
        if counts.classes is None:
            right, total = (times @ correct)[:, None], (times @ items)[:, None]
        else:
            classes, member_of = np.unique(counts.classes, return_inverse=True)
            member = np.eye(len(classes), dtype=np.float32)[member_of]
            right, total = times @ (correct[:, None] * member), times @ (items[:, None] * member)
        present = total > 0
        shares = np.divide(right, total, out=np.zeros(right.shape), where=present)
        held = present.sum(1)
        found = shares.sum(1) / np.maximum(held, 1)
        return np.where(held > 0, found, found[0])


@lru_cache(maxsize=2)
def _times(utterances: int, draws: int, seed: int) -> Float[np.ndarray, "values utterances"]:
    times = np.ones((draws + 1, utterances), np.float32)
    if utterances:
        share = np.full(utterances, 1 / utterances)
        times[1:] = np.random.default_rng(seed).multinomial(utterances, share, size=draws)
    times.setflags(write=False)  # shared by all that ask for the same draws
    return times
