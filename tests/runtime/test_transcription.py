"""`Whisper`: the decoder gets the encoder's output window by window, and the prompt of its kind of model."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from inattention_runtime import AudioError, ModelFileError, Whisper, transcription
from inattention_runtime.cli import main
from made_onnx import made_onnx, made_whisper

TOKENS = ("<|startoftranscript|>", "<|en|>", "<|de|>", "<|transcribe|>", "<|notimestamps|>")


class Decoder:
    """A decoder that writes down what it gets, and says how many frames that were."""

    calls: list[tuple[np.ndarray, list[int], dict[str, Any]]]
    is_multilingual = True

    def __init__(self, folder: str, **options: Any) -> None:
        self.calls = []

    def generate(self, states: np.ndarray, prompts: list[list[int]], **options: Any) -> list[Any]:
        self.calls.append((states, prompts[0], options))
        return [SimpleNamespace(sequences_ids=[[states.shape[1]]])]


class Tokenizer:
    """A tokenizer of `TOKENS`, whose text of a number is the number."""

    @classmethod
    def from_file(cls, path: str) -> "Tokenizer":
        return cls()

    def decode(self, ids: list[int]) -> str:
        return f" {ids[0]}"

    def token_to_id(self, token: str) -> int | None:
        return TOKENS.index(token) if token in TOKENS else None


@pytest.fixture(autouse=True)
def libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    view = SimpleNamespace(from_array=lambda array: array)
    ctranslate2 = SimpleNamespace(models=SimpleNamespace(Whisper=Decoder), StorageView=view)
    monkeypatch.setattr(transcription, "_libraries", lambda: (ctranslate2, SimpleNamespace(Tokenizer=Tokenizer)))


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    (tmp_path / "w.decoder").mkdir()
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (tmp_path / "w.decoder" / name).write_text("{}")
    return made_whisper(tmp_path / "w.onnx")


def noise(seconds: float) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(round(16_000 * seconds))).astype(np.float32)


def test_the_decoder_gets_speech_and_half_a_second_of_silence(encoder: Path) -> None:
    whisper = Whisper(encoder, threads=1)
    found = whisper.transcribe(noise(0.5), sampling_rate=16_000)
    assert (found.text, found.windows) == ("50", ((0.0, 0.5, "50"),))
    states, prompt, options = whisper._decoder.calls[0]
    assert states.shape == (1, 50, 8)
    assert prompt == [0, 1, 3, 4]
    assert options == {"beam_size": 1, "max_length": 2 * 13}  # of which CTranslate2 generates half


def test_long_recordings_are_windowed_and_a_whole_window_is_padded(encoder: Path) -> None:
    assert Whisper(encoder).transcribe(noise(4.2), sampling_rate=16_000).text == "100 100 35"
    found = Whisper(encoder, whole_window=True).transcribe(noise(4.2), sampling_rate=16_000)
    assert found.text == "100 100 100"
    assert [(start, round(end, 6)) for start, end, _ in found.windows] == [(0, 2), (2, 4), (4, 4.2)]


def test_the_prompt_is_that_of_the_language(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whisper = Whisper(encoder)
    whisper.transcribe(noise(1), language="de", sampling_rate=16_000)
    assert whisper._decoder.calls[0][1] == [0, 2, 3, 4]
    with pytest.raises(ValueError, match="does not know 'xx'"):
        whisper.transcribe(noise(1), language="xx", sampling_rate=16_000)
    monkeypatch.setattr(Decoder, "is_multilingual", False)
    whisper.transcribe(noise(1), sampling_rate=16_000)
    assert whisper._decoder.calls[1][1] == [0, 4]
    with pytest.raises(ValueError, match="English alone"):
        whisper.transcribe(noise(1), language="de", sampling_rate=16_000)


def test_what_cannot_be_used_is_named(encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="is silent"):
        Whisper(encoder).transcribe(0 * noise(1), sampling_rate=16_000)
    with pytest.raises(ModelFileError, match="is no encoder of Whisper"):
        Whisper(made_onnx(tmp_path / "made.onnx"))
    (tmp_path / "w.decoder/model.bin").unlink()
    with pytest.raises(ModelFileError, match=r"w\.decoder: holds no model\.bin"):
        Whisper(encoder)


def test_the_command_prints_texts_and_counts_bad_files(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "a.wav", noise(0.5), 16_000)
    assert main(["transcribe", str(encoder), str(tmp_path / "a.wav")]) == 0
    assert capsys.readouterr().out == "50\n"
    assert main(["transcribe", str(encoder), str(tmp_path / "a.wav"), str(tmp_path / "b.wav")]) == 1
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'a.wav'}\t50\n"
    assert "b.wav: there is no such file" in err
