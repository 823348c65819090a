"""`Whisper`: speech to text with an exported encoder and CTranslate2's decoder, without PyTorch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inattention_runtime.encoder import Encoder
from inattention_runtime.metadata import ModelFileError
from inattention_runtime.reader import Truncated

DECODER = ".decoder"  # ends the name of the folder beside an encoder: whisper.onnx, whisper.decoder
_TOKENS_PER_SECOND, _MORE_TOKENS = 7, 10  # a transcript that is longer repeats itself
_MOST_TOKENS = 224  # of a window: half of a decoder's positions


@dataclass(frozen=True)
class Transcript:
    """Text of a recording.

    Attributes:
        text: the whole text.
        windows: start and end in seconds, and text, of each window of at most 30 s.
    """

    text: str
    windows: tuple[tuple[float, float, str], ...]


class Whisper:
    """A Whisper whose encoder runs in ONNX Runtime and whose decoder in CTranslate2.

    Args:
        encoder: the ``.onnx`` file of a Whisper encoder, converted or not.
        decoder: folder of its decoder; by default the one that ``inattention export --decoder`` wrote beside it.
        threads: number of threads of each; by default one for each core.
        whole_window: as for `Encoder`.

    Raises:
        ModelFileError: if one of them cannot be used, or they do not belong together.
    """

    def __init__(
        self,
        encoder: str | Path,
        decoder: str | Path | None = None,
        *,
        threads: int | None = None,
        whole_window: bool | None = None,
    ) -> None:
        self.encoder = Encoder(encoder, threads=threads, whole_window=whole_window)
        if self.encoder.features["kind"] != "whisper":
            raise ModelFileError(f"{encoder}: is no encoder of Whisper")
        self.encoder.output_of(-1)
        folder = self.folder = Path(encoder).with_suffix(DECODER) if decoder is None else Path(decoder)
        for name in ("model.bin", "config.json", "tokenizer.json"):
            if not (folder / name).is_file():
                raise ModelFileError(f"{folder}: holds no {name}; `inattention export --decoder` writes it")
        ctranslate2, tokenizers = _libraries()
        try:
            self._decoder = ctranslate2.models.Whisper(str(folder), device="cpu", intra_threads=threads or 0)
            self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # of types that differ from version to version
            raise ModelFileError(f"{folder}: cannot be loaded ({' '.join(str(error).split())[:200]})") from error
        self._view = ctranslate2.StorageView

    def transcribe(
        self,
        audio: str | Path | np.ndarray,
        *,
        language: str = "en",
        beam_size: int = 1,
        sampling_rate: int | None = None,
        truncated: Truncated = "skip",
    ) -> Transcript:
        """Transcribe a recording, in windows of at most 30 s.

        Args:
            audio: a file, or one channel of samples.
            language: code of the language; that of an English model is English.
            beam_size: number of beams; 1 is greedy decoding.
            sampling_rate: Hz of the samples; required for samples, and for them alone.
            truncated: as for `Encoder.extract`.

        Raises:
            AudioError: if the audio cannot be used.
            ModelFileError: if encoder and decoder do not belong together.
            ValueError: for an unknown language, or no beams.
        """
        if beam_size < 1:
            raise ValueError(f"beam_size must be at least 1, not {beam_size}")
        prompt = self._prompt(language)
        windows, start = [], 0.0
        for states, seconds in self.encoder.windows(audio, sampling_rate=sampling_rate, truncated=truncated):
            most = min(_MOST_TOKENS, int(_TOKENS_PER_SECOND * seconds + _MORE_TOKENS))
            text = self._decoded(states, prompt, beam_size, most)
            windows.append((start, start + seconds, text))
            start += seconds
        return Transcript(" ".join(text for _, _, text in windows if text), tuple(windows))

    def _decoded(self, states: np.ndarray, prompt: list[int], beam_size: int, most: int) -> str:
        """Return the text of one window, of at most so many tokens.

        Raises:
            ModelFileError: if the decoder does not take what the encoder returns.
        """
        try:
            view = self._view.from_array(np.ascontiguousarray(states[None]))
            # CTranslate2 generates half of `max_length`: the other half is for a text before it.
            (result,) = self._decoder.generate(view, [prompt], beam_size=beam_size, max_length=2 * most)
        except Exception as error:  # of types that differ from version to version
            reason = " ".join(str(error).split())[:200]
            raise ModelFileError(
                f"{self.folder}: cannot decode what {self.encoder.path} returns ({reason}); do they belong together?"
            ) from error
        return self._tokenizer.decode(result.sequences_ids[0]).strip()

    def _prompt(self, language: str) -> list[int]:
        """Return the tokens that a transcript without timestamps begins with."""
        names = ["<|startoftranscript|>", "<|notimestamps|>"]
        if self._decoder.is_multilingual:
            names[1:1] = [f"<|{language}|>", "<|transcribe|>"]
        elif language != "en":
            raise ValueError(f"this Whisper transcribes English alone, not {language!r}")
        ids = [self._tokenizer.token_to_id(name) for name in names]
        if None in ids:
            raise ValueError(f"this Whisper has no token {names[ids.index(None)]}, so it does not know {language!r}")
        return ids


def _libraries() -> tuple[Any, Any]:
    try:
        import ctranslate2
        import tokenizers
    except ImportError as error:
        raise ModelFileError(
            f"{error.name} is needed to transcribe: pip install 'inattention-runtime[transcribe]'"
        ) from error
    return ctranslate2, tokenizers
