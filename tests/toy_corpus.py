"""A small corpus in the prepared format: each speaker has a pitch, and each phone, but silence, a tone."""

import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from lhotse import AudioSource, MonoCut, Recording, SupervisionSegment
from lhotse.supervision import AlignmentItem

from inattention.audio.config import FeatureConfig
from inattention.corpora.core.corpus import FORMAT, Corpus, open_corpus

RATE = 16_000
PHONE_HZ = {"sil": 0, "ah": 2000, "s": 6000}
PHONES = tuple(PHONE_HZ)
SPEAKERS = ("ann", "bob", "cy")
SECONDS = 0.9
SMALL = FeatureConfig(fft_size=1024, mels=12, deltas=False, normalise=False)


def speech(speaker: int, phones: list[AlignmentItem], seed: int) -> np.ndarray:
    """Speak: a tone whose pitch is the speaker's, a higher one that is the phone's, and a little noise."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(SECONDS * RATE)) / RATE
    samples = 0.05 * np.sin(2 * np.pi * 200 * (1 + speaker) * times) + 0.001 * rng.standard_normal(len(times))
    for item in phones:
        here = (times >= item.start) & (times < item.start + item.duration)
        samples += np.where(here, 0.1 * np.sin(2 * np.pi * PHONE_HZ.get(item.symbol, 0) * times), 0.0)
    return samples.astype(np.float32)


def alignment(seed: int) -> list[AlignmentItem]:
    """Three phones of random lengths that fill an utterance."""
    rng = np.random.default_rng(seed)
    first, second = np.sort(rng.uniform(0.2, 0.7, size=2))
    symbols = rng.permutation(PHONES)
    bounds = [0.0, float(first), float(second), SECONDS]
    return [
        AlignmentItem(str(s), a, b - a)
        for s, a, b in zip(symbols, bounds[:-1], bounds[1:], strict=True)
        if b - a > 1e-3
    ]


@dataclass
class Utterance:
    """An utterance to be written; tests spoil one or another part of it."""

    id: str
    split: str
    speaker: str | None
    phones: list[AlignmentItem]
    samples: np.ndarray = field(repr=False)
    rate: int = RATE

    @property
    def seconds(self) -> float:
        return SECONDS


def utterances(*, train: int = 6, dev: int = 3, test: int = 3) -> list[Utterance]:
    """So many utterances of each speaker in each split."""
    made = []
    for split, count in (("train", train), ("dev", dev), ("test", test)):
        for number, speaker in enumerate(SPEAKERS):
            for i in range(count):
                seed = 1000 * len(made) + i
                phones = alignment(seed)
                made.append(Utterance(f"{split}-{speaker}-{i}", split, speaker, phones, speech(number, phones, seed)))
    return made


def write_corpus(folder: Path, made: list[Utterance], phones: tuple[str, ...] = PHONES) -> Corpus:
    """Write a prepared corpus; each recording's manifest says what was meant, whatever its file holds."""
    (folder / "audio").mkdir(parents=True)
    lines: dict[str, list[str]] = {"train": [], "dev": [], "test": []}
    for utterance in made:
        name = f"audio/{utterance.id}.wav"
        soundfile.write(folder / name, utterance.samples, utterance.rate, subtype="FLOAT")
        count = round(utterance.seconds * RATE)
        recording = Recording(
            utterance.id,
            [AudioSource("file", channels=[0], source=name)],
            sampling_rate=RATE,
            num_samples=count,
            duration=count / RATE,
        )
        supervision = SupervisionSegment(
            id=utterance.id,
            recording_id=utterance.id,
            start=0.0,
            duration=utterance.seconds,
            speaker=utterance.speaker,
            alignment={"phone": utterance.phones},
        )
        cut = MonoCut(
            utterance.id,
            start=0.0,
            duration=utterance.seconds,
            channel=0,
            supervisions=[supervision],
            recording=recording,
        )
        lines[utterance.split].append(json.dumps(cut.to_dict()))
    for split, some in lines.items():
        with gzip.open(folder / f"cuts-{split}.jsonl.gz", "wt") as file:
            file.writelines(line + "\n" for line in some)
    info: dict[str, Any] = {
        "format": FORMAT,
        "name": "toy",
        "key": "0" * 16,
        "config": {},
        "phones": list(phones),
        "speakers": list(SPEAKERS),
        "splits": {split: {"cuts": len(some)} for split, some in lines.items()},
    }
    (folder / "corpus.json").write_text(json.dumps(info))
    return open_corpus(folder)
