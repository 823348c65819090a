"""Masked examples: what masks and crops depend on, and which utterances are skipped."""

from dataclasses import replace

import torch

from inattention.pretraining.examples import HELD_OUT
from inattention.pretraining.manifest import Run


def test_held_out_masks_never_change_and_masked_frames_are_always_zero(run: Run) -> None:
    items = run.held_out(draws=2)
    first, second = (run.examples()[items[0]] for _ in range(2))
    assert torch.equal(first.masked, second.masked)
    assert not torch.equal(first.masked, run.examples()[HELD_OUT, 1, items[0][2]].masked)
    assert not first.features[first.masked].any()


def test_masks_depend_on_epoch_and_cut_but_not_on_the_batch(run: Run) -> None:
    cuts = list(run.corpus.cuts("train"))
    together = run.examples()[4, 0, cuts[:4]]
    alone = run.examples()[4, 9, cuts[2:3]]
    time = alone.masked.shape[1]
    assert torch.equal(together.masked[2, :time], alone.masked[0])
    assert torch.equal(together.features[2, :time], alone.features[0])
    assert not torch.equal(run.examples()[5, 0, cuts[2:3]].masked, alone.masked)


def test_long_utterances_are_cropped_at_random_and_short_ones_skipped(run: Run) -> None:
    run = replace(run, model=replace(run.model, max_length=12))
    cut = next(iter(run.corpus.cuts("train")))
    crops = [run.examples().example(cut, number).target for number in range(4)]
    assert {len(crop) for crop in crops} == {12}
    assert not torch.equal(crops[0], crops[1])
    short = run.examples()[0, 0, [cut.truncate(duration=0.06), cut]]
    assert len(short.ids) == 1
    assert "too few" in short.skipped[0][1]
