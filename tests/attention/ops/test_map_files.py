"""Maps from a file: brought to any length, checked before use, and free of their file once a model is saved."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from inattention.attention import build
from inattention.attention.mechanisms.patterned import hand_made_map, patterns_for, patterns_of
from inattention.attention.ops.map_files import FLOOR, maps_for, read_maps, resample
from small_models import small_config


def band(length: int, offset: float, width: float) -> Tensor:
    steps = torch.arange(length)
    return (-(((steps - steps[:, None] - offset) / width) ** 2) / 2).softmax(1)


def trend(length: int, power: float) -> Tensor:
    place = (torch.arange(length) + 0.5) / length
    rows = (place**power).expand(length, length)
    return rows / rows.sum(1, keepdim=True)


def some_maps(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).softmax(-1)


def write(path: Path, maps: Tensor) -> str:
    save_file({"maps": maps.contiguous()}, path)
    return str(path)


def apart(one: Tensor, other: Tensor) -> float:
    """The share of weight that lies elsewhere, in the row where it is largest."""
    return float((one - other).abs().sum(1).max() / 2)


@pytest.mark.parametrize("length", [24, 60, 100, 333])
@pytest.mark.parametrize(("offset", "width"), [(0, 0.1), (3, 0.1), (-5, 1.0), (2, 2.0), (0, 2.5)])
def test_a_diagonal_keeps_its_offset_and_width_in_steps(length: int, offset: float, width: float) -> None:
    assert apart(resample(band(60, offset, width), length), band(length, offset, width)) < 0.03


@pytest.mark.parametrize("length", [24, 60, 100, 333])
@pytest.mark.parametrize("power", [0.5, 3.0])
def test_a_trend_keeps_its_place_in_the_utterance(length: int, power: float) -> None:
    rising = trend(60, power)
    assert apart(resample(rising, length), trend(length, power)) < 0.01
    assert apart(resample(rising.flip(1), length), trend(length, power).flip(1)) < 0.01


@pytest.mark.parametrize("length", [30, 150])
def test_a_stripe_and_a_diagonal_in_one_map_keep_their_own_ways_and_shares(length: int) -> None:
    def made(length: int) -> Tensor:
        place = (torch.arange(length) + 0.5) / length
        stripe = torch.exp(-(((place - 0.7) / 0.05) ** 2) / 2).expand(length, length)
        return 0.6 * stripe / stripe.sum(1, keepdim=True) + 0.4 * band(length, -4, 0.5)

    assert apart(resample(made(60), length), made(length)) < 0.05


def test_a_diagonal_that_fades_over_the_utterance_still_does() -> None:
    def made(length: int) -> Tensor:
        share = ((torch.arange(length) + 0.5) / length)[:, None]
        return share * band(length, 1, 0.1) + (1 - share) / length

    assert apart(resample(made(60), 180), made(180)) < 0.15


@pytest.mark.parametrize("length", [1, 2, 3, 7, 16, 17, 40, 101])
@pytest.mark.parametrize("time", [1, 2, 5, 16])
def test_rows_are_weights_whatever_the_map(time: int, length: int) -> None:
    for maps in (some_maps(3, time, time), torch.eye(time)[None], torch.eye(time).roll(1, 1)[None]):
        resampled = resample(maps, length)
        assert resampled.shape == (len(maps), length, length)
        assert bool((resampled >= 0).all())
        torch.testing.assert_close(resampled.sum(-1), torch.ones(len(maps), length))


def test_the_same_length_changes_nothing() -> None:
    maps = some_maps(2, 3, 20, 20)
    assert torch.equal(resample(maps, 20), maps)


def test_a_mechanism_starts_from_the_file(tmp_path: Path) -> None:
    maps = some_maps(4, 12, 12)
    attention = build("patterned", width=16, heads=4, max_length=12, init=write(tmp_path / "m.safetensors", maps))
    weights = attention.weights(torch.zeros(1, 12, 16), torch.ones(1, 12, dtype=torch.bool))[0]
    torch.testing.assert_close(weights, (maps + FLOOR / 12) / (1 + FLOOR), atol=1e-6, rtol=1e-5)


def test_layers_take_their_own_depth_and_a_shared_map_their_mean(tmp_path: Path) -> None:
    maps = some_maps(3, 4, 12, 12)
    path = write(tmp_path / "m.safetensors", maps)
    for i in range(3):
        torch.testing.assert_close(maps_for(path, heads=4, layer=(i, 3)), maps[i])
    torch.testing.assert_close(maps_for(path, heads=4), maps.mean(0))


def test_an_encoder_hands_each_layer_its_maps(tmp_path: Path) -> None:
    from inattention.model.transformer import AudioTransformer

    maps = some_maps(2, 12, 48, 48)
    options = {"init": write(tmp_path / "m.safetensors", maps)}
    with torch.no_grad():
        for kind, wanted in (("per-layer", maps), ("shared", maps.mean(0, keepdim=True).expand(2, -1, -1, -1))):
            model = AudioTransformer(small_config(attention_options=options, maps=kind)).eval()
            found = model.attention_maps(torch.zeros(1, 48, model.config.input_size))[:, 0]
            torch.testing.assert_close(found, (wanted + FLOOR / 48) / (1 + FLOOR), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"before": torch.eye(4)[None]}, "holds no tensor 'maps' .it holds before"),
        ({"maps": torch.eye(4)}, r"must be \(heads, time, time\)"),
        ({"maps": torch.ones(1, 4, 5) / 5}, "must be"),
        ({"maps": torch.eye(4, dtype=torch.int64)[None]}, "floating-point"),
        ({"maps": 2 * torch.eye(4)[None]}, "sum of 1"),
        ({"maps": torch.tensor([[[1.5, -0.5], [0.0, 1.0]]])}, "not negative"),
        ({"maps": torch.full((1, 2, 2), torch.nan)}, "finite"),
    ],
)
def test_a_file_that_holds_no_maps_is_refused(tensors: dict[str, Tensor], says: str, tmp_path: Path) -> None:
    save_file(tensors, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=says) as error:
        read_maps(tmp_path / "m.safetensors")
    assert "m.safetensors" in str(error.value)


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(b"no tensors")
    for path in (tmp_path / "m.safetensors", tmp_path / "gone.safetensors"):
        with pytest.raises(ValueError, match=path.name):
            build("patterned", width=4, heads=2, max_length=4, init=str(path))


def test_maps_that_do_not_fit_the_encoder_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m.safetensors", some_maps(3, 4, 6, 6))
    with pytest.raises(ValueError, match="4 heads; this encoder has 2"):
        maps_for(path, heads=2)
    with pytest.raises(ValueError, match="3 layers; this encoder has 6"):
        maps_for(path, heads=4, layer=(0, 6))
    with pytest.raises(ValueError, match="two ways to start"):
        build("patterned", width=16, heads=4, max_length=6, init=path, categories="sparse=4")


def test_another_init_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="perhaps 'logits'"):
        build("patterned", width=4, heads=2, max_length=4, init="logit")


def test_the_counts_of_the_paper_are_the_authors_split() -> None:
    counts = "diagonal=5,increasing=1,decreasing=1,sparse=5"
    assert patterns_of(counts, 12) == patterns_for(12)
    with torch.random.fork_rng(devices=[]):
        built = []
        for options in ({}, {"categories": counts}):
            torch.manual_seed(0)
            built.append(build("patterned", width=24, heads=12, max_length=9, **options).maps)
    assert torch.equal(*built)


def test_heads_start_from_the_categories_asked_for() -> None:
    attention = build("patterned", width=8, heads=4, max_length=9, categories="sparse=1, decreasing=2, diagonal=1")
    weights = attention.weights(torch.zeros(1, 9, 8), torch.ones(1, 9, dtype=torch.bool))[0]
    for head in (1, 2):
        torch.testing.assert_close(weights[head], hand_made_map("decreasing", 9), atol=1e-3, rtol=1e-2)
    torch.testing.assert_close(weights[3], torch.eye(9), atol=2e-3, rtol=0)
    assert hand_made_map("-2", 4).tolist() == torch.eye(4).roll(-2, 1).tril().tolist()


@pytest.mark.parametrize(
    ("categories", "says"),
    [
        ("diagnal=4", "no category 'diagnal'; perhaps 'diagonal'"),
        ("diagonal=3", "add up to 3; the encoder has 4 heads"),
        ("diagonal=four", "diagonal needs a count of heads, as in diagonal=2"),
        ("diagonal", "diagonal needs a count"),
        ("diagonal=-1,sparse=5", "diagonal needs a count"),
        ("sparse=2,sparse=2", "sparse is given twice"),
        ("sparse=4,", "no category ''"),
    ],
)
def test_counts_that_cannot_be_are_refused(categories: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        build("patterned", width=8, heads=4, max_length=6, categories=categories)


def test_a_saved_model_needs_no_file_and_reads_none(tmp_path: Path) -> None:
    from inattention.model.transformer import AudioTransformer

    path = tmp_path / "m.safetensors"
    model = AudioTransformer(small_config(attention_options={"init": write(path, some_maps(12, 20, 20))})).eval()
    model.save_pretrained(tmp_path / "model")
    features = torch.randn(1, 30, model.config.input_size, generator=torch.Generator().manual_seed(0))
    for spoil in (path.unlink, lambda: path.write_bytes(b"somebody else's")):
        spoil()
        loaded = AudioTransformer.from_pretrained(tmp_path / "model")
        assert loaded.config == loaded.encoder.config == model.config
        with torch.no_grad():
            assert torch.equal(loaded(features).last_hidden_state, model(features).last_hidden_state)


@pytest.mark.parametrize("length", [24, 240])
@pytest.mark.parametrize(("offset", "width"), [(0, 0.5), (3, 1.0), (-4, 4.0), (0, 8.0), (5, 12.0)])
def test_a_band_of_any_width_keeps_it_in_frames(length: int, offset: float, width: float) -> None:
    assert apart(resample(band(60, offset, width), length), band(length, offset, width)) < 0.02


@pytest.mark.parametrize("width", [1.0, 4.0, 8.0])
def test_maps_of_short_crops_reproduce_a_head_on_input_four_times_as_long(width: float, tmp_path: Path) -> None:
    teacher = torch.stack([band(60, 0, width), band(60, 6, width)])
    student = build("patterned", width=8, heads=2, max_length=240, init=write(tmp_path / "m.safetensors", teacher))
    values = torch.randn(1, 2, 240, 4, generator=torch.Generator().manual_seed(0))
    wanted = torch.stack([band(240, 0, width), band(240, 6, width)]) @ values
    with torch.no_grad():
        error = (student(torch.zeros(1, 240, 8), values) - wanted).square().sum() / wanted.square().sum()
    assert error < 1e-4


def test_a_noisy_band_keeps_its_width() -> None:
    noise = torch.rand(60, 60, generator=torch.Generator().manual_seed(0))
    noisy = band(60, 2, 6.0) + 0.05 * noise / noise.sum(1, keepdim=True)
    resampled = resample(noisy / noisy.sum(1, keepdim=True), 240)
    steps = torch.arange(240)
    near = (steps - steps[:, None]).abs() <= 20
    assert float((resampled * near).sum(1).min()) > 0.75
