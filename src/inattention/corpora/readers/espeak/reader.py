"""The embedded corpus: eSpeak NG reads generated sentences in many voices and reports when each phone starts.

It needs nothing but the installed package. An hour of speech takes about half a minute of one core, and the same config
gives the same bytes with any number of workers. Formant speech is easy and unnatural: `CAVEAT` belongs beside any
number measured on it.

Each voice reads sentences of its own until its share of the hours is filled; no sentence is read twice. Rate and pitch
vary a little between utterances, drawn from the seed, and faint noise is added. Each voice has utterances in all three
splits: at least one in each, and as close to the fractions as whole utterances allow.

This module is light to import: the libraries that make speech are loaded in worker processes.
"""

import dataclasses
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from inattention.corpora.core.corpus import SPLITS, Corpus
from inattention.corpora.core.phones import ENGLISH_PHONES
from inattention.corpora.core.splits import check_all_fractions
from inattention.corpora.core.writer import CorpusSpec, CorpusWriter, write_corpus
from inattention.corpora.errors import CorpusError
from inattention.corpora.readers.espeak.jobs import SpeakJob, SpokenVoice, Utterance
from inattention.corpora.readers.espeak.sentences import sentences
from inattention.corpora.readers.espeak.voices import VOICES, Voice

if TYPE_CHECKING:
    from lhotse.cut import Cut

NAME = "espeak"
GENERATOR = 1
CAVEAT = (
    "Formant speech from eSpeak NG: its speakers are synthesiser voices, and both tasks are far easier than on people."
)
_PACKAGES = ("espeakng-loader", "lhotse", "numpy", "scipy", "soundfile")
_WORKER = "inattention.corpora.readers.espeak.worker"
_MIN_SECONDS_PER_VOICE = 9.0  # three utterances, one a split
_SHORTEST_SENTENCE_SECONDS = 1.5


@dataclass(frozen=True, kw_only=True)
class EspeakConfig:
    """Settings of an eSpeak corpus.

    Attributes:
        hours: Of speech, over all splits and voices; met to within a few seconds a voice.
        voices: Number of speakers, taken from the start of a fixed, diverse order.
        seed: Of sentences, rates, pitches and noise.
        train: Fraction of each voice's utterances for training.
        dev: Fraction for tuning.
        test: Fraction for testing.
        sampling_rate: Hz of the audio written.
        words_per_minute: Mean speaking rate.
        rate_spread: Largest relative deviation of an utterance's rate from the mean.
        pitch_spread: Largest deviation of an utterance's pitch from the voice's own, on eSpeak's scale from 0 to 99.
        noise_dbfs: Level of the added white noise, which keeps pauses from digital silence.
    """

    hours: float = 1.0
    voices: int = 40
    seed: int = 0
    train: float = 0.8
    dev: float = 0.1
    test: float = 0.1
    sampling_rate: int = 16_000
    words_per_minute: float = 170.0
    rate_spread: float = 0.08
    pitch_spread: int = 4
    noise_dbfs: float = -60.0

    def __post_init__(self) -> None:
        if not 0 < self.hours < math.inf:
            raise CorpusError(f"hours must be above 0, not {self.hours}")
        if not 1 <= self.voices <= len(VOICES):
            raise CorpusError(f"there are {len(VOICES)} voices: voices must be 1 to {len(VOICES)}, not {self.voices}")
        if self.seconds_per_voice < _MIN_SECONDS_PER_VOICE:
            enough = math.floor(self.hours * 3600 / _MIN_SECONDS_PER_VOICE)
            raise CorpusError(
                f"{self.hours} hours over {self.voices} voices are {self.seconds_per_voice:.1f} s a voice, too little "
                f"for one utterance in each split: ask for at least {self.voices * _MIN_SECONDS_PER_VOICE / 3600:.3g} "
                "hours" + (f" or at most {enough} voices" if enough else "")
            )
        check_all_fractions(self.train, self.dev, self.test)
        if self.sampling_rate < 8000:
            raise CorpusError(f"sampling_rate must be at least 8000 Hz, not {self.sampling_rate}")
        if not 80 <= self.words_per_minute <= 300 or not 0 <= self.rate_spread <= 0.5:
            raise CorpusError("words_per_minute must be 80 to 300, and rate_spread 0 to 0.5")
        if not 0 <= self.pitch_spread <= 40 or self.noise_dbfs > -20:
            raise CorpusError("pitch_spread must be 0 to 40, and noise_dbfs at most -20")

    @property
    def seconds_per_voice(self) -> float:
        """Each voice's share of the hours, in seconds."""
        return self.hours * 3600 / self.voices


def prepare(
    config: EspeakConfig,
    folder: str | Path,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> Corpus:
    """Prepare an eSpeak corpus; see `inattention.corpora.registry.Prepare`.

    Raises:
        CorpusError: The corpus cannot be written, or eSpeak does not work on this machine.
    """
    if not hasattr(os, "fork"):
        raise CorpusError("eSpeak's voices are made repeatable by forking, which this system cannot do")
    spec = CorpusSpec(
        name=NAME,
        config=dataclasses.asdict(config),
        generator=GENERATOR,
        phones=ENGLISH_PHONES,
        caveat=CAVEAT,
        packages=_PACKAGES,
    )

    def fill(writer: CorpusWriter) -> None:
        from inattention.corpora.workers.pool import run_jobs

        jobs = [job.to_json() for job in speak_jobs(config, writer.folder)]
        for job, answer in run_jobs(_WORKER, jobs, writer, workers=workers, progress=progress, unit="voice"):
            _add_voice(writer, config, job["id"], SpokenVoice.from_json(answer))

    return write_corpus(folder, spec, fill, overwrite=overwrite)


def speak_jobs(config: EspeakConfig, folder: Path) -> list[SpeakJob]:
    """Return a job for each voice; voice v of V reads the sentences v, v + V, v + 2V, ...

    Args:
        config: The corpus's settings.
        folder: The folder of the corpus.
    """
    voices = VOICES[: config.voices]
    # More sentences than needed, as some may turn out bad.
    rounds = math.ceil(config.seconds_per_voice / _SHORTEST_SENTENCE_SECONDS) + 10
    texts = list(islice(sentences(config.seed), rounds * len(voices)))
    return [speak_job(config, folder, voice, texts[number :: len(voices)]) for number, voice in enumerate(voices)]


def speak_job(config: EspeakConfig, folder: Path, voice: Voice, texts: Sequence[str]) -> SpeakJob:
    """Return the job of one voice."""
    return SpeakJob(
        id=voice.speaker,
        voice=voice.espeak_name,
        texts=tuple(texts),
        seconds=config.seconds_per_voice,
        at_least=len(SPLITS),
        prefix=f"{NAME}-{voice.speaker}",
        audio=str(folder / "audio" / voice.speaker),
        seed=config.seed,
        sampling_rate=config.sampling_rate,
        words_per_minute=config.words_per_minute,
        rate_spread=config.rate_spread,
        pitch_spread=config.pitch_spread,
        noise_dbfs=config.noise_dbfs,
    )


def _add_voice(writer: CorpusWriter, config: EspeakConfig, speaker: str, spoken: SpokenVoice) -> None:
    for item, reason in spoken.bad:
        writer.skip(item, reason)
    count = len(spoken.utterances)
    writer.found("recording", len(spoken.bad) + count)
    if count < len(SPLITS):
        reason = f"only {count} of its utterances came out, too few for three splits: skipped"
        writer.skip(speaker, reason, kind="speaker")
        for utterance in spoken.utterances:
            seconds = utterance.samples / config.sampling_rate
            writer.skip(utterance.id, f"{speaker}: {reason}", category="voice with too few utterances", seconds=seconds)
        return
    for split, utterance in zip(_splits(config, count), spoken.utterances, strict=True):
        writer.add(split, _cut(config, speaker, utterance))


def _splits(config: EspeakConfig, count: int) -> Iterator[str]:
    """Yield the split of each of a voice's utterances: dev first, then test, then train, none of them empty."""
    dev = min(max(1, round(config.dev * count)), count - 2)
    test = min(max(1, round(config.test * count)), count - dev - 1)
    for number in range(count):
        yield "dev" if number < dev else "test" if number < dev + test else "train"


def _cut(config: EspeakConfig, speaker: str, utterance: Utterance) -> "Cut":
    from inattention.corpora.core.cut_building import make_cut

    rate = config.sampling_rate
    return make_cut(
        utterance.id,
        f"audio/{speaker}/{utterance.id}.flac",
        rate=rate,
        samples=utterance.samples,
        speaker=speaker,
        text=utterance.text,
        language="English",
        phones=[(phone, first / rate, end / rate) for phone, first, end in utterance.phones],
    )
