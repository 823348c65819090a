"""What is hidden from the model, what it sees instead, and what leaks."""

import pytest
import torch

from inattention.audio.config import FeatureConfig
from inattention.audio.frames import steps_of
from inattention.pretraining.config import MaskingConfig
from inattention.pretraining.masking import corrupt, draw_corruption, draw_mask, span_starts

PAPER = MaskingConfig(span_steps=1, start_every=3, before_deltas=False)
FEATURES = FeatureConfig(mels=6)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def runs(chosen: torch.Tensor) -> list[int]:
    """Lengths of the runs of hidden steps."""
    text = "".join("x" if c else " " for c in chosen.tolist())
    return [len(run) for run in text.split()]


@pytest.mark.parametrize("span", [1, 2, 3, 5])
def test_spans_do_not_overlap_and_keep_to_the_proportion(span: int) -> None:
    config = MaskingConfig(span_steps=span)
    for time in (span + 1, 20, 81, 200):
        for seed in range(20):
            chosen = draw_mask(time, config, generator(seed))
            assert len(chosen) == time
            wanted = max(1, int(0.15 * time) // span) * span
            assert int(chosen.sum()) == wanted
            assert all(run % span == 0 for run in runs(chosen))


def test_free_starts_reach_every_step() -> None:
    config = MaskingConfig(span_steps=2)
    hits = sum(draw_mask(21, config, generator(seed)).long() for seed in range(400))
    assert (hits > 0).all()


def test_the_papers_masks_start_at_every_third_step_and_are_one_step_long() -> None:
    for seed in range(30):
        chosen = draw_mask(100, PAPER, generator(seed))
        places = chosen.nonzero().flatten()
        assert len(places) == 15
        assert (places % 3 == 0).all()


def test_utterances_too_short_for_two_places_are_told_apart() -> None:
    assert span_starts(3, PAPER) == 1
    assert span_starts(4, PAPER) == 2
    assert span_starts(2, MaskingConfig(span_steps=2)) == 1
    assert span_starts(1, MaskingConfig(span_steps=2)) == 0


def test_utterances_are_zeroed_replaced_and_kept_in_their_shares() -> None:
    drawn = [draw_corruption(MaskingConfig(), generator(seed)) for seed in range(2000)]
    assert drawn.count("zero") / 2000 == pytest.approx(0.8, abs=0.03)
    assert drawn.count("replace") / 2000 == pytest.approx(0.1, abs=0.02)
    assert drawn.count("keep") / 2000 == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("before_deltas", [True, False])
def test_hidden_steps_are_zero_and_the_clean_input_is_the_features(before_deltas: bool) -> None:
    frames = torch.randn(62, 6, generator=generator(0))
    chosen = torch.zeros(20, dtype=torch.bool)
    chosen[[4, 5, 11]] = True
    hidden, clean = corrupt(frames, chosen, "zero", FEATURES, before_deltas=before_deltas, generator=generator(1))
    assert torch.equal(clean, steps_of(frames, FEATURES))
    assert not hidden[chosen].any()


def test_masking_after_deltas_changes_nothing_but_the_hidden_steps() -> None:
    frames = torch.randn(60, 6, generator=generator(0))
    chosen = draw_mask(20, PAPER, generator(3))
    hidden, clean = corrupt(frames, chosen, "zero", FEATURES, before_deltas=False, generator=generator(1))
    assert torch.equal(hidden[~chosen], clean[~chosen])


def test_masking_before_deltas_tells_nothing_of_what_is_hidden() -> None:
    """Two utterances that differ in hidden frames alone (and by nothing in the mean and spread) look the same."""
    features = FeatureConfig(mels=6, normalise=False)
    chosen = torch.zeros(20, dtype=torch.bool)
    chosen[[7, 8]] = True
    frames = torch.randn(60, 6, generator=generator(0))
    other = frames.clone()
    other[21:27] = frames[21:27].flip(0)  # the mean, which hidden frames become, stays
    seen, _ = corrupt(frames, chosen, "zero", features, before_deltas=True, generator=generator(1))
    seen_of_other, _ = corrupt(other, chosen, "zero", features, before_deltas=True, generator=generator(1))
    assert torch.allclose(seen, seen_of_other, atol=1e-6)
    leaking, _ = corrupt(frames, chosen, "zero", features, before_deltas=False, generator=generator(1))
    leaking_other, _ = corrupt(other, chosen, "zero", features, before_deltas=False, generator=generator(1))
    assert not torch.allclose(leaking, leaking_other, atol=1e-3)


def test_the_papers_task_leaks_and_masking_before_deltas_mends_it() -> None:
    """On white noise nothing can be told of a hidden step, unless the deltas beside it tell."""

    def error(config: MaskingConfig) -> float:
        rows, wanted = [], []
        for seed in range(120):
            frames = torch.randn(66, 1, generator=generator(seed), dtype=torch.float64)
            chosen = torch.zeros(22, dtype=torch.bool)
            chosen[9] = True
            one = FeatureConfig(mels=1, normalise=False)
            hidden, clean = corrupt(
                frames, chosen, "zero", one, before_deltas=config.before_deltas, generator=generator(0)
            )
            rows.append(torch.cat([hidden[[6, 7, 8, 10, 11, 12]].flatten(), torch.ones(1, dtype=torch.float64)]))
            wanted.append(clean[9].unflatten(0, (3, 2))[:, 0])
        x, y = torch.stack(rows), torch.stack(wanted)
        solution = torch.linalg.lstsq(x[:80], y[:80], driver="gelsd").solution
        return float((x[80:] @ solution - y[80:]).abs().mean() / y[80:].abs().mean())

    assert error(PAPER) < 1e-6
    assert error(MaskingConfig()) > 0.9


def test_replaced_steps_come_from_the_same_utterance() -> None:
    frames = torch.arange(60.0)[:, None].expand(60, 6).contiguous()
    chosen = torch.zeros(20, dtype=torch.bool)
    chosen[[3, 4, 15]] = True
    features = FeatureConfig(mels=6, deltas=False, normalise=False)
    hidden, clean = corrupt(frames, chosen, "replace", features, before_deltas=True, generator=generator(2))
    assert torch.equal(hidden[~chosen], clean[~chosen])
    known = {tuple(step) for step in clean.tolist()}
    assert all(tuple(step) in known for step in hidden[chosen].tolist())
    assert not torch.equal(hidden[chosen], clean[chosen])
