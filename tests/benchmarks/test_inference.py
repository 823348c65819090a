"""The benchmark of inference: contenders take turns on the same input, and ratios refer to the first."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from inattention.timing import measure
from made_onnx import made_onnx

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "inference.py"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(measure, "TURN_SECONDS", 1e-3)
    spec = importlib.util.spec_from_file_location("inference", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "inference", module)
    spec.loader.exec_module(module)
    return module


def test_contenders_take_turns(benchmark: ModuleType, tmp_path: Path) -> None:
    file = made_onnx(tmp_path / "made.onnx")
    contenders = [
        benchmark.Contender("numpy", lambda: lambda features: features @ np.ones((24, 24), np.float32)),
        benchmark.Contender("ONNX", benchmark.onnx_loader(file, 1), file=file),
    ]
    options = benchmark.Options(rounds=3, threads=1)

    def inputs(frames: float, padded: bool) -> list[np.ndarray]:
        return [np.ones((1, int(frames), 24), np.float32)]

    results = benchmark.measure(contenders, options, (10, 20), inputs, "frames")
    assert [(it["name"], it["length"]) for it in results] == [
        (name, length) for length in ("10 frames", "20 frames") for name in ("numpy", "ONNX")
    ]
    assert results[0]["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert results[1]["bytes"] == file.stat().st_size
    assert "20 frames" in benchmark.table(results)


def test_peers_are_padded_to_30_s_and_ours_are_not(benchmark: ModuleType) -> None:
    assert [it.shape for it in benchmark.mel_of(5.0, True)] == [(1, 80, 3000)]
    assert [it.shape for it in benchmark.mel_of(5.0, False)] == [(1, 80, 550)]
    assert len(benchmark.mel_of(3600.0, True)) == 120
