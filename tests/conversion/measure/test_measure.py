"""Measurement of a converted encoder against its teacher."""

import base64
import io
import json
import shutil
from pathlib import Path

import pytest
import soundfile
import torch

transformers = pytest.importorskip("transformers")
pytest.importorskip("jiwer")

from inattention import cli  # noqa: E402
from inattention.conversion.measure.config import MeasureConfig  # noqa: E402
from inattention.conversion.measure.differing import most_different  # noqa: E402
from inattention.conversion.measure.features import feature_source  # noqa: E402
from inattention.conversion.measure.probes import encoder_probes  # noqa: E402
from inattention.conversion.measure.run import measure  # noqa: E402
from inattention.conversion.measure.transcripts import Transcript  # noqa: E402
from inattention.conversion.measure.word_errors import rate_difference, word_errors  # noqa: E402
from inattention.conversion.measure.words import compare_words  # noqa: E402
from inattention.conversion.trained.speech import Utterance, folder_utterances  # noqa: E402
from inattention.conversion.trained.whisper import encode  # noqa: E402
from inattention.encoders.base import FeatureSource  # noqa: E402
from inattention.encoders.trained import load_trained  # noqa: E402
from toy_corpus import utterances as toy_utterances  # noqa: E402
from toy_corpus import write_corpus  # noqa: E402


def heard(*texts: str) -> list[Transcript]:
    return [Transcript(str(number), text, False, 1.0) for number, text in enumerate(texts)]


TEXTS = {"0": "The colour isn't grey.", "1": "Five men", "2": "", "3": "yes"}


def test_word_errors_are_counted_after_whispers_normaliser() -> None:
    found = word_errors(heard("the colour is not grey", "5 men went", "noise", "yes"), TEXTS)
    assert found.utterances == ("0", "1", "3")
    assert found.errors == (0, 1, 0)
    assert found.words == (5, 2, 1)
    assert found.rate == pytest.approx(1 / 8)


def test_the_difference_of_rates_has_the_sign_of_errors_and_counts_insertions() -> None:
    good = word_errors(heard("the colour is not grey", "5 men", "", "yes"), TEXTS)
    bad = word_errors(heard("the colour is not grey", "5 men", "", "yes yes yes yes"), TEXTS)
    found = rate_difference(bad, good)
    assert found is not None
    assert found.estimate == pytest.approx(3 / 8)


def test_a_model_measured_against_itself_changes_no_word_and_no_hidden_state(
    whisper_folder: Path, recordings: Path, tmp_path: Path
) -> None:
    utterances = folder_utterances(recordings, "train")[:6]
    config = MeasureConfig(lengths="30", examples=2, rounds=1)
    found = measure(str(whisper_folder), str(whisper_folder), utterances, tmp_path, config, progress=False)
    (words,) = found.words
    assert words.words_changed == 0
    assert words.difference is not None
    assert words.difference.estimate == 0
    assert max(found.relative_error) < 1e-4
    assert {(it.model, it.speech_seconds) for it in found.times} >= {("student", 2), ("teacher", 2)}
    saved = json.loads((tmp_path / "measurements.json").read_text())
    assert saved["words"][0]["utterances"] == len(words.student.utterances)


def test_transcripts_are_not_made_twice(
    whisper_folder: Path, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    utterances = folder_utterances(recordings, "train")[:4]
    config = MeasureConfig(lengths="own", examples=1, rounds=0)
    arguments = (str(whisper_folder), str(whisper_folder), utterances, tmp_path, config)
    first = measure(*arguments, progress=False)
    from inattention.conversion.measure import transcripts

    monkeypatch.setattr(transcripts, "transcribe", lambda *_: pytest.fail("transcribed again"))
    assert measure(*arguments, progress=False).words[0].student == first.words[0].student


def test_without_loops_both_models_are_compared_on_the_utterances_in_which_neither_looped() -> None:
    looping = [Transcript("0", "the the the the", True, 1.0), *heard("", "five men", "", "no")[1:]]
    found = compare_words("own", looping, heard("the colour is not grey", "5 men", "", "yes"), TEXTS)
    kept = found.without_loops
    assert found.loops == {"student": 1, "teacher": 0}
    assert kept.student.utterances == kept.teacher.utterances == ("1", "3")
    assert (kept.student.rate, kept.teacher.rate) == (pytest.approx(1 / 3), 0)
    assert "without loops: 0.333, teacher 0.000" in found.summary()


def test_without_texts_only_the_difference_from_the_teacher_is_counted() -> None:
    found = compare_words("30", heard("red hats"), heard("red caps"), {})
    assert found.difference is None
    assert found.words_changed == pytest.approx(0.5)
    assert found.to_dict()["student"]["word_error_rate"] is None
    assert "word error rate" not in found.summary()
    assert "differ from the teacher's transcripts at 30 s: 0.500" in found.summary()


def test_the_transcripts_that_differ_most_come_first_with_audio_that_decodes() -> None:
    wave = 0.1 * torch.sin(torch.arange(32_000) / 20)
    spoken = [Utterance(str(number), lambda: wave) for number in range(4)]
    found = compare_words("own", heard("a b", "a", "x y z", "a"), heard("a b", "b", "a b c", "a"), {})
    one, two = most_different(found, spoken)
    assert (one["utterance"], one["changed"], two["utterance"]) == ("2", 3, "1")
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(one["audio"])))
    assert rate == 16_000
    assert len(samples) == pytest.approx(len(wave), abs=2000)


@pytest.mark.parametrize("family", ["whisper_folder", "hubert_folder"])
def test_hidden_states_of_trained_encoders_are_features_with_times(family: str, request: pytest.FixtureRequest) -> None:
    loaded = load_trained(str(request.getfixturevalue(family)))
    source = feature_source(loaded, "teacher", own_length=False)
    assert isinstance(source, FeatureSource)
    (states,) = source.features([torch.randn(16_000)], all_layers=True)
    assert states.shape[1:] == (source.layers + 1, source.width)
    assert len(states) == pytest.approx(1 / source.step_seconds, abs=2)


def test_at_its_own_length_a_whisper_hears_half_a_second_of_silence_behind_the_speech(whisper_folder: Path) -> None:
    loaded = load_trained(str(whisper_folder))
    source = feature_source(loaded, "student", own_length=True)
    waveform = 0.1 * torch.randn(8000, generator=torch.Generator().manual_seed(0))
    mel = loaded.extractor(waveform.numpy(), sampling_rate=16_000, return_tensors="pt").input_features
    (states,) = source.features([waveform])
    with torch.no_grad():
        assert torch.allclose(states, encode(loaded.model, mel[:, :, : 2 * (25 + 25)])[-1, :25], atol=1e-5)
    assert len(source.features([0.1 * torch.randn(32_000)])[0]) == 100  # as long as the encoder hears


def test_utterances_of_other_speech_with_the_same_names_are_transcribed_again(
    whisper_folder: Path, recordings: Path, tmp_path: Path
) -> None:
    one, other = folder_utterances(recordings, "train")[:2]
    renamed = Utterance(one.id, other.read)
    config = MeasureConfig(lengths="own", examples=1, rounds=0)
    seconds = [
        measure(
            str(whisper_folder), str(whisper_folder), [it], tmp_path, config, speech={"key": key}, progress=False
        ).words[0].transcripts[0].seconds
        for it, key in ((one, "a"), (renamed, "b"))
    ]  # fmt: skip
    assert seconds == [len(one.read()) / 16_000, len(other.read()) / 16_000]


@pytest.mark.slow
def test_probes_compare_each_layer_of_both_encoders(whisper_folder: Path, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "toy", toy_utterances(train=4, dev=2, test=2))
    loaded = load_trained(str(whisper_folder))
    found = encoder_probes(loaded, loaded, corpus, MeasureConfig(lengths="30"), progress=False)
    assert [(it.task, it.layer) for it in found] == [
        ("speaker-utterance", 0), ("speaker-utterance", 1), ("phone-1-hidden", 0), ("phone-1-hidden", 1),
    ]  # fmt: skip
    for it in found:
        assert it.student == it.teacher
        assert it.difference is not None
        assert it.difference.estimate == 0
    json.dumps([it.to_dict() for it in found])


@pytest.mark.slow
def test_the_commands_convert_and_measure_recordings_without_texts_into_one_page(
    whisper_folder: Path, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    speech, out = tmp_path / "speech", tmp_path / "out"
    shutil.copytree(recordings, speech, ignore=shutil.ignore_patterns("*.txt"))
    words = ["convert", str(whisper_folder), "--recordings", str(speech), "--out", str(out), "--steps", "1"]
    assert cli.main([*words, "--held-out", "1", "--start-windows", "1", "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "on 1 held-out example" in printed
    assert f"inattention measure {out} --against {whisper_folder}" in printed
    words = ["measure", str(out), "--against", str(whisper_folder), "--recordings", str(speech), "--rounds", "1"]
    assert cli.main([*words, "--examples", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    # One of 25 recordings was held out, and only that one is measured.
    assert found["speech"]["utterances"] == 1
    assert found["words"][0]["student"]["word_error_rate"] is None
    assert "greedy" in found["decoding"]
    assert "Not measured yet" not in (out / "conversion.html").read_text(encoding="utf-8")
    assert cli.main([*words, "--examples", "1", "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_a_model_that_is_no_folder_needs_an_output_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["measure", "owner/model", "--against", "owner/teacher", "--corpus", "none"]) == 2
    assert "--out FOLDER" in capsys.readouterr().err
