"""The embedded corpus: eSpeak NG reads made-up sentences in many voices, and says when each phone begins.

Needs nothing but the installed package. An hour of speech takes about half a minute of one core, and the same config
gives the same bytes, however many workers make it. Formant speech is easy and unnatural: say so beside any number
that comes from it (`CAVEAT`).

Every voice reads sentences of its own, until its share of the hours is filled; none is read twice. Rate and pitch
vary a little from one utterance to the next, as given by the seed, and a faint noise lies over all. Each voice has
utterances in all three splits: at least one each, and as near to the fractions as whole utterances come.

This module is light to import: the libraries that make speech are loaded in `prepare`.
"""

import dataclasses
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inattention.corpora.core.corpus import Corpus
from inattention.corpora.core.phones import ENGLISH_PHONES
from inattention.corpora.core.writer import CorpusSpec, CorpusWriter, write_corpus
from inattention.corpora.errors import CorpusError
from inattention.corpora.readers.espeak.sentences import sentences
from inattention.corpora.readers.espeak.voices import VOICES, Voice

if TYPE_CHECKING:
    import lhotse

NAME = "espeak"
GENERATOR = 1
CAVEAT = (
    "Formant speech from eSpeak NG: its speakers are synthesiser voices, and both tasks are far easier than on people."
)
_PACKAGES = ("espeakng-loader", "lhotse", "numpy", "scipy", "soundfile")
_MIN_SECONDS_PER_VOICE = 9.0  # three utterances, one a split
_SHORTEST_SENTENCE_SECONDS = 1.5


@dataclass(frozen=True, kw_only=True)
class EspeakConfig:
    """What is spoken by whom.

    Attributes:
        hours: Of speech, all splits and voices together; met to within a few seconds a voice.
        voices: Speakers, the first so many of a fixed, diverse order.
        seed: Of sentences, rates, pitches and noise.
        train: Fraction of each voice's utterances for training.
        dev: Fraction for tuning.
        test: Fraction for the final measure.
        sampling_rate: Hz of the audio written.
        words_per_minute: Mean speaking rate.
        rate_spread: Greatest relative change of the rate from one utterance to the next.
        pitch_spread: Greatest change of eSpeak's pitch, whose scale goes from 0 to 99 with 50 for the voice's own.
        noise_dbfs: Level of the white noise added, so that pauses are not digitally silent.
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
        if min(self.train, self.dev, self.test) <= 0 or abs(self.train + self.dev + self.test - 1) > 1e-6:
            raise CorpusError(
                f"train, dev and test must be above 0 and sum to 1, not {self.train}, {self.dev}, {self.test}"
            )
        if self.sampling_rate < 8000:
            raise CorpusError(f"sampling_rate must be at least 8000 Hz, not {self.sampling_rate}")
        if not 80 <= self.words_per_minute <= 300 or not 0 <= self.rate_spread <= 0.5:
            raise CorpusError("words_per_minute must be 80 to 300, and rate_spread 0 to 0.5")
        if not 0 <= self.pitch_spread <= 40 or self.noise_dbfs > -20:
            raise CorpusError("pitch_spread must be 0 to 40, and noise_dbfs at most -20")

    @property
    def seconds_per_voice(self) -> float:
        """Each voice's share of the hours."""
        return self.hours * 3600 / self.voices


def prepare(
    config: EspeakConfig,
    folder: str | Path,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> Corpus:
    """Speak a corpus into `folder`, unless it stands there already.

    Args:
        config: What is spoken by whom.
        folder: Where the corpus is to stand.
        overwrite: Prepare it in any case, replacing the corpus that stands there.
        workers: Processes that speak; by default one a core. They do not change the outcome.
        progress: Show a progress bar on stderr.

    Raises:
        CorpusError: Something else stands in `folder`, it cannot be written, or eSpeak does not work on this machine.
    """
    if not hasattr(os, "fork"):
        raise CorpusError("eSpeak's voices are made repeatable by forking, which this system cannot do")
    if workers is not None and workers < 1:
        raise CorpusError(f"workers must be at least 1, not {workers}")
    spec = CorpusSpec(
        name=NAME,
        config=dataclasses.asdict(config),
        generator=GENERATOR,
        phones=ENGLISH_PHONES,
        caveat=CAVEAT,
        packages=_PACKAGES,
    )

    def fill(writer: CorpusWriter) -> None:
        from inattention.corpora.workers.pool import cores, run_jobs

        jobs = _jobs(config, writer.folder)
        worker = "inattention.corpora.readers.espeak.worker"
        for job, result in run_jobs(worker, jobs, writer, workers=workers or cores(), progress=progress, unit="voice"):
            _add_voice(writer, config, job["speaker"], result)

    return write_corpus(folder, spec, fill, overwrite=overwrite)


def _jobs(config: EspeakConfig, folder: Path) -> list[dict[str, Any]]:
    """One job a voice: all that a worker needs, as JSON. Voice v of V reads the sentences v, v + V, v + 2V, ..."""
    voices = VOICES[: config.voices]
    # More sentences than can be needed, as some may turn out bad.
    rounds = math.ceil(config.seconds_per_voice / _SHORTEST_SENTENCE_SECONDS) + 10
    texts = list(islice(sentences(config.seed), rounds * len(voices)))
    return [_job(config, folder, voice, texts[number :: len(voices)]) for number, voice in enumerate(voices)]


def _job(config: EspeakConfig, folder: Path, voice: Voice, texts: list[str]) -> dict[str, Any]:
    return {
        "id": voice.speaker,
        "voice": voice.espeak_name,
        "speaker": voice.speaker,
        "texts": texts,
        "seconds": config.seconds_per_voice,
        "at_least": 3,
        "prefix": f"{NAME}-{voice.speaker}",
        "audio": str(folder / "audio" / voice.speaker),
        "seed": config.seed,
        "sampling_rate": config.sampling_rate,
        "words_per_minute": config.words_per_minute,
        "rate_spread": config.rate_spread,
        "pitch_spread": config.pitch_spread,
        "noise_dbfs": config.noise_dbfs,
    }


def _add_voice(writer: CorpusWriter, config: EspeakConfig, speaker: str, result: dict[str, Any]) -> None:
    for item, reason in result["bad"]:
        writer.skip(item, reason)
    utterances = result["utterances"]
    if len(utterances) < 3:
        writer.skip(speaker, f"only {len(utterances)} of its utterances came out, too few for three splits: left out")
        return
    for split, utterance in zip(_splits(config, len(utterances)), utterances, strict=True):
        writer.add(split, _cut(config, speaker, utterance))


def _splits(config: EspeakConfig, count: int) -> Iterator[str]:
    """The split of each of a voice's utterances: dev first, then test, then train, none of them empty."""
    dev = min(max(1, round(config.dev * count)), count - 2)
    test = min(max(1, round(config.test * count)), count - dev - 1)
    for number in range(count):
        yield "dev" if number < dev else "test" if number < dev + test else "train"


def _cut(config: EspeakConfig, speaker: str, utterance: dict[str, Any]) -> "lhotse.MonoCut":
    from lhotse import AudioSource, MonoCut, Recording, SupervisionSegment
    from lhotse.supervision import AlignmentItem

    name, samples, rate = utterance["id"], utterance["samples"], config.sampling_rate
    duration = round(samples / rate, 8)
    recording = Recording(
        id=name,
        sources=[AudioSource(type="file", channels=[0], source=f"audio/{speaker}/{name}.flac")],
        sampling_rate=rate,
        num_samples=samples,
        duration=duration,
    )
    phones = [
        AlignmentItem(phone, round(first / rate, 8), round((end - first) / rate, 8))
        for phone, first, end in utterance["phones"]
    ]
    supervision = SupervisionSegment(
        id=name,
        recording_id=name,
        start=0.0,
        duration=duration,
        text=utterance["text"],
        language="English",
        speaker=speaker,
        alignment={"phone": phones},
    )
    return MonoCut(id=name, start=0.0, duration=duration, channel=0, supervisions=[supervision], recording=recording)
