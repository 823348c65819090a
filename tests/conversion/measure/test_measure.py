"""Measurement of a converted encoder against its teacher."""

import json
from pathlib import Path

import pytest

transformers = pytest.importorskip("transformers")
pytest.importorskip("jiwer")

from inattention.conversion.measure.config import MeasureConfig  # noqa: E402
from inattention.conversion.measure.run import measure  # noqa: E402
from inattention.conversion.measure.transcripts import Transcript  # noqa: E402
from inattention.conversion.measure.word_errors import rate_difference, word_errors  # noqa: E402
from inattention.conversion.trained.speech import folder_utterances  # noqa: E402


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
