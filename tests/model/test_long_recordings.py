"""One pass over a recording in blocks is one pass over the whole; chunks are the same piece by piece."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from inattention.audio.frames import features
from inattention.model import recording
from inattention.model.chunks import encode
from inattention.model.reach import UnlimitedReach, limit_encoder
from inattention.model.transformer import AudioTransformer
from small_models import small_model

RATE = 16_000
BLOCK = 40  # frames
BLOCK_SECONDS = BLOCK * 0.0375
LENGTHS = (1, 5, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1, 205)  # one block, whole blocks, one frame more
LIMITED: dict[str, tuple[str, dict[str, Any]]] = {
    "none": ("none", {}),
    "local": ("local", {}),
    "local-3": ("local", {"window": 3}),
    "strided-window": ("sparse-strided", {"head_split": 12}),
    "own-blocks": ("sparse-fixed", {"head_split": 12, "stride": 7}),
    "longformer": ("longformer", {"global_steps": 0, "dilated_heads": 4}),
    "adaptive-span": ("adaptive-span", {"span": 2.5, "ramp": 3}),
    "convolution": ("lite", {"attention_heads": 0, "kernel": 5}),
    "table": ("toeplitz", {"form": "table"}),
}


def wave(frames: int) -> torch.Tensor:
    """Return the shortest noise of so many frames."""
    return 0.1 * torch.randn((3 * frames - 1) * 200, generator=torch.Generator().manual_seed(frames))


def model_of(case: str, **settings: Any) -> AudioTransformer:
    name, options = LIMITED[case]
    return small_model(attention=name, attention_options=options, **settings)


@pytest.mark.parametrize("maps", ["shared", "per-layer"])
@pytest.mark.parametrize("case", LIMITED)
def test_blocks_are_one_pass_over_the_whole(case: str, maps: str) -> None:
    model = model_of(case, maps=maps)
    for frames in LENGTHS:
        samples = wave(frames)
        got = model.extract(samples, sampling_rate=RATE, block_seconds=BLOCK_SECONDS)
        inputs = features(samples, model.config.features)
        assert len(inputs) == len(got.values) == frames
        # A table takes no longer input by itself.
        encoder = limit_encoder(model.encoder).encoder if case == "table" and frames > 48 else model.encoder
        with torch.no_grad():
            whole = encoder(inputs[None]).last_hidden_state[0]
        torch.testing.assert_close(got.values, whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("case", ["local", "table"])
def test_what_lies_out_of_reach_changes_nothing_and_what_is_near_does(case: str) -> None:
    model = model_of(case, features=small_model().config.features.__class__(fft_size=1024, mels=8, normalise=False))
    back, ahead = model.reach_seconds()
    samples = wave(205)
    changed = samples.clone()
    changed[3 * RATE : 4 * RATE] *= -0.5
    one, other = (model.extract(it, sampling_rate=RATE, block_seconds=BLOCK_SECONDS) for it in (samples, changed))
    different = (one.values != other.values).any(1)
    far = (one.times < 3 - ahead) | (one.times > 4 + back)
    assert not bool(different[far].any())
    assert bool(different[(one.times > 3) & (one.times < 4)].all())


def test_a_bound_narrows_the_reach_of_a_table_and_moves_the_features_little() -> None:
    model = model_of("table")
    with torch.no_grad():
        offsets = torch.arange(-47, 48)
        model.encoder.mechanisms[0].table.copy_((-(offsets.abs() / 2.0)).expand(12, -1))
    exact, bounded = limit_encoder(model.encoder), limit_encoder(model.encoder, 1e-4)
    assert exact.left_out == 0
    assert 0 < bounded.left_out <= 1e-4
    assert bounded.reach.back < exact.reach.back / 2
    samples = wave(47)
    got = model.extract(samples, sampling_rate=RATE, block_seconds=BLOCK_SECONDS, bound=1e-4).values
    whole = model.extract(samples, sampling_rate=RATE).values
    assert 0 < float((got - whole).abs().max()) < 0.01


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("qk", {}, "layer 1 of 2: qk has no limited reach: its frames depend on all frames"),
        ("uniform", {}, "uniform has no limited reach"),
        ("fnet", {}, "fnet has no limited reach"),
        ("toeplitz", {}, "uniform weight under its Gaussians"),
        ("patterned", {}, "a map that ends at max_length"),
        ("longformer", {}, "global frames"),
        ("sparse-strided", {}, "every l-th frame"),
        ("sparse-fixed", {}, "ends of all blocks"),
        ("local", {"per_utterance": True}, "follows from the length"),
        ("lite", {}, "attending heads"),
        ("fixed-encoder", {}, "'left'"),
    ],
)
def test_an_unlimited_mechanism_is_refused_with_the_reason(name: str, options: dict[str, Any], reason: str) -> None:
    model = small_model(attention=name, attention_options=options)
    with pytest.raises(UnlimitedReach, match=reason):
        model.extract(wave(3), sampling_rate=RATE, block_seconds=1.0)
    with pytest.raises(UnlimitedReach, match=reason):
        model.reach_seconds()


def test_a_table_whose_weights_vanish_is_refused() -> None:
    model = model_of("table")
    with torch.no_grad():
        model.encoder.mechanisms[0].table[0, 50] = 200.0
    with pytest.raises(UnlimitedReach, match="too many orders of magnitude"):
        model.reach_seconds()


def test_lengths_and_bounds_out_of_range_are_refused() -> None:
    model = model_of("local")
    for options in ({"block_seconds": 0.0}, {"block_seconds": 1.0, "bound": 1.0}, {"bound": 0.1}):
        with pytest.raises(ValueError, match=r"block|bound"):
            model.extract_blocks(wave(3), sampling_rate=RATE, **options)


@pytest.mark.parametrize("layer", [-1, 0, 2, None])
def test_a_long_recording_is_read_piece_by_piece_with_the_same_result(
    layer: int | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model, samples = small_model(), wave(500)
    soundfile.write(tmp_path / "a.wav", samples.numpy(), RATE, subtype="FLOAT")
    (whole,) = encode(model.encoder, [features(samples, model.config.features)], layer=layer)
    monkeypatch.setattr(recording, "LONG_SECONDS", 1.0)
    for audio, options in ((tmp_path / "a.wav", {}), (samples, {"sampling_rate": RATE})):
        got = model.extract(audio, layer=layer, **options)
        torch.testing.assert_close(got.values, whole, atol=2e-5, rtol=0)
        pieces = list(model.extract_blocks(audio, layer=layer, **options))
        assert torch.equal(torch.cat([it.values for it in pieces], -2), got.values)
        times = torch.cat([it.times for it in pieces])
        torch.testing.assert_close(times, got.times, atol=1e-9, rtol=0)
        assert all(one < other for one, other in pairwise(times.tolist()))


def test_a_long_recording_that_cannot_be_used_is_refused_as_a_short_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(recording, "LONG_SECONDS", 0.5)
    model, bad = small_model(), np.zeros(2 * RATE, np.float32)
    for name, content in (
        ("silent", bad),
        ("nan", np.where(np.arange(len(bad)) == 9, np.nan, wave(60)[: len(bad)].numpy())),
    ):
        soundfile.write(tmp_path / f"{name}.wav", content, RATE, subtype="FLOAT")
    whole = wave(60).numpy()
    soundfile.write(tmp_path / "cut.wav", whole, RATE)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "cut.wav").read_bytes()[:-9_000])
    for name, reason in (("silent", "silent.wav: is silent"), ("nan", "NaN"), ("cut", "truncated"), ("no", "no such")):
        with pytest.raises(ValueError, match=reason):
            model.extract(tmp_path / f"{name}.wav")


def test_the_parts_of_a_model_are_not_changed_by_blocks() -> None:
    model = model_of("table").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.extract(wave(90), sampling_rate=RATE, block_seconds=1.0)
    assert model.training
    assert model.encoder.training
    assert [type(it).__name__ for it in model.encoder.mechanisms] == ["Toeplitz"]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
