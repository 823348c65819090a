"""Measured costs: longer bands cost more, in what will run the file."""

import builtins
from collections.abc import Callable
from typing import Any

import pytest

from inattention.export.costs import Costs, measure_costs, measure_torch_costs


@pytest.mark.parametrize("measure", [measure_costs, measure_torch_costs])
def test_every_form_is_measured(measure: Callable[[int, int, int], Costs]) -> None:
    costs = measure(300, 200, 16)
    assert costs.reaches == (1, 33, 129, 513, 599)
    assert len(costs.bands) == 5
    assert min(costs.dense, costs.matrix, costs.fft, costs.two_level, costs.call, *costs.bands) > 0
    assert costs.bands[0] < costs.bands[-1]
    assert costs.bands[0] <= costs.band(20) <= costs.bands[1] or costs.bands[0] > costs.bands[1]


def test_short_inputs_have_fewer_bands() -> None:
    assert measure_torch_costs(10, 10, 4).reaches == (1, 19)


def test_programs_of_pytorch_are_measured_without_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def refused(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] in ("onnx", "onnxruntime"):
            raise ModuleNotFoundError(name)
        return plain(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refused)
    assert measure_torch_costs(20, 20, 4).dense > 0
