"""Masking: which frames are masked, what replaces them, and what leaks."""

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


def runs(mask: torch.Tensor) -> list[int]:
    """Return the lengths of the runs of masked frames."""
    text = "".join("x" if c else " " for c in mask.tolist())
    return [len(run) for run in text.split()]


@pytest.mark.parametrize("span", [1, 2, 3, 5])
def test_spans_do_not_overlap_and_keep_to_the_proportion(span: int) -> None:
    config = MaskingConfig(span_steps=span)
    for time in (span + 1, 20, 81, 200):
        for seed in range(20):
            mask = draw_mask(time, config, generator(seed))
            assert len(mask) == time
            wanted = max(1, int(0.15 * time) // span) * span
            assert int(mask.sum()) == wanted
            assert all(run % span == 0 for run in runs(mask))


def test_free_starts_reach_every_frame() -> None:
    config = MaskingConfig(span_steps=2)
    hits = sum(draw_mask(21, config, generator(seed)).long() for seed in range(400))
    assert (hits > 0).all()


def test_the_papers_spans_start_at_every_third_frame_and_are_one_frame_long() -> None:
    for seed in range(30):
        mask = draw_mask(100, PAPER, generator(seed))
        places = mask.nonzero().flatten()
        assert len(places) == 15
        assert (places % 3 == 0).all()


def test_short_utterances_have_fewer_than_two_span_starts() -> None:
    assert span_starts(3, PAPER) == 1
    assert span_starts(4, PAPER) == 2
    assert span_starts(2, MaskingConfig(span_steps=2)) == 1
    assert span_starts(1, MaskingConfig(span_steps=2)) == 0


def test_utterances_are_zeroed_replaced_and_kept_in_the_configured_shares() -> None:
    drawn = [draw_corruption(MaskingConfig(), generator(seed)) for seed in range(2000)]
    assert drawn.count("zero") / 2000 == pytest.approx(0.8, abs=0.03)
    assert drawn.count("replace") / 2000 == pytest.approx(0.1, abs=0.02)
    assert drawn.count("keep") / 2000 == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("before_deltas", [True, False])
def test_masked_frames_are_zero_and_the_clean_input_is_the_features(before_deltas: bool) -> None:
    frames = torch.randn(62, 6, generator=generator(0))
    mask = torch.zeros(20, dtype=torch.bool)
    mask[[4, 5, 11]] = True
    hidden, clean = corrupt(frames, mask, "zero", FEATURES, before_deltas=before_deltas, generator=generator(1))
    assert torch.equal(clean, steps_of(frames, FEATURES))
    assert not hidden[mask].any()


def test_masking_after_deltas_changes_masked_frames_only() -> None:
    frames = torch.randn(60, 6, generator=generator(0))
    mask = draw_mask(20, PAPER, generator(3))
    hidden, clean = corrupt(frames, mask, "zero", FEATURES, before_deltas=False, generator=generator(1))
    assert torch.equal(hidden[~mask], clean[~mask])


def test_masking_before_deltas_reveals_nothing_of_masked_frames() -> None:
    """Two utterances that differ in masked frames only, with the same mean and deviation, have the same input."""
    features = FeatureConfig(mels=6, normalise=False)
    mask = torch.zeros(20, dtype=torch.bool)
    mask[[7, 8]] = True
    frames = torch.randn(60, 6, generator=generator(0))
    other = frames.clone()
    other[21:27] = frames[21:27].flip(0)  # keeps the mean, which masked frames become
    seen, _ = corrupt(frames, mask, "zero", features, before_deltas=True, generator=generator(1))
    seen_of_other, _ = corrupt(other, mask, "zero", features, before_deltas=True, generator=generator(1))
    assert torch.allclose(seen, seen_of_other, atol=1e-6)
    leaking, _ = corrupt(frames, mask, "zero", features, before_deltas=False, generator=generator(1))
    leaking_other, _ = corrupt(other, mask, "zero", features, before_deltas=False, generator=generator(1))
    assert not torch.allclose(leaking, leaking_other, atol=1e-3)


def test_the_papers_task_leaks_and_masking_before_deltas_does_not() -> None:
    """On white noise a masked frame is predictable only from the deltas of its neighbours."""

    def error(config: MaskingConfig) -> float:
        rows, wanted = [], []
        for seed in range(120):
            frames = torch.randn(66, 1, generator=generator(seed), dtype=torch.float64)
            mask = torch.zeros(22, dtype=torch.bool)
            mask[9] = True
            one = FeatureConfig(mels=1, normalise=False)
            hidden, clean = corrupt(
                frames, mask, "zero", one, before_deltas=config.before_deltas, generator=generator(0)
            )
            rows.append(torch.cat([hidden[[6, 7, 8, 10, 11, 12]].flatten(), torch.ones(1, dtype=torch.float64)]))
            wanted.append(clean[9].unflatten(0, (3, 2))[:, 0])
        x, y = torch.stack(rows), torch.stack(wanted)
        solution = torch.linalg.lstsq(x[:80], y[:80], driver="gelsd").solution
        return float((x[80:] @ solution - y[80:]).abs().mean() / y[80:].abs().mean())

    assert error(PAPER) < 1e-6
    assert error(MaskingConfig()) > 0.9


def test_replacing_frames_come_from_the_same_utterance() -> None:
    frames = torch.arange(60.0)[:, None].expand(60, 6).contiguous()
    mask = torch.zeros(20, dtype=torch.bool)
    mask[[3, 4, 15]] = True
    features = FeatureConfig(mels=6, deltas=False, normalise=False)
    hidden, clean = corrupt(frames, mask, "replace", features, before_deltas=True, generator=generator(2))
    assert torch.equal(hidden[~mask], clean[~mask])
    known = {tuple(frame) for frame in clean.tolist()}
    assert all(tuple(frame) in known for frame in hidden[mask].tolist())
    assert not torch.equal(hidden[mask], clean[mask])
