"""Windowed and strided attention on pieces equals the same attention with a dense mask."""

import math

import pytest
import torch
from torch import Tensor

from inattention.attention.ops import windows

HEADS, HEAD_DIM = 2, 4


def draw(batch: int, time: int, valid_share: float = 1.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(time)
    shape = (batch, time, HEADS, HEAD_DIM)
    query, key, values = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(3))
    valid = torch.rand(batch, time, generator=generator) < valid_share
    return query, key, torch.where(valid[:, :, None, None], values, 0.0), valid


def dense(query: Tensor, key: Tensor, values: Tensor, allowed: Tensor) -> Tensor:
    scores = torch.einsum("bihd,bjhd->bhij", query, key) / math.sqrt(HEAD_DIM)
    weights = scores.masked_fill(~allowed[:, None], float("-inf")).softmax(-1)
    return torch.einsum("bhij,bjhd->bihd", weights, values)


def offsets(time: int) -> Tensor:
    return torch.arange(time)[:, None] - torch.arange(time)


@pytest.mark.parametrize("valid_share", [1.0, 0.7])
@pytest.mark.parametrize("dilation", [1, 3])
@pytest.mark.parametrize(("time", "window"), [(1, 5), (31, 40), (32, 1), (33, 7), (100, 3), (130, 33)])
def test_window_is_a_band(time: int, window: int, dilation: int, valid_share: float) -> None:
    query, key, values, valid = draw(3, time, valid_share)
    output = windows.dilated_window_attention(query, key, values, valid, window, dilation)
    band = (offsets(time).abs() <= window * dilation) & (offsets(time) % dilation == 0)
    expected = dense(query, key, values, band & valid[:, None, :] | torch.eye(time, dtype=torch.bool))
    assert torch.allclose(output[valid], expected[valid])
    assert output.isfinite().all()


@pytest.mark.parametrize("dilation", [1, 3])
def test_steps_seen_everywhere_join_every_window(dilation: int) -> None:
    query, key, values, valid = draw(2, 70, 0.7)
    valid[:, 2] = False
    # The first three steps are seen by all others, which form the sequence.
    output = windows.dilated_window_attention(
        *(x[:, 3:] for x in (query, key, values, valid)), 4, dilation, (key[:, :3], values[:, :3], valid[:, :3])
    )
    band = (offsets(70).abs() <= 4 * dilation) & (offsets(70) % dilation == 0)
    band[:, :3] = True
    expected = dense(query, key, values, band & valid[:, None, :] | torch.eye(70, dtype=torch.bool))
    assert torch.allclose(output[valid[:, 3:]], expected[:, 3:][valid[:, 3:]])


@pytest.mark.parametrize("valid_share", [1.0, 0.7])
@pytest.mark.parametrize(("time", "stride"), [(1, 3), (2, 3), (9, 3), (10, 3), (11, 3), (50, 7), (7, 1)])
def test_strides_meet_within_residue_classes(time: int, stride: int, valid_share: float) -> None:
    query, key, values, valid = draw(3, time, valid_share)
    output = windows.residue_attention(query, key, values, valid, stride)
    allowed = (offsets(time) % stride == 0) & valid[:, None, :] | torch.eye(time, dtype=torch.bool)
    assert torch.allclose(output[valid], dense(query, key, values, allowed)[valid])
    assert output.isfinite().all()


def test_one_tensor_for_queries_and_keys_is_laid_once_and_counts_twice() -> None:
    query, _, values, valid = draw(2, 50, 0.8)
    for attention in (windows.window_attention, windows.residue_attention):
        together = attention(query, query, values, valid, 6)
        apart = attention(query, query.clone(), values, valid, 6)
        assert torch.equal(together, apart)


def test_stretches_of_keys_are_views() -> None:
    tape = windows._tape(torch.randn(2, 90, HEADS, HEAD_DIM), 96, 5)
    assert tape.shape == (2 * 96 + 2 * 5, HEADS, HEAD_DIM)
    assert tape.unfold(0, 42, 32).movedim(-1, 1).data_ptr() == tape.data_ptr()
