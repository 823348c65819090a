"""Forced alignment: when each phone of a known text is spoken, by pocketsphinx (extra `align`).

    align(waveform, text) -> Aligned | Refused

Two passes over the speech: words first, with optional pauses and noises between them, then the phones of each word
within its time. Speech is padded, scaled to one loudness, and mixed with faint noise: without a noise floor, speech
with a narrow band or digital silence is far from what the acoustic model was trained on. An attempt that fails is
repeated with another noise floor and wider beams.

A rule (`inattention.corpora.labels.acceptance.RULE`) decides which results are accepted. Its bounds were measured on
speech with known phone times and on texts that do not match: see `benchmarks/alignment_accuracy.py`.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float

from inattention.corpora.core.phones import ENGLISH_PHONES, SILENCE, UnknownPhoneError
from inattention.corpora.labels.acceptance import RULE, Facts, Rule
from inattention.corpora.labels.alignment_jobs import (
    Aligned,
    AlignmentResult,
    PhoneInterval,
    Refused,
    require_pocketsphinx,
)
from inattention.corpora.labels.pronunciation import EspeakPronouncer, spellings
from inattention.corpora.labels.spoken_words import words_of

SAMPLING_RATE = 16_000
FRAME_SECONDS = 0.01
# Frame k of the acoustic model is a window of 25.6 ms from k * 10 ms on, so it represents the time around its centre:
# the border between frames k - 1 and k lies half a frame before the centre of frame k.
BORDER_SECONDS = 0.0256 / 2 - FRAME_SECONDS / 2
_PADDING_SECONDS = 0.2
_LOUDNESS = 0.05  # root mean square of the speech that is decoded
_LOUD = 0.01  # power relative to the loudest frames: 20 dB below
_SHORTEST_FRAMES = 3  # a phone's three states, a frame each
_FILLERS = frozenset(("SIL", "+NSN+", "+SPN+"))
_SCORE = 1024 * math.log(1.0001)  # natural logarithm of a step of pocketsphinx's acoustic scores
_BEAMS = {"beam": -48, "pbeam": -48, "wbeam": -28, "lpbeam": -40, "lponlybeam": -28}  # about pocketsphinx's own


@dataclass(frozen=True)
class Attempt:
    """Settings of an attempt.

    Attributes:
        noise_floor: Level of the noise, relative to full scale.
        wider: How much wider the beams are, in powers of ten.
    """

    noise_floor: float
    wider: int


ATTEMPTS = (Attempt(1e-3, 0), Attempt(3e-3, 60), Attempt(3e-4, 60))

_Entry = tuple[str, int, int, int]  # a phone's name in pocketsphinx, its first frame, its frames, its score


def align(waveform: Float[np.ndarray, " samples"], text: str) -> AlignmentResult:
    """Find the phones of a text in speech.

    Args:
        waveform: One channel at `SAMPLING_RATE`, from -1 to 1.
        text: What is spoken there, as written.

    Returns:
        The phones over the whole waveform, or the reason why no alignment was accepted.

    Raises:
        CorpusError: pocketsphinx is not installed.
    """
    return _aligner().align(waveform, text)


@cache
def _aligner() -> "Aligner":
    return Aligner()


class Aligner:
    """An aligner with loaded models; loading takes about a second. Not thread-safe.

    Args:
        rule: Which alignments are accepted.
        attempts: Settings of each attempt, in order.

    Raises:
        CorpusError: pocketsphinx is not installed.
    """

    def __init__(self, rule: Rule = RULE, attempts: Sequence[Attempt] = ATTEMPTS) -> None:
        self._rule = rule
        self._attempts = attempts
        self._learned: dict[str, str] = {}
        self._finders: dict[int, Any] = {}
        # Only here are scores relative to the likeliest of all the model's states, and not of the active ones alone:
        # that takes three times as long.
        self._scorer = _decoder(compallsen=True)
        self._pronouncer = EspeakPronouncer()

    def align(self, waveform: Float[np.ndarray, " samples"], text: str) -> AlignmentResult:
        """Find the phones of a text in speech; see the function `align`."""
        try:
            words = [word for word in map(self._pronounceable, words_of(text)) if word]
        except UnknownPhoneError as error:
            return Refused(str(error))
        if not words:
            return Refused("its text holds no words")
        waveform = np.asarray(waveform, dtype=np.float32)
        refused = Refused("its words were not found in the speech")
        for number, attempt in enumerate(self._attempts, 1):
            entries = self._entries(waveform, words, attempt)
            if entries is None:
                continue
            phones = _phones(entries, len(waveform) / SAMPLING_RATE)
            facts = _facts(entries, left_over(waveform, phones))
            objection = self._rule.objection(facts)
            if objection is None:
                return Aligned(phones, facts, number)
            refused = Refused(objection, facts)
        return refused

    def _pronounceable(self, word: str) -> str | None:
        """Return the word's entry in the dictionary, which is added if missing; None if it cannot be pronounced."""
        finder = self._finder(0)
        for spelling in spellings(word):
            if finder.lookup_word(spelling):
                return spelling
        phones = self._pronouncer.phones(word)
        if not phones:
            return None
        name = word.lower()
        self._learned[name] = " ".join(phones).upper()
        for decoder in self._finders.values():
            decoder.add_word(name, self._learned[name], False)
        return name

    def _entries(
        self, waveform: Float[np.ndarray, " samples"], words: list[str], attempt: Attempt
    ) -> list[_Entry] | None:
        """Return the phones and fillers found in the padded speech; None if the search failed."""
        finder, pcm = self._finder(attempt.wider), _prepared(waveform, attempt.noise_floor)
        try:
            finder.set_align_text(" ".join(words))
            _decode(finder, pcm)
            found = [segment.word.partition("(")[0] for segment in finder.seg() or ()]
            if [word for word in found if word in words] != words:
                return None
            finder.set_alignment()
            self._scorer.set_alignment(finder.get_alignment())
            _decode(self._scorer, pcm)
            phones = self._scorer.get_alignment().phones()
            return [(phone.name, phone.start, phone.duration, phone.score) for phone in phones]
        except RuntimeError:  # all that pocketsphinx raises
            return None

    def _finder(self, wider: int) -> Any:
        if wider not in self._finders:
            finder = _decoder(**{name: 10.0 ** (power - wider) for name, power in _BEAMS.items()})
            for word, phones in self._learned.items():
                finder.add_word(word, phones, False)
            self._finders[wider] = finder
        return self._finders[wider]


def left_over(waveform: Float[np.ndarray, " samples"], phones: Sequence[PhoneInterval]) -> float:
    """Return the share of the loud frames of speech that lie in silences.

    A frame lasts 10 ms; it is loud if it is less than 20 dB below the loudest 5 %.
    """
    length = round(FRAME_SECONDS * SAMPLING_RATE)
    frames = waveform[: len(waveform) // length * length].reshape(-1, length)
    if not len(frames):
        return 0.0
    power = np.square(frames, dtype=np.float64).mean(1)
    loud = power > _LOUD * np.quantile(power, 0.95)
    centres = (np.arange(len(frames)) + 0.5) * FRAME_SECONDS
    silent = np.zeros(len(frames), dtype=bool)
    for phone in phones:
        if phone.symbol == SILENCE:
            silent |= (centres >= phone.start) & (centres < phone.end)
    return float((loud & silent).sum() / max(1, loud.sum()))


def _facts(entries: Sequence[_Entry], left_over: float) -> Facts:
    spoken = [number for number, (name, *_) in enumerate(entries) if name not in _FILLERS]
    frames = [entries[number][2] for number in spoken]
    between = sum(frames for _, _, frames, _ in entries[spoken[0] : spoken[-1] + 1])
    return Facts(
        confidence=_SCORE * sum(entries[number][3] for number in spoken) / sum(frames),
        shortest=sum(length <= _SHORTEST_FRAMES for length in frames) / len(frames),
        pauses=1 - sum(frames) / between,
        longest_seconds=max(frames) * FRAME_SECONDS,
        left_over=left_over,
        phones=len(spoken),
    )


def _decoder(**options: Any) -> Any:
    require_pocketsphinx("do without phones")
    from pocketsphinx import Decoder

    return Decoder(lm=None, samprate=float(SAMPLING_RATE), bestpath=False, loglevel="FATAL", **options)


def _prepared(waveform: Float[np.ndarray, " samples"], noise_floor: float) -> bytes:
    """Return the samples to decode: at one loudness, padded, with noise that is the same each time."""
    level = math.sqrt(float(np.mean(np.square(waveform, dtype=np.float64)))) or 1.0
    padded = np.pad(waveform * (_LOUDNESS / level), round(_PADDING_SECONDS * SAMPLING_RATE))
    noise = np.random.default_rng(0).standard_normal(len(padded)) * noise_floor
    return np.round(np.clip(padded + noise, -1, 1) * 32767).astype("<i2").tobytes()


def _decode(decoder: Any, pcm: bytes) -> None:
    with warnings.catch_warnings():
        # Deprecated as unnecessary, but it resets the noise estimate of earlier audio, which changes results a little.
        warnings.simplefilter("ignore", DeprecationWarning)
        decoder.start_stream()
    decoder.start_utt()
    try:
        decoder.process_raw(pcm, no_search=False, full_utt=True)
    finally:
        decoder.end_utt()


def _phones(entries: Sequence[_Entry], seconds: float) -> tuple[PhoneInterval, ...]:
    """Return entries as phones that fill the given seconds; entries within the padding are dropped."""
    starts = [first * FRAME_SECONDS + BORDER_SECONDS - _PADDING_SECONDS for _, first, _, _ in entries]
    starts[0] = 0.0
    phones: list[PhoneInterval] = []
    for (name, *_), start, end in zip(entries, starts, [*starts[1:], seconds], strict=True):
        symbol = SILENCE if name in _FILLERS else name.lower()
        if symbol not in ENGLISH_PHONES:
            raise UnknownPhoneError(f"pocketsphinx's phone {name!r} is not among the English phones")
        start, end = (min(max(time, 0.0), seconds) for time in (start, end))
        if end <= start:
            continue
        if phones and symbol == SILENCE == phones[-1].symbol:
            start = phones.pop().start
        phones.append(PhoneInterval(symbol, start, end))
    phones[-1] = PhoneInterval(phones[-1].symbol, phones[-1].start, seconds)
    return tuple(phones)
