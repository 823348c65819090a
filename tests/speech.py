"""A small corpus of changing tones, with speakers and phones, in the format of every corpus."""

import json
from pathlib import Path

import numpy as np
import soundfile
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.supervision import AlignmentItem

from inattention.corpora.core.corpus import FORMAT, SPLITS, Corpus, open_corpus

RATE = 16_000
PHONES = ("sil", "aa", "iy", "s")
FORMANTS = {"sil": 0.0, "aa": 800.0, "iy": 2400.0, "s": 5000.0}
SPEAKERS = ("low", "high")
PITCH = {"low": 110.0, "high": 220.0}


def utterance(speaker: str, seed: int, phones: int = 12) -> tuple[np.ndarray, list[AlignmentItem]]:
    """Return a sequence of phones, each a tone of its own above the speaker's pitch."""
    draw = np.random.default_rng(seed)
    pieces, items, start = [], [], 0
    for phone in ["sil", *draw.choice(PHONES[1:], size=phones), "sil"]:
        samples = int(draw.integers(1600, 3200))
        time = np.arange(samples) / RATE
        tone = np.sin(2 * np.pi * FORMANTS[phone] * time) + 0.5 * np.sin(2 * np.pi * PITCH[speaker] * time)
        loud = 0.001 if phone == "sil" else 0.2
        pieces.append(loud * tone + 0.001 * draw.standard_normal(samples))
        items.append(AlignmentItem(str(phone), start / RATE, samples / RATE))
        start += samples
    return np.concatenate(pieces).astype(np.float32), items


def make_corpus(folder: Path, cuts: dict[str, int] | None = None, phones: int = 12) -> Corpus:
    """Write a prepared corpus with these numbers of cuts."""
    counts = cuts or {"train": 16, "dev": 6, "test": 6}
    (folder / "audio").mkdir(parents=True)
    splits, seed = {}, 0
    for split in SPLITS:
        made, hours = [], 0.0
        for number in range(counts[split]):
            seed += 1
            speaker = SPEAKERS[number % len(SPEAKERS)]
            samples, items = utterance(speaker, seed, phones)
            name = f"{split}-{speaker}-{number:03d}"
            soundfile.write(folder / "audio" / f"{name}.flac", samples, RATE)
            recording = Recording.from_file(folder / "audio" / f"{name}.flac", recording_id=name)
            recording.sources[0].source = f"audio/{name}.flac"
            supervision = SupervisionSegment(
                name, name, 0.0, recording.duration, text="tones", speaker=speaker, alignment={"phone": items}
            )
            made.append(MonoCut(name, 0.0, recording.duration, 0, [supervision], recording=recording))
            hours += recording.duration / 3600
        CutSet.from_cuts(made).to_file(folder / f"cuts-{split}.jsonl.gz")
        splits[split] = {"cuts": len(made), "hours": hours, "speakers": len(SPEAKERS)}
    info = {
        "format": FORMAT,
        "name": "tones",
        "key": f"tones-{sorted(counts.items())}-{phones}",
        "config": {},
        "phones": list(PHONES),
        "speakers": list(SPEAKERS),
        "splits": splits,
        "bad_items": {"count": 0, "items": []},
        "caveat": "Tones, made for tests.",
    }
    (folder / "corpus.json").write_text(json.dumps(info))
    return open_corpus(folder)
