"""Speech for the distillation: utterances of a corpus or a folder, and the examples composed of them.

An example is one line or several with pauses between them. Which lines, in which order and with how much silence
follows from the seed and the example's number alone, so that a run can be resumed anywhere.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from inattention.audio.decoding import AudioError
from inattention.audio.reader import audio_files, cut_waveform, load_audio
from inattention.corpora.core.corpus import Corpus
from inattention.seeding import derive_seed

SAMPLING_RATE = 16_000
LONGEST_SECONDS = 30.0
SHORTEST_SECONDS = 0.4
# Shares of the kinds of examples: one line; several lines of any length; one of these, padded to 30 s.
# A padded example takes several times as long as one line.
_SEVERAL, _PADDED = 0.35, 0.1
_PAUSE_SECONDS = (0.1, 0.5)
_SILENCE_FRAMES = (25, 25, 50, 100)  # of 20 ms, behind the speech
_HELD_OUT_SHARE = 20  # one file of this many is held out where a folder has no splits


@dataclass(frozen=True)
class Utterance:
    """A recording of speech, read when it is needed.

    Attributes:
        id: name in messages and records.
        read: returns the waveform at 16 kHz.
        text: what is said; None if unknown.
    """

    id: str
    read: Callable[[], Float[Tensor, " samples"]]
    text: str | None = None


@dataclass(frozen=True)
class Example:
    """Speech that teacher and student hear.

    Attributes:
        index: number of the example; equal numbers of one seed are equal examples.
        waveform: speech at 16 kHz, at most 30 s.
        text: what is said; None if it is unknown for a part.
        silence_frames: frames of 20 ms that the student hears behind the speech.
        padded: the student hears 30 s.
    """

    index: int
    waveform: Float[Tensor, " samples"]
    text: str | None
    silence_frames: int
    padded: bool

    @property
    def seconds(self) -> float:
        """Duration of the speech."""
        return len(self.waveform) / SAMPLING_RATE


def corpus_utterances(corpus: Corpus, split: str) -> list[Utterance]:
    """Return the utterances of a split of a prepared corpus, in the corpus's order."""
    return [
        Utterance(cut.id, lambda cut=cut: cut_waveform(cut, SAMPLING_RATE), cut.supervisions[0].text or None)
        for cut in corpus.cuts(split)  # ty: ignore[not-iterable]
        if cut.duration >= SHORTEST_SECONDS
    ]


def folder_utterances(folder: Path, split: str) -> list[Utterance]:
    """Return the recordings below a folder; one of twenty, by its name, is held out as ``dev``.

    Texts are read from files beside the recordings, ``monday.txt`` beside ``monday.flac``.

    Raises:
        ValueError: if there are no recordings.
    """
    found = recordings(folder)
    if len(found) < 2:
        raise ValueError(f"{folder}: a conversion needs at least two recordings, found {len(found)}")
    names = [it.id for it in found]
    marks = [int(hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest(), 16) for name in names]
    held_out = {name for name, mark in zip(names, marks, strict=True) if mark % _HELD_OUT_SHARE == 0}
    held_out = held_out or {names[int(np.argmin([mark % 2**32 for mark in marks]))]}
    return [it for it in found if (it.id in held_out) == (split == "dev")]


def recordings(folder: Path) -> list[Utterance]:
    """Return all recordings below a folder, with the texts beside them."""
    return [
        Utterance(str(path.relative_to(folder)), lambda path=path: load_audio(path, SAMPLING_RATE), _text_beside(path))
        for path in audio_files(folder)
    ]


def folder_key(folder: Path) -> str:
    """Return a digest of the names and sizes of a folder's recordings."""
    digest = hashlib.sha256()
    for path in audio_files(folder):
        digest.update(f"{path.relative_to(folder)} {path.stat().st_size}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _text_beside(path: Path) -> str | None:
    beside = path.with_suffix(".txt")
    try:
        return " ".join(beside.read_text(encoding="utf-8").split()) or None
    except (OSError, UnicodeDecodeError):
        return None


@dataclass
class Examples:
    """The examples of a seed.

    Args:
        utterances: what they are composed of.
        seed: of all choices.
        lengths: ``own``, ``30`` or ``mixed``, see `TrainedConversionConfig`.

    Attributes:
        skipped: reason for each utterance that could not be read.
    """

    utterances: Sequence[Utterance]
    seed: int
    lengths: str
    skipped: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.utterances:
            raise ValueError("there is no speech to distil on")
        order = np.random.default_rng(derive_seed(self.seed, "lines")).permutation(len(self.utterances))
        self._order = [int(place) for place in order]

    def __getitem__(self, index: int) -> Example:
        """Compose an example.

        Raises:
            ValueError: if no utterance can be read.
        """
        random = np.random.default_rng(derive_seed(self.seed, "example", index))
        target = 0.0
        if random.random() < _SEVERAL:
            target = float(np.exp(random.uniform(np.log(4.0), np.log(LONGEST_SECONDS - 1))))
        return self._compose(index, target, random)

    def window(self, index: int) -> Example:
        """Compose an example that is filled with speech.

        Raises:
            ValueError: if no utterance can be read.
        """
        random = np.random.default_rng(derive_seed(self.seed, "window", index))
        return self._compose(int(random.integers(len(self._order))), LONGEST_SECONDS, random)

    def _compose(self, index: int, target: float, random: np.random.Generator) -> Example:
        """Join utterances, from one at a place of the order on, until there are enough seconds."""
        place = index
        padded = {"own": False, "30": True}.get(self.lengths, bool(random.random() < _PADDED))
        pieces: list[Tensor] = []
        texts: list[str | None] = []
        room = int(SAMPLING_RATE * (LONGEST_SECONDS - 0.5))
        while not pieces or sum(map(len, pieces)) < target * SAMPLING_RATE:
            wave, text, place = self._next(place)
            pause = torch.zeros(int(random.uniform(*_PAUSE_SECONDS) * SAMPLING_RATE)) if pieces else torch.zeros(0)
            if sum(map(len, pieces)) + len(pause) + len(wave) > room:
                if pieces:
                    break
                wave, text = wave[:room], None
            pieces += [pause, wave]
            texts.append(text)
            place = int(random.integers(len(self._order)))
        text = None if any(it is None for it in texts) else " ".join(it for it in texts if it)
        return Example(index, torch.cat(pieces), text, int(random.choice(_SILENCE_FRAMES)), padded)

    def _next(self, place: int) -> tuple[Tensor, str | None, int]:
        """Return the utterance at a place of the order, or the next one that can be read."""
        for _ in range(len(self._order)):
            utterance = self.utterances[self._order[place % len(self._order)]]
            place += 1
            if utterance.id in self.skipped:
                continue
            try:
                return utterance.read(), utterance.text, place
            except AudioError as error:
                self.skipped[utterance.id] = str(error)
        raise ValueError(
            f"none of {len(self._order)} utterances can be read, such as {next(iter(self.skipped.items()))}"
        )
