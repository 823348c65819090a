"""The transcripts in which a student differs most from its teacher, with their audio."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import soundfile
from jaxtyping import Float
from torch import Tensor

from inattention.audio.decoding import AudioError
from inattention.conversion.measure.words import WordComparison
from inattention.conversion.trained.speech import SAMPLING_RATE, Utterance

MOST = 10
LONGEST_SECONDS = 30
_BLOCK = SAMPLING_RATE  # samples at once; libsndfile's encoder fails on long blocks


def most_different(
    comparison: WordComparison, utterances: Sequence[Utterance], most: int = MOST
) -> list[dict[str, Any]]:
    """Return the utterances with the greatest number of changed words, as JSON data.

    Each has the text, both transcripts, the number of changed words, whether they loop, and the audio (Ogg Vorbis in
    base64), None if it cannot be read.

    Args:
        comparison: of transcripts at one length.
        utterances: what was transcribed.
        most: greatest number of utterances.
    """
    changed = dict(zip(comparison.changed.utterances, comparison.changed.errors, strict=True))
    ranked = sorted((it for it in comparison.transcripts if changed.get(it.utterance)), key=lambda it: it.utterance)
    ranked.sort(key=lambda it: changed[it.utterance], reverse=True)
    heard = {it.utterance: it for it in comparison.reference}
    spoken = {it.id: it for it in utterances}
    return [
        {
            "utterance": it.utterance,
            "seconds": it.seconds,
            "changed": changed[it.utterance],
            "text": spoken[it.utterance].text,
            "student": it.text,
            "student_loops": it.loop,
            "teacher": heard[it.utterance].text,
            "teacher_loops": heard[it.utterance].loop,
            "audio": _audio(spoken[it.utterance]),
        }
        for it in ranked[:most]
    ]


def _audio(utterance: Utterance) -> str | None:
    try:
        waveform = utterance.read()[: LONGEST_SECONDS * SAMPLING_RATE]
    except AudioError:
        return None
    return base64.b64encode(ogg(waveform)).decode()


def ogg(waveform: Float[Tensor, " samples"]) -> bytes:
    """Return a waveform at 16 kHz as Ogg Vorbis; samples beyond full scale are clipped."""
    samples = np.clip(waveform.numpy(), -1.0, 1.0)
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", SAMPLING_RATE, 1, format="OGG", subtype="VORBIS") as file:
        for start in range(0, len(samples), _BLOCK):
            file.write(samples[start : start + _BLOCK])
    return out.getvalue()
