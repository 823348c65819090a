"""The benchmark of precisions: rows and precisions take turns, and ratios are taken within rounds."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch

from inattention.pretraining.config import PretrainingConfig
from small_models import small_config

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "training_precision.py"


def test_each_row_is_measured_in_both_precisions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("training_precision", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "training_precision", benchmark)
    spec.loader.exec_module(benchmark)
    small = (small_config(), PretrainingConfig(batch_size=3), 20)
    monkeypatch.setattr(benchmark, "setting", lambda size, options: small)
    out = tmp_path / "measured.json"
    threads = torch.get_num_threads()
    try:
        benchmark.main(
            benchmark.Options(rows=("none", "toeplitz"), sizes=("laptop",), rounds=2, beside="tests", out=out)
        )
    finally:
        torch.set_num_threads(threads)
    content = json.loads(out.read_text())
    assert [it["row"] for it in content["steps"]] == ["none", "toeplitz"]
    assert all(len(taken) == 2 for it in content["steps"] for taken in it["seconds"].values())
    assert content["beside"]["said"] == "tests"
    assert "bfloat16 / float32" in capsys.readouterr().out
