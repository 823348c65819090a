"""TIMIT with its phones: 61 symbols folded to 39 classes, and the usual core test set.

Files are found in upper or lower case, in `TRAIN/DR1/FCJF0/SX127.WAV` or with a folder `data` or `timit` above. The
speakers of the core test set (24) and of the development set (50) are those of lhotse's recipe. The splits' speakers
differ, so there is no speaker task unless `--split speakers` splits each speaker's sentences. The two sentences that
everybody reads (SA) are skipped, as usual, for they would be in all splits.

The fold is that of Lee and Hon, "Speaker-independent phone recognition using hidden Markov models", IEEE Transactions
on Acoustics, Speech, and Signal Processing 37 (1989): closures, pauses and epenthetic silence are `sil`, and the
glottal stop `q` is dropped, which leaves a gap.
"""

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from inattention.audio.limits import Truncated
from inattention.corpora.core.audio_facts import Facts
from inattention.corpora.core.corpus import Corpus
from inattention.corpora.core.cut_building import Phone
from inattention.corpora.core.file_tree import Tree, fingerprint, read_text
from inattention.corpora.core.phones import SILENCE
from inattention.corpora.core.recordings import (
    add_recording,
    as_json,
    checked_phones,
    copy_audio,
    skip_unreadable,
)
from inattention.corpora.core.splits import Member, Splits, check_fractions, split_within_speakers
from inattention.corpora.core.writer import CorpusSpec, CorpusWriter, write_corpus
from inattention.corpora.errors import CorpusError
from inattention.corpora.readers.speech_tree import audio_of, inspect_formats, read_speech_tree
from inattention.text import printable

NAME = "timit"
GENERATOR = 1
_PACKAGES = ("lhotse", "soundfile")
_LARGEST_LABELS = 2**20
RATE = 16_000  # Hz of the published audio, whose samples the labels count
_CAVEATS = {
    "core": "Read English sentences; the speakers of the splits differ: no speaker task.",
    "speakers": "Read English sentences, ten a speaker; the same texts are read by several speakers.",
}
# The symbols that each class contains besides its own; all other classes contain only their own.
_FOLDED = {
    "aa": "ao",
    "ah": "ax ax-h",
    "er": "axr",
    "hh": "hv",
    "ih": "ix",
    "l": "el",
    "m": "em",
    "n": "en nx",
    "ng": "eng",
    "sh": "zh",
    "uw": "ux",
    SILENCE: "pcl tcl kcl bcl dcl gcl h# pau epi",
}
_PLAIN = (
    "aa ae ah aw ay b ch d dh dx eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w y z"  # and silence
)
TIMIT_PHONES: tuple[str, ...] = (SILENCE, *_PLAIN.split())
DROPPED = "q"
_CLASS = {phone: phone for phone in TIMIT_PHONES} | {
    symbol: phone for phone, symbols in _FOLDED.items() for symbol in symbols.split()
}


@dataclass(frozen=True, kw_only=True)
class TimitConfig:
    """Settings of a TIMIT corpus.

    Attributes:
        path: The folder that contains TRAIN and TEST, or one above it.
        split: `core`, the core test set and its development set, or `speakers`, a split of each speaker's sentences.
        dev: Fraction for tuning, with `speakers`.
        test: Fraction for testing, with `speakers`.
        seed: Of the split, with `speakers`.
        copy: Copy the audio into the corpus, which can then be moved.
        truncated: Skip files that end before their headers say, or keep what is there of them.
    """

    path: Path = Path("TIMIT")
    split: Literal["core", "speakers"] = "core"
    dev: float = 0.1
    test: float = 0.2
    seed: int = 0
    copy: bool = False
    truncated: Truncated = "skip"

    def __post_init__(self) -> None:
        check_fractions(self.dev, self.test)


def prepare(
    config: TimitConfig,
    folder: str | Path,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> Corpus:
    """Prepare a TIMIT corpus; see `inattention.corpora.registry.Prepare`.

    Raises:
        CorpusError: TIMIT was not found, or the corpus cannot be written.
    """
    tree = read_speech_tree(config.path, (".phn", ".txt"))
    settings = dataclasses.asdict(config)
    del settings["path"]  # the same files in another folder are the same corpus
    settings["files"] = fingerprint(tree, contents=(".phn",))
    spec = CorpusSpec(
        name=NAME,
        config=as_json(settings),
        generator=GENERATOR,
        phones=TIMIT_PHONES,
        caveat=_CAVEATS[config.split],
        packages=_PACKAGES,
        audio_root=None if config.copy else tree.root,
    )

    def fill(writer: CorpusWriter) -> None:
        skip_unreadable(writer, tree)
        _add(config, tree, writer, workers=workers, progress=progress)

    return write_corpus(folder, spec, fill, overwrite=overwrite)


@dataclass(frozen=True)
class _Sentence:
    part: str  # train or test
    name: str
    speaker: str
    paths: list[str]


def _add(config: TimitConfig, tree: Tree, writer: CorpusWriter, *, workers: int | None, progress: bool) -> None:
    sentences = _sentences(tree, writer)
    if not sentences:
        raise CorpusError(f"there is no TIMIT in {tree.root}: no TRAIN or TEST with dialects and speakers in it")
    how: Any = {"decode": False, "truncated": config.truncated, "workers": workers, "progress": progress}
    found = inspect_formats(writer, tree.root, {name: s.paths for name, s in sentences.items()}, **how)
    splits = _split(config, {name: (sentences[name], facts) for name, (_, facts) in found.items()}, tree.root)
    beside = {path.lower(): path for path in tree.files}
    for name, (path, known) in found.items():
        sentence = sentences[name]
        if sentence.name not in splits.of:
            category = "not in the core test set or the development set"
            writer.ignore(printable(path), category, kind="recording", seconds=known.seconds)
            continue
        phones = _phones(writer, tree, beside, path, known, sentence.speaker)
        about: Any = {"truncated": bool(known.damage), "speaker": sentence.speaker}
        add_recording(
            writer,
            name=sentence.name,
            source=copy_audio(writer, tree.root, path) if config.copy else path,
            facts=known,
            split_of=splits.of,
            longest=float("inf"),
            speaker=sentence.speaker,
            text=_text(writer, tree, beside, path),
            language="English",
            phones=phones and checked_phones(writer, sentence.name, phones, known.seconds, **about),
        )
    writer.report("notes", {"sentences in no split": len(found) - len(splits.of), **splits.notes()})


def _sentences(tree: Tree, writer: CorpusWriter) -> dict[str, _Sentence]:
    """Return the sentences by their names, each with its files in all formats, such as SI1.WAV and SI1.WAV.wav."""
    found: dict[str, _Sentence] = {}
    for path in audio_of(tree, ".wav"):
        sentence = _sentence(path)
        if sentence is None:
            writer.ignore(printable(path), "not in a folder of TIMIT's sentences")
        elif sentence.name in found:
            found[sentence.name].paths.append(path)
        else:
            found[sentence.name] = sentence
    writer.found("recording", len(found))
    for sentence in list(found.values()):
        if os.path.basename(sentence.paths[0]).lower().startswith("sa"):
            writer.ignore(printable(sentence.paths[0]), "sentence SA, which everybody reads", kind="recording")
            del found[sentence.name]
    return found


def _sentence(path: str) -> _Sentence | None:
    """Return the sentence of a file; None for anything else."""
    parts = path.lower().split("/")
    if len(parts) < 4 or parts[-4] not in ("train", "test"):
        return None
    return _Sentence(parts[-4], f"{parts[-2]}-{_stem(parts[-1])}", parts[-2], [path])


def _split(config: TimitConfig, sentences: dict[str, tuple[_Sentence, Facts]], root: Path) -> Splits:
    """Return the split of each sentence.

    Raises:
        CorpusError: A split of the core test set has no sentence.
    """
    if config.split == "speakers":
        members = [Member(name, s.speaker, name, facts.seconds) for name, (s, facts) in sentences.items()]
        return split_within_speakers(members, dev=config.dev, test=config.test, seed=config.seed)
    from lhotse.recipes.timit import get_speakers

    dev, core = get_speakers()
    splits = Splits()
    for sentence, _ in sentences.values():
        if sentence.part == "train":
            splits.of[sentence.name] = "train"
        elif sentence.speaker in core:
            splits.of[sentence.name] = "test"
        elif sentence.speaker in dev:
            splits.of[sentence.name] = "dev"
    needed = {"train": "TRAIN", "dev": "the development set's speakers in TEST", "test": "the core speakers in TEST"}
    missing = [where for split, where in needed.items() if split not in splits.of.values()]
    if missing:
        raise CorpusError(
            f"{root} has no sentence that can be used of {', nor of '.join(missing)}: a partial TIMIT can be prepared "
            "with --split speakers, which divides each speaker's sentences"
        )
    return splits


def _phones(
    writer: CorpusWriter, tree: Tree, beside: dict[str, str], path: str, facts: Facts, speaker: str
) -> list[Phone] | None:
    """Return a sentence's phones; None if they cannot be read, which is counted."""
    label = beside.get(_stem(path) + ".phn")
    if label is None:
        reason = "its phones are skipped: there is no .PHN beside it"
        writer.skip(printable(path), reason, kind="label", speaker=speaker)
        return None
    try:
        text = read_text(tree.root / label, _LARGEST_LABELS)
        return min((list(fold_phn(text, rate)) for rate in (facts.rate, RATE)), key=lambda p: _misfit(p, facts))
    except CorpusError as error:
        writer.skip(printable(label), f"its phones are skipped: {error}", kind="label", speaker=speaker)
        return None


def _misfit(phones: list[Phone], facts: Facts) -> float:
    """Return how far phones end from the end of their audio, in seconds: converted audio has the samples of another."""
    return abs(facts.seconds - max((end for _, _, end in phones), default=0.0))


def fold_phn(text: str, rate: int) -> Iterator[Phone]:
    r"""Parse a .PHN file (first sample, end, symbol); yield phones folded to 39 classes, in seconds.

    Raises:
        CorpusError: A line is damaged, or its symbol is not one of TIMIT's.

    >>> list(fold_phn("0 8000 h#\n8000 12000 ix\n12000 13000 q", 16000))
    [('sil', 0.0, 0.5), ('ih', 0.5, 0.75)]
    """
    for number, line in enumerate(text.split("\n"), 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 3 or not all(field.isascii() and field.isdecimal() for field in fields[:2]):
            raise CorpusError(f"line {number} is not two samples and a symbol")
        start, end = (int(field[:15]) / rate for field in fields[:2])
        if end < start:
            raise CorpusError(f"line {number} ends before it starts")
        if fields[2] == DROPPED:
            continue
        if fields[2] not in _CLASS:
            raise CorpusError(f"line {number}: {fields[2][:20]!r} is no phone of TIMIT")
        yield _CLASS[fields[2]], start, end


def _text(writer: CorpusWriter, tree: Tree, beside: dict[str, str], path: str) -> str | None:
    """Return the text of a sentence: the third word of its .TXT and all after it."""
    name = beside.get(_stem(path) + ".txt")
    if name is None:
        return None
    try:
        words = read_text(tree.root / name, _LARGEST_LABELS).split()
    except CorpusError as error:
        writer.skip(printable(name), str(error), kind="text")
        return None
    return " ".join(words[2:]) or None


def _stem(path: str) -> str:
    """Return a path in lower case without its suffix, and without `.wav` before it.

    >>> _stem("TRAIN/DR1/FCJF0/SX1.WAV.wav"), _stem("SX1.flac")
    ('train/dr1/fcjf0/sx1', 'sx1')
    """
    return os.path.splitext(path.lower())[0].removesuffix(".wav")
