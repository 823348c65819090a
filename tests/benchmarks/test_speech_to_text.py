"""The benchmark from speech to text: word errors and times are relative to the first contender."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "speech_to_text.py"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("speech_to_text", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "speech_to_text", module)
    spec.loader.exec_module(module)
    return module


def test_texts_stand_beside_recordings(benchmark: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "one.wav").write_bytes(b"")
    (tmp_path / "one.txt").write_text("one word", encoding="utf-8")
    assert benchmark.references(tmp_path) == {"one": "one word"}


def test_contenders_are_compared_with_the_first(benchmark: ModuleType) -> None:
    texts = {
        "peer": {"one": "a b c d", "two": "e f", "three": "what?"},
        "ours": {"one": "a b c x", "two": "e f", "three": "who?"},
    }
    seconds = {"peer": [2.0, 4.0, 6.0], "ours": [1.0, 1.0, 3.0]}
    results = benchmark.compare(seconds, texts, {"one": "A b c, d.", "two": "e f"})
    assert [it["word_error_rate"] for it in results] == pytest.approx([0.0, 1 / 6])
    assert results[0]["difference"] is None
    assert results[1]["difference"][0] == pytest.approx(1 / 6)
    assert results[1]["ratio"]["median"] == 0.5
    assert [it["words"] for it in results] == [6, 6]
    assert "+0.167" in benchmark.table(results)


def test_recordings_without_texts_are_only_timed(benchmark: ModuleType) -> None:
    results = benchmark.compare({"peer": [1.0], "ours": [2.0]}, {"peer": {"one": "a"}, "ours": {"one": "b"}}, {})
    assert [it["word_error_rate"] for it in results] == [None, None]
    assert results[1]["difference"] is None
