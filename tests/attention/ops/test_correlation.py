"""Averages by transforms equal the softmax, whatever the table and the padding, and form no (time, time) tensor."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from inattention.attention import build
from inattention.attention.mechanisms.toeplitz import Toeplitz
from inattention.attention.ops import correlation
from inattention.attention.ops.correlation import average_correlated, correlation_flops, make_taps
from inattention.attention.ops.gaussians import toeplitz_matrices
from inattention.attention.ops.padding import masked_softmax
from inattention.testing import CLAIMS, TOLERANCE, Case, valid_patterns
from inattention.timing.flops import counted_flops

HEADS, HEAD_DIM = 3, 2


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def gaussians(time: int, *offsets: float) -> Tensor:
    """Return log-weights of width 1 at some offsets, over a uniform weight of 1e-5."""
    distances = torch.arange(1 - time, time) - torch.tensor(offsets)[:, None]
    return (torch.exp(-(distances**2) / 2) + 1e-5).log()


TABLES: dict[str, Callable[[int], Tensor]] = {
    "near": lambda time: gaussians(time, 0.0, 6.0, -3.0),
    "near, very sharp": lambda time: 60 * gaussians(time, 0.0, 6.0, -3.0),
    "far beyond the ends": lambda time: gaussians(time, time - 2.0, time / 2, -time / 3),
    "noise": lambda time: noise(HEADS, 2 * time - 1),
    "sharp noise": lambda time: 10 * noise(HEADS, 2 * time - 1),
    "ramp": lambda time: torch.linspace(-40, 40, 2 * time - 1).expand(HEADS, -1),
    "uniform": lambda time: torch.zeros(HEADS, 2 * time - 1),
    "one key and nothing else": lambda time: torch.where(torch.arange(1 - time, time) == 5, 0.0, -300.0).expand(3, -1),
}
METHODS = {"transforms": 0.0, "bands": 1e9, "the cheaper one": correlation.BAND_OPERATIONS}


def dense(table: Tensor, values: Tensor, valid: Tensor | None) -> Tensor:
    time = values.shape[2]
    keys = torch.ones(len(values), time, dtype=torch.bool) if valid is None else valid
    values = torch.where(keys[:, None, :, None], values, 0.0)
    return masked_softmax(toeplitz_matrices(table, time).expand(len(values), -1, -1, -1), keys[:, None, None]) @ values


@pytest.mark.parametrize("time", [1, 2, 50, 131])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("table", TABLES)
def test_averages_and_gradients_are_those_of_the_softmax(
    table: str, method: str, time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(correlation, "BAND_OPERATIONS", METHODS[method])
    logits, values, target = (
        TABLES[table](time),
        noise(3, HEADS, time, HEAD_DIM),
        noise(3, HEADS, time, HEAD_DIM, seed=1),
    )
    for pattern, valid in {**valid_patterns(time), "none": None}.items():
        where = f"mask: {pattern}"
        real = torch.tensor(True) if valid is None else valid[:, None, :, None]
        junk = torch.where(real, values, float("nan"))
        found = []
        for fast, dtype in ((True, torch.float32), (False, torch.float64)):
            t, v = (x.to(dtype, copy=True).requires_grad_() for x in (logits, junk if fast else values))
            output = average_correlated(make_taps(t, HEAD_DIM), v, valid) if fast else dense(t, v, valid)
            assert output.isfinite().all(), where
            torch.where(real, output * target, 0.0).sum().backward()
            found.append([torch.where(real, output.detach(), 0.0), t.grad, v.grad])
        for got, wanted in zip(*found, strict=True):
            scale = max(1.0, float(wanted.abs().max()))
            assert float((got - wanted).abs().max()) < TOLERANCE * scale, where


def test_an_average_over_thousands_of_frames_is_as_exact() -> None:
    table, values = gaussians(3000, 0.0, 6.0, -700.0), noise(1, HEADS, 3000, 1)
    got = average_correlated(make_taps(table, 1), values, None)
    torch.testing.assert_close(got, dense(table.double(), values.double(), None).float(), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_table_keeps_its_promises_by_transforms(claim: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlation, "FROM_CACHED", 1)
    monkeypatch.setattr(correlation, "FROM_COMPUTED", 1)
    monkeypatch.setattr(correlation, "BAND_OPERATIONS", 0.0)
    CLAIMS[claim](Case("toeplitz", {"form": "table"}))


class LargestTensor(TorchDispatchMode):
    """Record how many numbers the largest tensor has that any operation returns."""

    numbers = 0

    def __torch_dispatch__(self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None) -> object:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor) and not (func.is_view or tensor._is_view()):
                self.numbers = max(self.numbers, tensor.numel())
        return result


@pytest.mark.parametrize("table", ["near", "near, very sharp"])
@pytest.mark.parametrize("padded", [False, True])
def test_no_tensor_grows_with_time_squared(table: str, padded: bool) -> None:
    time = 1500
    mechanism = Toeplitz(width=12, heads=3, max_length=time, form="table")
    with torch.no_grad():
        mechanism.table.copy_(TABLES[table](time))
    values, valid = noise(1, 3, time, 4).requires_grad_(), torch.arange(time)[None] < 1400 if padded else None
    with LargestTensor() as largest:
        mechanism(torch.zeros(1, time, 12), values, valid).sum().backward()
    assert largest.numbers < time**2 / 40


def test_evaluation_transforms_the_table_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    spectrum = correlation._spectrum
    monkeypatch.setattr(correlation, "_spectrum", lambda weights: calls.append(1) or spectrum(weights))
    mechanism = build("toeplitz", width=12, heads=3, max_length=800, form="table").eval()
    values = noise(1, 3, 800, 4)
    with torch.no_grad():
        outputs = [mechanism(torch.zeros(1, 800, 12), values) for _ in range(3)]
        assert len(calls) == 1
        mechanism.table.add_(noise(3, 1599))
        assert not torch.equal(mechanism(torch.zeros(1, 800, 12), values), outputs[0])
    assert torch.equal(outputs[0], outputs[2])


def test_the_number_of_operations_is_that_of_the_counter() -> None:
    taps, values = make_taps(noise(HEADS, 2 * 800 - 1), 8), noise(1, HEADS, 800, 8)
    counted = counted_flops(lambda: average_correlated(taps, values, None))
    assert counted == pytest.approx(correlation_flops(800, HEADS * 8), rel=0.01)
