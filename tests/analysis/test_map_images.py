"""Images of maps: they show the weights, for any length."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from inattention.analysis.map_images import close_up, draw_maps, load_maps, moved, shades, shrink, tile_png


def test_maps_shared_by_layers_and_maps_of_each_layer_are_read_alike(tmp_path: Path) -> None:
    maps = torch.rand(2, 3, 8, 8).half()
    save_file({"before": maps, "after": maps + 1}, tmp_path / "layers.safetensors")
    save_file({"before": maps[0].clone(), "after": maps[0] + 1}, tmp_path / "shared.safetensors")
    assert load_maps(tmp_path / "layers.safetensors")[1].shape == (2, 3, 8, 8)
    before, after = load_maps(tmp_path / "shared.safetensors")
    assert before.shape == (1, 3, 8, 8)
    assert np.allclose(after - before, 1, atol=1e-2)


def test_a_file_without_maps_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "maps.safetensors"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="does not contain attention maps"):
        load_maps(path)
    save_file({"before": torch.zeros(2, 2, 2)}, path)
    with pytest.raises(ValueError, match="named 'before' and 'after'"):
        load_maps(path)


def test_shrinking_keeps_the_mean_of_each_block_for_any_length() -> None:
    weights = np.random.default_rng(0).random((10, 10)).astype(np.float32)
    assert shrink(weights, 10) is weights
    small = shrink(weights, 4)  # blocks of 2, 3, 2 and 3 steps
    assert small.shape == (4, 4)
    assert small[1, 2] == pytest.approx(weights[2:5, 5:7].mean(), rel=1e-5)
    assert shrink(np.full((7, 7), 0.25, np.float32), 3) == pytest.approx(0.25)


def test_all_weight_at_another_place_counts_as_moved() -> None:
    eye, shifted = np.eye(4), np.roll(np.eye(4), 1, axis=1)
    assert moved(np.stack([eye, eye]), np.stack([eye, shifted])).tolist() == [0.0, 1.0]


def test_a_close_up_is_the_middle_of_the_diagonal() -> None:
    cut = close_up(np.arange(100.0).reshape(10, 10), 4)
    assert cut[0, 0] == 33
    assert cut.shape == (4, 4)
    assert close_up(np.eye(3), 24).shape == (3, 3)


def test_shades_follow_the_square_root_and_fill_the_scale() -> None:
    assert shades(np.array([[0.0, 0.04], [0.16, 0.64]])).ravel().tolist() == pytest.approx([0, 0.25, 0.5, 1])
    assert shades(np.zeros((2, 2))).tolist() == [[0, 0], [0, 0]]


def test_a_tile_has_one_pixel_per_weight_and_is_brightest_at_the_largest() -> None:
    weights = np.zeros((6, 5))
    weights[4, 2] = 0.3
    with Image.open(io.BytesIO(tile_png(weights))) as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.shape == (6, 5)
    assert np.unravel_index(pixels.argmax(), pixels.shape) == (4, 2)


def test_a_drawing_has_one_column_per_head_and_one_line_per_strip() -> None:
    maps = np.random.default_rng(0).random((3, 8, 8))
    (axes,) = draw_maps([("before", maps), ("after", maps)]).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["head 1", "head 2", "head 3"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["before", "after"]
    sheet = axes.images[0].get_array()
    assert sheet is not None
    assert sheet.shape == (20, 30)
