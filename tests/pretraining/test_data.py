"""Training batches: their order, their lengths, and resuming from any position."""

import math
import statistics
from dataclasses import replace
from itertools import takewhile

import numpy as np
from lhotse import CutSet, MonoCut

from inattention.corpora.core.corpus import Corpus
from inattention.pretraining.data import EndlessBatches
from inattention.pretraining.manifest import Run


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


def test_validation_during_training_uses_a_tenth_of_the_utterances_trained_on(run: Run) -> None:
    training = replace(run.training, batch_size=4, validate_every=10)
    cuts = [cut for _, _, cuts in replace(run, training=training).validation() for cut in cuts]
    assert len(cuts) == 4
    durations = sorted(cut.duration for cut in run.corpus.cuts("dev"))  # ty: ignore[not-iterable]
    assert len({cut.id for cut in cuts}) == 4
    assert cuts[0].duration <= durations[2]
    assert cuts[-1].duration >= durations[-2]


def test_validation_uses_all_of_dev_where_there_is_time(run: Run) -> None:
    training = replace(run.training, batch_size=4, validate_every=1000)
    whole = replace(run, training=training)
    assert whole.validation() == whole.held_out(draws=1)


def test_validation_uses_one_utterance_at_least(run: Run) -> None:
    often = replace(run, training=replace(run.training, batch_size=1, validate_every=1))
    assert [len(cuts) for _, _, cuts in often.validation()] == [1]
