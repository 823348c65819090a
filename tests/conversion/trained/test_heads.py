"""The report on the teacher's heads."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

transformers = pytest.importorskip("transformers")

from inattention.cli.convert import open_speech  # noqa: E402
from inattention.conversion.trained.config import TrainedConversionConfig  # noqa: E402
from inattention.conversion.trained.convert import Speech, convert_trained  # noqa: E402
from inattention.conversion.trained.heads import TeacherHead, _Report, describe_heads, head_report, sections  # noqa: E402
from inattention.conversion.trained.setup import Setup, plan_conversion, task_of  # noqa: E402
from inattention.conversion.trained.starts import capture, start  # noqa: E402
from inattention.conversion.trained.task import RelativeError  # noqa: E402
from inattention.encoders.attention_handles import attention_handles  # noqa: E402
from inattention.encoders.converted import converted_copy  # noqa: E402
from inattention.encoders.converted_attention import Conversion, Replacement  # noqa: E402
from inattention.encoders.trained import load_trained  # noqa: E402


@pytest.fixture(scope="module")
def speech(recordings: Path) -> Speech:
    return open_speech(recordings, None)


def setup_of(folder: Path, speech: Speech, out: Path, **settings: object) -> Setup:
    loaded, config = load_trained(str(folder)), TrainedConversionConfig(**settings)  # ty: ignore[invalid-argument-type]
    return Setup(loaded, speech, out, config, plan_conversion(loaded.model, config), False, None)


def report_of(setup: Setup) -> list[dict]:
    return head_report(setup, task_of(setup.loaded, setup.config), setup.out)


def test_the_error_of_a_head_is_that_of_a_student_with_its_mean_weights_by_offset(
    whisper_folder: Path, speech: Speech, tmp_path: Path
) -> None:
    setup = setup_of(whisper_folder, speech, tmp_path)
    task = task_of(setup.loaded, setup.config)
    reported = {(it["layer"], it["head"]): it["error_alone"] for it in report_of(setup)}
    assert len(reported) == 8
    windows, longest = _Report(setup, task).windows, setup.conversion.max_length
    teacher = setup.loaded.model
    runs = [lambda window=window: task.hidden(teacher, window, longest) for window in windows]
    (mean,) = capture(teacher, runs, layers=[1], longest=longest, dense=False).values()
    replacement = Replacement(row="toeplitz@table", heads=(2,))
    student = converted_copy(teacher, Conversion(layers=(None, replacement), max_length=longest))
    start(attention_handles(student)[1].module, attention_handles(teacher)[1].module, mean)
    error = RelativeError()
    with torch.no_grad():
        for window in windows[:2]:
            error.add(task.hidden(student, window, longest), task.hidden(teacher, window, longest))
    assert reported[1, 2] == pytest.approx(error.output, rel=1e-3)
    assert reported[1, 2] > 1e-6


def heads_after(to: str, whisper_folder: Path, speech: Speech, out: Path) -> list[TeacherHead]:
    """Return the heads of the tiny Whisper with another mechanism in its first layer."""
    settings = TrainedConversionConfig(to=to, layers="0", minutes=0, held_out=1, start_windows=1, head_report=False)
    convert_trained(str(whisper_folder), speech, out / "model", settings, progress=False)
    setup = setup_of(out / "model", speech, out)
    return describe_heads(setup, task_of(setup.loaded, setup.config), out)


def test_fixed_maps_do_not_depend_on_the_input(whisper_folder: Path, speech: Speech, tmp_path: Path) -> None:
    heads = heads_after("toeplitz@table", whisper_folder, speech, tmp_path)
    assert max(it.input_dependence for it in heads[:4]) < 1e-6
    assert min(it.input_dependence for it in heads[4:]) > 0.01


def test_local_heads_are_diagonal_and_all_of_their_weight_is_near(
    whisper_folder: Path, speech: Speech, tmp_path: Path
) -> None:
    heads = heads_after("local", whisper_folder, speech, tmp_path)
    assert {it.category for it in heads[:4]} == {"diagonal"}
    assert min(it.near_mass for it in heads[:4]) > 0.999
    assert max(it.near_mass for it in heads[4:]) < 0.999


def test_weights_within_64_frames_are_counted(whisper_folder: Path, speech: Speech, tmp_path: Path) -> None:
    frames = np.arange(100)
    expected = (np.abs(frames[:, None] - frames) <= 64).mean()
    heads = heads_after("uniform", whisper_folder, speech, tmp_path)[:4]
    assert [it.near_mass for it in heads] == pytest.approx([expected] * 4)
    assert {it.category for it in heads} == {"mixed"}


def test_categories_are_those_of_sections_whose_rows_sum_to_one() -> None:
    found = sections(np.tile(np.eye(1000), (2, 1, 1)))
    assert found.shape == (2, 8, 128, 128)
    assert np.allclose(found, np.eye(128), atol=1e-6)
    assert np.allclose(sections(np.full((1, 50, 50), 0.02)), 1 / 50)
    assert sections(np.full((1, 50, 50), 0.02)).shape == (1, 1, 50, 50)


def test_the_report_is_made_once_for_conversions_that_share_a_cache_and_not_at_all_if_it_is_not_wanted(
    whisper_folder: Path, speech: Speech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = setup_of(whisper_folder, speech, tmp_path)
    first = report_of(setup)
    monkeypatch.setattr(_Report, "__post_init__", lambda self: pytest.fail("computed again"))
    assert report_of(setup) == first
    assert report_of(setup_of(whisper_folder, speech, tmp_path / "other", head_report=False)) == []


def test_an_encoder_of_waveforms_has_a_report_on_its_page(
    hubert_folder: Path, speech: Speech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inattention.conversion.trained.heads._WAVEFORM_SECONDS", 1.0)
    settings = TrainedConversionConfig(to="none@fresh", steps=1, examples=1, accumulate=1, held_out=1, start_windows=1)
    convert_trained(str(hubert_folder), speech, tmp_path, settings, progress=False)
    heads = json.loads((tmp_path / "conversion.json").read_text())["heads"]
    assert [(it["layer"], it["head"]) for it in heads] == [(layer, head) for layer in range(2) for head in range(4)]
    assert all(0 <= it["input_dependence"] <= 1 and it["error_alone"] > 0 for it in heads)
    page = (tmp_path / "conversion.html").read_text(encoding="utf-8")
    assert "Heads of the original encoder" in page
    assert '<th scope="row">1.3</th>' in page


def test_mechanisms_without_maps_are_left_out(whisper_folder: Path, speech: Speech, tmp_path: Path) -> None:
    assert [it.layer for it in heads_after("summary-mixing", whisper_folder, speech, tmp_path)] == [1] * 4
    assert [it["layer"] for it in report_of(setup_of(tmp_path / "model", speech, tmp_path))] == [1] * 4
