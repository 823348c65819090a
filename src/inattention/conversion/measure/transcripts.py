"""Transcripts of utterances, decoded one by one and kept on disk as they come."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from inattention.audio.decoding import AudioError
from inattention.conversion.trained.speech import SAMPLING_RATE, Utterance
from inattention.conversion.trained.whisper import FRAMES_PER_SECOND, decoder_prompt, encode, generate
from inattention.encoders.trained import TrainedModel
from inattention.encoders.whisper_states import SILENCE_FRAMES
from inattention.progress import bar as progress_bar

Length = Literal["own", "30"]
Encode = Callable[[Float[Tensor, "1 mels frames"]], Float[Tensor, "1 time width"]]
DECODING = (
    "greedy, utterance by utterance, without timestamps, at most 7 tokens per second of speech and 10 more; a "
    "transcript that has not ended by then is counted as a loop"
)


@dataclass(frozen=True)
class Transcript:
    """Transcript of an utterance by one model.

    Attributes:
        utterance: id.
        text: the transcript, not normalised.
        loop: the decoder did not end before 7 tokens per second of speech and 10 more: it repeated itself.
        seconds: duration of the utterance.
    """

    utterance: str
    text: str
    loop: bool
    seconds: float


@torch.inference_mode()
def transcribe(
    loaded: TrainedModel, waveform: Tensor, length: Length, language: str = "en", encoder: Encode | None = None
) -> tuple[str, bool]:
    """Transcribe one utterance by greedy decoding without timestamps.

    Args:
        loaded: a Whisper model, converted or not.
        waveform: at 16 kHz, at most 30 s.
        length: ``own``: the encoder hears the speech and half a second of silence; ``30``: 30 s.
        language: language of the speech.
        encoder: returns the last hidden state of a spectrum, in place of the model's own encoder.

    Returns:
        The text, and whether the decoder failed to end.
    """
    model: Any = loaded.model
    mel = loaded.extractor(waveform.numpy(), sampling_rate=SAMPLING_RATE, return_tensors="pt").input_features
    seconds = len(waveform) / SAMPLING_RATE
    frames = int(np.ceil(seconds * FRAMES_PER_SECOND)) + SILENCE_FRAMES
    if length == "own":
        mel = mel[:, :, : 2 * frames]
    hidden = encode(model, mel.to(model.device))[-1:] if encoder is None else encoder(mel).to(model.device)
    end = loaded.tokenizer.eos_token_id
    tokens, ended = generate(model, hidden, decoder_prompt(model, loaded.tokenizer, language), end, seconds)
    return loaded.tokenizer.decode(tokens).strip(), not ended


def transcripts(
    loaded: TrainedModel,
    utterances: Sequence[Utterance],
    length: Length,
    path: Path,
    *,
    title: str,
    language: str = "en",
    encoder: Encode | None = None,
    progress: bool = True,
) -> list[Transcript]:
    """Return the transcripts of utterances; those that the file holds are not made again.

    Args:
        loaded: a Whisper model.
        utterances: what to transcribe; an utterance that cannot be read is left out.
        length: what the encoder hears, see `transcribe`.
        path: file of one JSON object per line.
        title: description of the progress bar.
        language: language of the speech.
        encoder: as for `transcribe`.
        progress: show a progress bar.
    """
    known = {it.utterance: it for it in _read(path)}
    found: list[Transcript] = []
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        for utterance in progress_bar(utterances, desc=title, unit="utterance", show=progress):
            if utterance.id not in known:
                try:
                    waveform = utterance.read()[: 30 * SAMPLING_RATE]
                except AudioError:
                    continue
                text, loop = transcribe(loaded, waveform, length, language, encoder)
                known[utterance.id] = Transcript(utterance.id, text, loop, len(waveform) / SAMPLING_RATE)
                file.write(json.dumps(asdict(known[utterance.id])) + "\n")
                file.flush()
            found.append(known[utterance.id])
    return found


def _read(path: Path) -> Iterable[Transcript]:
    """Return the transcripts of a file; the last line may have been cut off."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield Transcript(**json.loads(line))
        except (ValueError, TypeError):
            continue
