"""Conversion layer by layer: the order, the bound, and that it resumes to the same bits."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

transformers = pytest.importorskip("transformers")
pytest.importorskip("jiwer")

from inattention.cli import main  # noqa: E402
from inattention.cli.convert import open_speech  # noqa: E402
from inattention.conversion.frontier import convert_in_stages  # noqa: E402
from inattention.conversion.frontier.convert import layer_dependence  # noqa: E402
from inattention.conversion.frontier.words import HeldOutWords  # noqa: E402
from inattention.conversion.trained.config import TrainedConversionConfig  # noqa: E402
from inattention.conversion.trained.convert import Speech, convert_trained  # noqa: E402
from inattention.conversion.trained.distillation import Distillation  # noqa: E402
from inattention.conversion.trained.heads import TeacherHead  # noqa: E402
from inattention.encoders.converted_attention import Conversion, Replacement  # noqa: E402
from inattention.encoders.trained import load_trained  # noqa: E402
from inattention.pretraining.stopping import RunStopped  # noqa: E402

SHORT = {
    "steps": 4, "held_out": 2, "start_windows": 1, "examples": 4, "accumulate": 1, "learning_rate": 1e-3,
    "order": "last-first", "head_report": False, "until_lines": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def speech(recordings: Path) -> Speech:
    found = open_speech(recordings, None)
    return replace(found, held_out=found.held_out + [it for it in found.train if it.text][:3])


@pytest.fixture(scope="module")
def deep_folder(whisper_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Whisper with four layers."""
    folder = tmp_path_factory.mktemp("deep")
    for path in whisper_folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = transformers.WhisperConfig.from_pretrained(whisper_folder)
    config.encoder_layers = config.num_hidden_layers = 4
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.WhisperForConditionalGeneration(config).save_pretrained(folder)
    return folder


def config(**settings: object) -> TrainedConversionConfig:
    return TrainedConversionConfig(**{**SHORT, **settings})  # ty: ignore[invalid-argument-type]


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def rates(*increases: float) -> Callable[..., dict[str, Any]]:
    """Pretend that each stage has a known increase of the word error rate."""

    def of(words: HeldOutWords, student: object, folder: Path) -> dict[str, Any]:
        rate = 0.2 + increases[int(folder.name.rpartition("-")[2]) - 1]
        sides = {"student": {"word_error_rate": rate, "loops": 0}, "teacher": {"word_error_rate": 0.2, "loops": 0}}
        return {"length": "own", "utterances": 2, "words": 10, "difference": [rate - 0.2, -0.1, 0.1], **sides}

    return of


def test_layers_are_replaced_one_after_the_other_and_each_stage_is_recorded(
    whisper_folder: Path, speech: Speech, tmp_path: Path
) -> None:
    report = convert_in_stages(str(whisper_folder), speech, tmp_path, config(), progress=False)
    one, two = report.record["stages"]
    assert (one["layers"], two["layers"], two["layer"]) == ([1], [0, 1], 0)
    assert one["steps"] == two["steps"] == 2
    assert report.record["steps"] == 4
    assert two["kept"]
    assert one["words"]["teacher"]["word_error_rate"] is not None
    assert len(two["words"]["difference"]) == 3
    assert "counts" not in one["words"]
    assert report.record["relative_error"]["after"] == two["relative_error"]["after"]
    rows = [layer["row"] for layer in load_trained(str(tmp_path)).model.config.inattention["layers"]]
    assert rows == ["toeplitz@table"] * 2
    assert not list((tmp_path / "distillation").rglob("*.pt"))
    assert not list((tmp_path / "distillation").rglob("model.safetensors"))


def test_a_stage_goes_on_from_the_one_before(whisper_folder: Path, speech: Speech, tmp_path: Path) -> None:
    both = convert_in_stages(
        str(whisper_folder), speech, tmp_path / "both", config(steps=20, lengths="30"), progress=False
    ).record["stages"]
    alone = convert_in_stages(
        str(whisper_folder), speech, tmp_path / "alone", config(steps=0, minutes=0, lengths="30"), progress=False
    ).record["stages"]
    assert both[0]["relative_error"]["start"] == pytest.approx(alone[0]["relative_error"]["start"])
    assert both[1]["relative_error"]["start"] < alone[1]["relative_error"]["start"]


def test_the_last_stage_within_the_bound_on_the_error_is_kept(
    deep_folder: Path, speech: Speech, tmp_path: Path
) -> None:
    frontier = config(minutes=0, steps=0, lengths="30", until_lines=0)
    errors = [
        it["relative_error"]["after"]
        for it in convert_in_stages(str(deep_folder), speech, tmp_path / "all", frontier, progress=False).record[
            "stages"
        ]
    ]
    assert sorted(errors) == errors
    bounded = replace(frontier, until=f"error={(errors[0] + errors[1]) / 2}")
    report = convert_in_stages(str(deep_folder), speech, tmp_path / "part", bounded, progress=False)
    assert [it["within"] for it in report.record["stages"]] == [True, False, False]  # a fourth is not tried
    assert report.record["converted_layers"] == 1
    assert report.record["relative_error"]["after"] == pytest.approx(errors[0])
    saved = load_trained(str(tmp_path / "part")).model.config.inattention["layers"]
    assert [it is not None for it in saved] == [False, False, False, True]
    assert "stage 1, layer 3" in report.summary()
    assert "1 of 4 layers have toeplitz@table attention" in report.summary()


def test_the_bound_on_words_decides_by_the_increase_over_the_teacher(
    deep_folder: Path, speech: Speech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HeldOutWords, "of", rates(0.0, 0.02, 0.01, 0.02))
    report = convert_in_stages(str(deep_folder), speech, tmp_path, config(until="wer=+0.01"), progress=False)
    assert [it["kept"] for it in report.record["stages"]] == [False, False, True, False]
    assert report.record["converted_layers"] == 3
    assert report.record["steps"] == 3
    page = (tmp_path / "conversion.html").read_text(encoding="utf-8")
    assert "Layer after layer" in page
    assert page.count(" beyond</th>") == 2


def test_no_layer_is_replaced_if_no_stage_is_within_the_bound(
    deep_folder: Path, speech: Speech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HeldOutWords, "of", rates(0.5, 0.5))
    report = convert_in_stages(str(deep_folder), speech, tmp_path, config(until="wer=+0.01"), progress=False)
    assert report.record["converted_layers"] == 0
    assert len(report.record["stages"]) == 2
    assert "no stage is within the bound" in report.summary()
    assert "No stage of the conversion was within the bound" in (tmp_path / "conversion.html").read_text("utf-8")
    mel = torch.randn(1, 80, 200, generator=torch.Generator().manual_seed(0))
    mine, teachers = (load_trained(str(it)).model.model.encoder(mel)[0] for it in (tmp_path, deep_folder))
    assert torch.allclose(mine, teachers, atol=1e-5)


def test_the_layer_whose_maps_depend_least_on_the_input_comes_first(
    deep_folder: Path, speech: Speech, tmp_path: Path
) -> None:
    settings = config(order="least-dependent", minutes=0, steps=0, until_lines=0, layers="0,2-3")
    record = convert_in_stages(str(deep_folder), speech, tmp_path, settings, progress=False).record
    found = [it["input_dependence"] for it in record["stages"]]
    assert found == sorted(found)
    assert sorted(it["layer"] for it in record["stages"]) == [0, 2, 3]


def test_the_layer_whose_replacement_alone_costs_least_comes_first(
    deep_folder: Path, speech: Speech, tmp_path: Path
) -> None:
    settings = config(order="least-error", minutes=0, steps=0, until_lines=0, layers="0,2-3")
    record = convert_in_stages(str(deep_folder), speech, tmp_path / "all", settings, progress=False).record
    layers = [it["layer"] for it in record["stages"]]
    found = [it["error_alone"] for it in record["stages"]]
    assert sorted(layers) == [0, 2, 3]
    assert found == sorted(found)
    # The error is what a conversion of that layer alone starts from.
    for layer, error in zip(layers, found, strict=True):
        alone = config(order="together", minutes=0, steps=0, layers=str(layer))
        made = convert_trained(str(deep_folder), speech, tmp_path / str(layer), alone, progress=False).record
        assert made["relative_error"]["start"] == pytest.approx(error)
    page = (tmp_path / "all" / "conversion.html").read_text(encoding="utf-8")
    assert "costs the least error" in page
    assert "Error alone" in page
    assert "Encoder output during distillation" not in page  # there was none


def test_the_dependence_of_a_layer_is_the_mean_over_the_heads_that_are_replaced() -> None:
    heads = [TeacherHead(layer, head, 0.5, 0.1 * layer + 0.2 * head, "mixed") for layer in (0, 1, 2) for head in (0, 1)]
    layers = (Replacement(row="uniform"), Replacement(row="uniform", heads=(1,)), None)
    found = layer_dependence(heads, Conversion(layers=layers, max_length=100))
    assert found == {0: pytest.approx(0.1), 1: pytest.approx(0.3)}


def test_a_stopped_conversion_resumes_in_its_stage_to_the_same_bits(
    whisper_folder: Path, speech: Speech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(to="synthesizer-dense", order="least-dependent")  # has weights that are drawn at random
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    convert_in_stages(str(whisper_folder), speech, whole, settings, progress=False)
    torch.manual_seed(5)
    step, count = Distillation._step, []

    def stopping(self: Distillation, *arguments: object) -> dict[str, float]:
        count.append(1)
        if len(count) in (1, 3):  # in the first stage, then in the second one
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, *arguments)  # ty: ignore[invalid-argument-type]

    monkeypatch.setattr(Distillation, "_step", stopping)
    for _ in range(2):
        with pytest.raises(RunStopped, match="resumes"):
            convert_in_stages(str(whisper_folder), speech, parts, settings, progress=False)
    convert_in_stages(str(whisper_folder), speech, parts, settings, progress=False)
    assert weights(whole) == weights(parts)
    one, two = (json.loads((it / "conversion.json").read_text()) for it in (whole, parts))
    assert one["relative_error"] == two["relative_error"]
    for stages in (one["stages"], two["stages"]):
        for it in stages:
            del it["seconds"]
    assert one["stages"] == two["stages"]


def test_an_encoder_without_a_decoder_has_a_bound_on_its_error_and_none_on_words(
    hubert_folder: Path, speech: Speech, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"has no decoder.*error=0\.2"):
        convert_in_stages(str(hubert_folder), speech, tmp_path / "out", config(until="wer=+0.01"), progress=False)
    assert not (tmp_path / "out").exists()
    settings = config(to="none@fresh", until="error=9", steps=2)
    record = convert_in_stages(str(hubert_folder), speech, tmp_path / "out", settings, progress=False).record
    assert record["converted_layers"] == 2
    assert record["stages"][0]["words"] is None


def test_a_bound_on_words_without_texts_is_refused_before_anything_is_written(
    whisper_folder: Path, speech: Speech, tmp_path: Path
) -> None:
    silent = replace(speech, held_out=[replace(it, text=None) for it in speech.held_out])
    with pytest.raises(ValueError, match=r"none of \d+ held-out utterances .* has a text"):
        convert_in_stages(str(whisper_folder), silent, tmp_path / "out", config(until="wer=+0.01"), progress=False)
    assert not (tmp_path / "out").exists()


def test_conversions_share_the_teachers_transcripts_in_its_cache(
    whisper_folder: Path, speech: Speech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, cache = config(steps=2), tmp_path / "cache"
    convert_in_stages(str(whisper_folder), speech, tmp_path / "one", settings, teacher_cache=cache, progress=False)
    (path,) = cache.glob("transcripts-teacher-30-*.jsonl")
    before = path.read_bytes()
    convert_in_stages(str(whisper_folder), speech, tmp_path / "two", settings, teacher_cache=cache, progress=False)
    assert path.read_bytes() == before
    assert len(before.splitlines()) == 2
    assert weights(tmp_path / "one") == weights(tmp_path / "two")


def test_stages_are_not_ignored_by_the_function_that_converts_all_layers_together(
    whisper_folder: Path, speech: Speech, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="convert_in_stages"):
        convert_trained(str(whisper_folder), speech, tmp_path, config(), progress=False)


def test_the_command_converts_in_stages_and_prints_them(
    whisper_folder: Path, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["convert", str(whisper_folder), "--recordings", str(recordings), "--out", str(tmp_path), "--device", "cpu"]
    words += ["--order", "least-dependent", "--until", "error=9", "--steps", "2", "--held-out", "1"]
    assert main([*words, "--start-windows", "1", "--until-lines", "0"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("stage 1, layer ")
    assert "stage 2, layer " in printed
    assert printed.count(", kept") == 1
