"""Training batches: their order, their lengths, and resuming from any position."""

import math
import statistics
from itertools import takewhile

import numpy as np
from lhotse import CutSet, MonoCut

from inattention.corpora.core.corpus import Corpus
from inattention.pretraining.data import EndlessBatches


def test_batches_start_at_any_position_and_each_epoch_sees_every_cut_once(corpus: Corpus) -> None:
    def batches(start: tuple[int, int], count: int, rank: int = 0, processes: int = 1) -> list:
        stream = iter(
            EndlessBatches(
                corpus.cuts("train"), batch_size=5, count=16, seed=1, start=start, rank=rank, processes=processes
            )
        )
        return [(n, o, [c.id for c in cuts]) for n, o, cuts in (next(stream) for _ in range(count))]

    whole = batches((0, 0), 9)
    assert batches((whole[3][0], whole[3][1]), 6) == whole[3:]
    for number in (0, 1):
        ids = sorted(i for n, _, cuts in whole for i in cuts if n == number)
        assert ids == sorted(cut.id for cut in corpus.cuts("train"))
    assert [cuts for n, _, cuts in whole if n == 0] != [cuts for n, _, cuts in whole if n == 1]
    halves = [batches((0, 0), 9, rank, 2) for rank in (0, 1)]
    for one, first, second in zip(whole, *halves, strict=True):
        assert sorted(first[2] + second[2]) == sorted(one[2])


def test_short_and_long_utterances_come_throughout_an_epoch() -> None:
    rng = np.random.default_rng(0)
    lasting = np.exp(rng.normal(0, 1, 4000))  # a few long ones hold most of the seconds
    cuts = CutSet.from_cuts(MonoCut(f"cut-{i}", 0.0, float(d), 0, recording=None) for i, d in enumerate(lasting))
    stream = iter(EndlessBatches(cuts, batch_size=8, count=4000, seed=0))
    epoch = [batch for _, _, batch in takewhile(lambda it: it[0] == 0, stream)]
    assert sum(map(len, epoch)) == 4000
    means = [statistics.fmean(math.log(cut.duration) for cut in batch) for batch in epoch]
    quarters = [statistics.fmean(means[i : i + 125]) for i in range(0, 500, 125)]
    assert max(map(abs, quarters)) < 0.4  # a deviation of 1, over 125 batches of like lengths, is 0.09
    inside = [statistics.pstdev(math.log(cut.duration) for cut in batch) for batch in epoch]
    assert statistics.fmean(inside) < 0.2
