"""An exported file against PyTorch: what counts as the same."""

import numpy as np
import pytest

from graph_runners import graph_runner
from inattention.encoders.ours import EncoderSource
from inattention.export.checks.parity import batches, check, compare, tolerance
from inattention.export.config import ExportError
from inattention.export.subject import OurSubject
from small_models import small_model


def test_a_feature_that_is_larger_than_the_rest_is_compared_by_its_own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = OurSubject(EncoderSource(small_model(attention="none")))
    layers, groups = subject.source.layers, batches(OurSubject(EncoderSource(small_model(attention="none"))))
    exact = graph_runner(subject, [layers])
    whole = subject.reference

    def large(*arguments: object) -> list:
        """PyTorch's hidden states, with a first feature a thousand times the others."""
        states = [state.clone() for state in whole(*arguments)]
        for state in states:
            state[:, 0] = 1000.0
        return states

    def off(by: float) -> float:
        def run(features: np.ndarray, valid: np.ndarray) -> list[np.ndarray]:
            outputs = [np.array(output) for output in exact(features, valid)]
            for output in outputs:
                output[..., 0] = 1000.0 * (1 + by)
            return outputs

        return compare(run, subject, [layers], groups)[0]

    monkeypatch.setattr(subject, "reference", large, raising=False)
    assert off(1e-4) == pytest.approx(1e-4, rel=0.3)
    assert off(1e-2) == pytest.approx(1e-2, rel=0.3)


def test_rounding_adds_up_over_layers() -> None:
    assert [tolerance(layers, 0.0, "float32", exact=True) for layers in (1, 4, 6, 12)] == pytest.approx(
        [1e-4, 1e-4, 1.5e-4, 3e-4]
    )
    assert tolerance(4, 1e-5, "float32", exact=True) == pytest.approx(1.8e-4)
    assert tolerance(12, 0.0, "int8", exact=False) == 0.25
    assert tolerance(12, 0.0, "float32", exact=False) == 0.05


def test_neither_the_whole_nor_a_single_feature_may_differ_much() -> None:
    check(5e-3, 0.9e-4, 1e-4, exact=True)
    check(0.5, 0.2, 0.25, exact=False)
    for value in (1.1e-4, float("nan")):
        with pytest.raises(ExportError, match="relative error of"):
            check(0.0, value, 1e-4, exact=True)
    for value in (2e-2, float("nan")):
        with pytest.raises(ExportError, match="differs from PyTorch"):
            check(value, 0.0, 1e-4, exact=True)
