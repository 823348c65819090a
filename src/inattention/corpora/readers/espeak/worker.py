"""The process that speaks and writes audio files.

Each job is a voice with its sentences; they are spoken in order until the voice's share of seconds is filled as closely
as whole utterances allow.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from jaxtyping import Float, Int16

from inattention.audio.decoding import resample_array
from inattention.corpora.core.phones import SILENCE, STOPS, UnknownPhoneError, phone_of_espeak
from inattention.corpora.espeak_library import EspeakError, Speech
from inattention.corpora.readers.espeak.engine import EspeakEngine
from inattention.corpora.readers.espeak.jobs import Segment, SpeakJob, SpokenVoice, Utterance
from inattention.corpora.workers.serving import serve

_PAUSE_SECONDS = (0.1, 0.3)  # before and after each utterance
_SHORTEST_CLOSURE_SECONDS = 0.005
_CLOSURE_LEVEL = 0.01  # of the utterance's peak


def main() -> None:
    """Answer jobs until there are no more."""
    serve(answer, (EspeakError, OSError, soundfile.SoundFileError))


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Speak a voice's sentences; see `SpeakJob` and `SpokenVoice`."""
    return speak_job(_engine(), SpeakJob(**job)).to_json()


@cache
def _engine() -> EspeakEngine:
    return EspeakEngine()


def speak_job(engine: EspeakEngine, job: SpeakJob) -> SpokenVoice:
    """Speak a voice's sentences and write their audio."""
    folder = Path(job.audio)
    folder.mkdir(parents=True, exist_ok=True)
    rate = job.sampling_rate
    utterances: list[Utterance] = []
    bad: list[tuple[str, str]] = []
    seconds = 0.0
    for number, text in enumerate(job.texts):
        name = f"{job.prefix}-{number:05d}"
        try:
            samples, phones = speak_utterance(engine, job, name, text)
        except (EspeakError, UnknownPhoneError) as error:
            bad.append((name, f"{error} (text: {text!r})"))
            continue
        # An utterance is added as long as that brings the voice nearer to its share: shares are met on average.
        if len(utterances) >= job.at_least and seconds + len(samples) / rate / 2 > job.seconds:
            break
        soundfile.write(folder / f"{name}.flac", samples, rate, subtype="PCM_16")
        utterances.append(Utterance(name, text, len(samples), tuple(phones)))
        seconds += len(samples) / rate
    return SpokenVoice(tuple(utterances), tuple(bad))


def speak_utterance(
    engine: EspeakEngine, job: SpeakJob, name: str, text: str
) -> tuple[Int16[np.ndarray, "samples"], list[Segment]]:
    """Return an utterance's samples, with a pause at both ends, and its phones without gaps.

    Raises:
        EspeakError: eSpeak could not speak it.
        UnknownPhoneError: It contains a phoneme that is not in the inventory.
    """
    # Seeded by name, so that an utterance does not depend on any other.
    seed = hashlib.sha256(f"{job.seed} {name}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(seed[:16], "little"))
    tempo, pitch = generator.uniform(-1, 1, 2)
    pauses = generator.uniform(*_PAUSE_SECONDS, 2)
    speech = engine.speak(
        text,
        voice=job.voice,
        rate=round(job.words_per_minute * (1 + job.rate_spread * tempo)),
        pitch=round(50 + job.pitch_spread * pitch),
    )
    if all(phone_of_espeak(mnemonic) == SILENCE for mnemonic, _ in speech.events):
        raise EspeakError("eSpeak said nothing")
    wave = np.frombuffer(speech.pcm, np.int16).astype(np.float64) / 32768
    rate = job.sampling_rate
    before, after = (round(pause * rate) for pause in pauses)
    resampled = np.pad(resample_array(wave, engine.sampling_rate, rate), (before, after))
    noise = generator.standard_normal(len(resampled)) * 10 ** (job.noise_dbfs / 20)
    samples = np.round(np.clip(resampled + noise, -1, 1) * 32767).astype(np.int16)
    scale = rate / engine.sampling_rate
    spoken = [
        (phone, before + round(first * scale), before + round(end * scale))
        for phone, first, end in label(speech, wave, engine.sampling_rate)
    ]
    return samples, _merged([(SILENCE, 0, before), *spoken, (SILENCE, spoken[-1][2], len(samples))])


def label(speech: Speech, wave: Float[np.ndarray, "samples"], rate: int) -> list[Segment]:
    """Return the phones of what eSpeak spoke, each with its first sample and its end, without gaps.

    eSpeak reports a stop at its burst and counts the closure to the phone before. The closure is part of the stop:
    where a stop follows another phone and the signal is silent just before, the stop starts with that silence.

    Raises:
        UnknownPhoneError: A phoneme is not in the inventory.
    """
    phones = [phone_of_espeak(mnemonic) for mnemonic, _ in speech.events]
    ends = [first for _, first in speech.events[1:]] + [len(wave)]
    segments = [(SILENCE, 0, speech.events[0][1])]
    quiet = np.abs(wave) <= _CLOSURE_LEVEL * np.abs(wave).max()
    for phone, (_, first), end in zip(phones, speech.events, ends, strict=True):
        before, before_first, _ = segments[-1]
        if phone in STOPS and before != SILENCE:
            sounding = np.flatnonzero(~quiet[before_first:first])
            closure = before_first + int(sounding[-1]) + 1 if len(sounding) else first
            if first - closure >= _SHORTEST_CLOSURE_SECONDS * rate:
                segments[-1] = (before, before_first, closure)
                first = closure
        segments.append((phone, first, end))
    return segments


def _merged(segments: list[Segment]) -> list[Segment]:
    """Drop empty segments and merge adjacent silences."""
    merged: list[Segment] = []
    for phone, first, end in segments:
        if end == first:
            continue
        if merged and phone == SILENCE == merged[-1][0]:
            merged[-1] = (SILENCE, merged[-1][1], end)
        else:
            merged.append((phone, first, end))
    return merged


if __name__ == "__main__":
    main()
