"""`toeplitz`: its maps straight from the formula, its cut bumps, what it learns, and what it costs."""

import math

import pytest
import torch
from torch import Tensor

from inattention.attention import build, card
from inattention.attention.mechanisms.toeplitz import Toeplitz
from inattention.attention.ops.gaussians import INITIAL, initial_gaussians
from inattention.timing.flops import counted_flops


def map_by_hand(offset: float, width: float, floor: float, valid: list[bool]) -> Tensor:
    time = len(valid)
    rows = torch.zeros(time, time, dtype=torch.float64)
    for i in range(time):
        for j in range(time):
            if valid[j]:
                rows[i, j] = floor + math.exp(-(((j - i - offset) / width) ** 2) / 2)
    return rows / rows.sum(-1, keepdim=True)


@pytest.mark.parametrize("keys", ["all", "scattered", "prefix"])
def test_maps_are_the_formula_at_the_published_initial_gaussians(keys: str) -> None:
    valid = {
        "all": torch.ones(30, dtype=torch.bool),
        "scattered": torch.rand(30, generator=torch.Generator().manual_seed(0)) < 0.4,
        "prefix": torch.arange(30) < 21,
    }[keys]
    weights = build("toeplitz", width=24, heads=12).weights(torch.zeros(1, 30, 24), valid[None])[0]
    expected = torch.stack([map_by_hand(*start, 1e-5, valid.tolist()) for start in INITIAL])
    torch.testing.assert_close(weights[:, valid], expected[:, valid].float(), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("time", [60, 700])
@pytest.mark.parametrize("keys", ["all", "far", "scattered"])
def test_cutting_the_bumps_costs_less_than_a_millionth(keys: str, time: int) -> None:
    # In float64, so that nothing but the cut is seen. With the only valid keys far away, rows have nothing but the
    # floor and a bump's tail.
    mechanism = build("toeplitz", width=24, heads=12).double().eval()
    valid = {
        "all": torch.ones(1, time, dtype=torch.bool),
        "far": (torch.arange(time) >= time - 2)[None],
        "scattered": torch.rand(1, time, generator=torch.Generator().manual_seed(0)) < 0.1,
    }[keys]
    values = torch.rand(1, 12, time, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    hidden = torch.zeros(1, time, 24, dtype=torch.float64)
    with torch.no_grad():
        difference = mechanism(hidden, values, valid) - mechanism.weights(hidden, valid) @ values
    assert difference.abs().max() < 1e-6


@pytest.mark.parametrize("valid", [torch.ones(2, 90, dtype=torch.bool), torch.arange(90) < torch.tensor([[90], [35]])])
def test_gradients_are_those_of_the_dense_form(valid: Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, 12, 90, 3, generator=generator, dtype=torch.float64)
    target = torch.randn(2, 12, 90, 3, generator=generator, dtype=torch.float64) * valid[:, None, :, None]
    hidden = torch.zeros(2, 90, 36, dtype=torch.float64)
    gradients = []
    for fast in (True, False):
        mechanism = build("toeplitz", width=36, heads=12).double()
        values_ = values.clone().requires_grad_()
        with mechanism.one_pass():  # twice, as layers that share it do
            for _ in range(2):
                output = mechanism(hidden, values_, valid) if fast else mechanism.weights(hidden, valid) @ values_
                (output * target).square().sum().backward(retain_graph=True)
        gradients.append([p.grad for p in (*mechanism.parameters(), values_)])
    for got, true in zip(*gradients, strict=True):
        torch.testing.assert_close(got, true, rtol=1e-4, atol=1e-6)


def test_a_head_learns_where_to_look() -> None:
    torch.manual_seed(0)
    mechanism = Toeplitz(width=1, heads=1)
    optimiser = torch.optim.Adam(mechanism.parameters(), lr=0.1)
    hidden, valid = torch.zeros(8, 50, 1), torch.ones(8, 50, dtype=torch.bool)
    for _ in range(100):
        values = torch.randn(8, 1, 50, 1)
        loss = (mechanism(hidden, values, valid) - values.roll(-2, 2))[:, :, 5:-5].square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert mechanism.offset.item() == pytest.approx(2, abs=0.2)
    assert loss.item() < 0.05


@pytest.mark.parametrize(("offset", "log_width"), [(1e4, 0.0), (-1e4, 0.0), (0.5, -6.0), (0.0, 9.0)])
def test_bumps_out_of_reach_leave_the_mean_and_the_widest_give_it_too(offset: float, log_width: float) -> None:
    mechanism = Toeplitz(width=8, heads=2)
    with torch.no_grad():
        mechanism.offset.fill_(offset)
        mechanism.log_width.fill_(log_width)
    values = torch.randn(1, 2, 20, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    output = mechanism(torch.zeros(1, 20, 8), values, torch.ones(1, 20, dtype=torch.bool))
    torch.testing.assert_close(output, values.mean(2, keepdim=True).expand_as(values), atol=1e-4, rtol=0)
    gradients = torch.autograd.grad(output.sum(), (values, *mechanism.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_heads_beyond_twelve_start_at_twice_the_scale() -> None:
    assert initial_gaussians(5) == list(INITIAL[:5])
    assert initial_gaussians(25)[12:24] == [(2 * offset, 2 * width) for offset, width in INITIAL]
    assert initial_gaussians(25)[24] == (0.0, 2.0)


def test_table_starts_at_the_bumps() -> None:
    valid = torch.ones(1, 30, dtype=torch.bool)
    hidden = torch.zeros(1, 30, 24)
    bumps = build("toeplitz", width=24, heads=12).weights(hidden, valid)
    for longest in (30, 47):
        table = build("toeplitz", width=24, heads=12, max_length=longest, form="table").weights(hidden, valid)
        torch.testing.assert_close(table, bumps, rtol=1e-4, atol=1e-7)


def test_a_table_refuses_input_beyond_its_end_and_bumps_take_any() -> None:
    table, bumps = (build("toeplitz", width=24, heads=12, max_length=8, form=form) for form in ("table", "bumps"))
    hidden, values = torch.zeros(1, 9, 24), torch.zeros(1, 12, 9, 2)
    valid = torch.ones(1, 9, dtype=torch.bool)
    assert (table.longest, bumps.longest) == (8, None)
    assert bumps(hidden, values, valid).shape == values.shape
    for call in (lambda: table(hidden, values, valid), lambda: table.weights(hidden, valid)):
        with pytest.raises(ValueError, match=r"at most 8 frames \(max_length\), not 9"):
            call()


def test_bumps_need_no_max_length_and_a_table_does() -> None:
    build("toeplitz", width=24, heads=12)
    with pytest.raises(ValueError, match="max_length"):
        build("toeplitz", width=24, heads=12, form="table")


def test_a_floor_that_leaves_rows_empty_is_refused() -> None:
    with pytest.raises(ValueError, match="floor"):
        build("toeplitz", width=24, heads=12, floor=0.0)


@pytest.mark.parametrize("options", [{}, {"form": "table"}])
@pytest.mark.parametrize("time", [50, 500, 1000])
def test_card_counts_what_the_counter_counts(time: int, options: dict[str, str]) -> None:
    mechanism = build("toeplitz", width=768, heads=12, max_length=1000, **options).eval()
    hidden, values = torch.zeros(1, time, 768), torch.randn(1, 12, time, 64)
    with torch.no_grad():
        mechanism(hidden, values)  # what is cached in evaluation is not counted
        counted = counted_flops(lambda: mechanism(hidden, values))
    # Transforms have some rows at the ends computed again, which the card leaves out.
    tolerance = 0.05 if options else 0.01
    assert card("toeplitz").flops(time, 768, 12, **options) == pytest.approx(counted, rel=tolerance)
