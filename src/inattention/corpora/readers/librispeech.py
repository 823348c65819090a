"""LibriSpeech as OpenSLR publishes it, or converted to another format: any of its subsets, or parts of them.

    LibriSpeech/train-clean-100/103/1240/103-1240-0000.flac      subset / speaker / chapter
    LibriSpeech/train-clean-100/103/1240/103-1240.trans.txt

The layout is read here and not by lhotse's recipe, which keeps all of it in memory and stops at the first broken file.
Only headers are read; `inattention corpus validate` decodes everything.

Phones come from the labels that CPC published for train-clean-100 (`--phones cpc --labels FOLDER`, where FOLDER
contains `converted_aligned_phones.txt` and the two lists), or from TextGrids of the Montreal Forced Aligner or CTMs
(`--phones mfa --labels FOLDER`). Splits:

- `chapters` (default): each speaker is in all splits, and no chapter is in two; a speaker with one chapter is split by
  utterance, and counted.
- `cpc`: the phone task as CPC published it. Its test list is test; dev is taken from its train list, by chapters; the
  two lists themselves share chapters.
- `official`: LibriSpeech's own train, dev and test subsets, whose speakers differ: for phones and training.
- `random`: utterances at random, as in the paper's speaker task; chapters are then in several splits.

The audio stays where it is unless `--copy` is given.
"""

import dataclasses
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from inattention.audio.limits import Truncated
from inattention.corpora.core.audio_facts import Facts
from inattention.corpora.core.corpus import SPLITS, Corpus
from inattention.corpora.core.cut_building import Phone
from inattention.corpora.core.file_tree import Tree, check_encoding, content_digest, fingerprint, read_text
from inattention.corpora.core.phones import ENGLISH_PHONES, LabelSymbols
from inattention.corpora.core.recordings import (
    add_recording,
    as_json,
    checked_phones,
    copy_audio,
    skip_unreadable,
    without_defaults,
)
from inattention.corpora.core.splits import Member, Splits, check_fractions, split_at_random, split_within_speakers
from inattention.corpora.core.writer import CorpusSpec, CorpusWriter, write_corpus
from inattention.corpora.errors import CorpusError
from inattention.corpora.labels.beside_audio import NO_LABELS
from inattention.corpora.labels.by_name import NamedLabels
from inattention.corpora.labels.cpc import CPC_PHONES, LABELS_FILE, TEST_FILE, TRAIN_FILE, CpcLabels, read_cpc_split
from inattention.corpora.labels.intervals import skip_labels, use_labels
from inattention.corpora.readers.speech_tree import audio_of, inspect_formats, read_speech_tree
from inattention.text import closest, printable

NAME = "librispeech"
GENERATOR = 1
GENERATOR_OF_ALIGNERS = 2  # 2: labels with small faults are repaired, and unknown words are silence
SUBSETS = (
    *("train-clean-100", "train-clean-360", "train-other-500"),
    *("dev-clean", "dev-other", "test-clean", "test-other", "train-clean-5", "dev-clean-2"),
)
_CAVEATS = {
    "chapters": "Read English; no chapter stands in two splits, but for speakers with fewer than three.",
    "cpc": "Read English, split as CPC published it for phones: chapters and speakers stand in train and in test.",
    "official": "Read English in LibriSpeech's own splits, whose speakers differ: no speaker task.",
    "random": "Read English split at random, as the paper has it: chapters stand in several splits, which helps the "
    "speaker task.",
}
_PACKAGES = ("lhotse", "soundfile")
_NAME = re.compile(r"(\d+)-(\d+)-(\d+)", re.ASCII)
_LARGEST_TRANSCRIPT = 16 * 2**20


@dataclass(frozen=True, kw_only=True)
class LibriSpeechConfig:
    """Settings of a LibriSpeech corpus.

    Attributes:
        path: The folder `LibriSpeech`, or the one above it.
        subsets: Such as train-clean-100; by default all that are there.
        phones: The source of the phones.
        labels: The folder of CPC's files, or of the TextGrids or CTMs, which are found by name.
        silence: With `phones mfa`, more labels of silence, besides `sil`, `sp`, `spn`, `<eps>` and other usual ones.
        encoding: Of labels that are neither UTF-8 nor UTF-16, such as latin-1.
        split: How to split the utterances.
        dev: Fraction for tuning.
        test: Fraction for testing.
        seed: Of the split.
        copy: Copy the audio into the corpus, which can then be moved.
        truncated: Skip files that end before their headers say, or keep what is there of them.
    """

    path: Path = Path("LibriSpeech")
    subsets: tuple[str, ...] = ()
    phones: Literal["none", "cpc", "mfa"] = "none"
    labels: Path | None = None
    silence: tuple[str, ...] = ()
    encoding: str = "utf-8"
    split: Literal["chapters", "cpc", "official", "random"] = "chapters"
    dev: float = 0.1
    test: float = 0.1
    seed: int = 0
    copy: bool = False
    truncated: Truncated = "skip"

    def __post_init__(self) -> None:
        check_fractions(self.dev, self.test)
        check_encoding(self.encoding)
        unknown = sorted(set(self.subsets) - set(SUBSETS))
        if unknown:
            raise CorpusError(f"LibriSpeech has no subset {unknown[0]!r}{closest(unknown[0], SUBSETS)}")
        if (self.phones != "none" or self.split == "cpc") and self.labels is None:
            raise CorpusError("--labels is needed: the folder of CPC's files, or of the TextGrids or CTMs")


@dataclass(frozen=True)
class _Utterance:
    name: str
    path: str
    facts: Facts
    subset: str
    speaker: str
    chapter: str

    @property
    def member(self) -> Member:
        return Member(self.name, self.speaker, self.chapter, self.facts.seconds)


def prepare(
    config: LibriSpeechConfig,
    folder: str | Path,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> Corpus:
    """Prepare a LibriSpeech corpus; see `inattention.corpora.registry.Prepare`.

    Raises:
        CorpusError: A subset is missing, labels are missing or damaged, or the corpus cannot be written.
    """
    tree = _subsets(config)
    labels = _labels(config)
    settings = dataclasses.asdict(config)
    for name in ("path", "labels"):
        del settings[name]  # the same files in another folder are the same corpus
    settings = without_defaults(settings, silence=(), encoding="utf-8")
    settings |= {"files": fingerprint(tree), "labels": labels.key if labels else _lists_key(config)}
    spec = CorpusSpec(
        name=NAME,
        config=as_json(settings),
        generator=GENERATOR_OF_ALIGNERS if config.phones == "mfa" else GENERATOR,
        phones={"none": (), "cpc": CPC_PHONES, "mfa": ENGLISH_PHONES}[config.phones],
        caveat=_CAVEATS[config.split],
        packages=_PACKAGES,
        audio_root=None if config.copy else tree.root,
    )

    def fill(writer: CorpusWriter) -> None:
        skip_unreadable(writer, tree)
        utterances = _utterances(config, tree, writer, workers=workers, progress=progress)
        _add(config, tree, writer, utterances, labels)

    return write_corpus(folder, spec, fill, overwrite=overwrite)


def _add(
    config: LibriSpeechConfig, tree: Tree, writer: CorpusWriter, utterances: list[_Utterance], labels: "_Labels | None"
) -> None:
    texts = _transcripts(tree, writer, {utterance.name for utterance in utterances})
    splits = _split(config, utterances)
    labelled = 0
    for utterance in utterances:
        if utterance.name not in splits.of:
            category, seconds = "in no list of the split", utterance.facts.seconds
            writer.ignore(utterance.name, category, kind="recording", seconds=seconds)
            continue
        phones = labels.use(writer, utterance) if labels else None
        if labels and utterance.name not in labels:
            writer.lack(utterance.name, NO_LABELS)
        labelled += phones is not None
        add_recording(
            writer,
            name=utterance.name,
            source=copy_audio(writer, tree.root, utterance.path) if config.copy else utterance.path,
            facts=utterance.facts,
            split_of=splits.of,
            longest=float("inf"),
            speaker=utterance.speaker,
            text=texts.get(utterance.name),
            language="English",
            phones=phones,
        )
    if isinstance(labels, _AlignerLabels):
        labels.report(writer, utterances)
    unlisted = len(utterances) - len(splits.of)
    notes = {"utterances with phones": labelled, "utterances in no list of the split": unlisted, **splits.notes()}
    writer.report("notes", {words: count for words, count in notes.items() if count})


def _subsets(config: LibriSpeechConfig) -> Tree:
    """Return the files of the selected subsets."""
    root = config.path.expanduser()
    if not any((root / subset).is_dir() for subset in SUBSETS) and (root / "LibriSpeech").is_dir():
        root = root / "LibriSpeech"
    there = [subset for subset in SUBSETS if (root / subset).is_dir()]
    wanted = config.subsets or tuple(there)
    missing = sorted(set(wanted) - set(there))
    if missing or not there:
        raise CorpusError(
            f"{root} has no {missing[0] if missing else 'subset of LibriSpeech'} (it has: "
            f"{', '.join(there) or 'none'}): --path must be the folder where LibriSpeech was unpacked"
        )
    whole = Tree(root.resolve())
    for subset in wanted:
        part = read_speech_tree(root / subset, (".txt",))
        whole.files |= {f"{subset}/{name}": size for name, size in part.files.items()}
        whole.recordings += [f"{subset}/{name}" for name in part.recordings]
        whole.bad += [(f"{subset}/{item}", reason) for item, reason in part.bad]
        whole.ignored += [(f"{subset}/{item}", what) for item, what in part.ignored]
    return whole


def _utterances(
    config: LibriSpeechConfig, tree: Tree, writer: CorpusWriter, *, workers: int | None, progress: bool
) -> list[_Utterance]:
    """Read the headers of all utterances, in the order of their names."""
    formats: dict[str, list[str]] = {}
    for path in audio_of(tree, ".flac"):
        name = _name(path)
        if _NAME.fullmatch(name) is None:
            writer.found("recording", 1)
            writer.skip(printable(path), "is not named like LibriSpeech's utterances (speaker-chapter-number.flac)")
        elif name not in formats:
            formats[name] = [path]
        elif os.path.dirname(path) == os.path.dirname(formats[name][0]):
            formats[name].append(path)
        else:
            writer.found("recording", 1)
            writer.skip(printable(path), "another utterance has the same name")
    writer.found("recording", len(formats))
    how: Any = {"decode": False, "truncated": config.truncated, "workers": workers, "progress": progress}
    utterances = []
    for name, (path, facts) in inspect_formats(writer, tree.root, dict(sorted(formats.items())), **how).items():
        speaker, chapter, _ = name.split("-")
        subset = path.partition("/")[0]
        utterances.append(_Utterance(name, path, facts, subset, speaker, f"{speaker}-{chapter}"))
    return utterances


def _name(path: str) -> str:
    """Return the name of an utterance's file without its suffix."""
    return os.path.splitext(os.path.basename(path))[0]


def _transcripts(tree: Tree, writer: CorpusWriter, names: set[str]) -> dict[str, str]:
    """Return the text of each utterance; lines without audio, and utterances without text, are counted."""
    texts: dict[str, str] = {}
    audio = {_name(path) for path in audio_of(tree, ".flac")}
    for path in tree.files:
        if not path.lower().endswith(".trans.txt"):
            continue
        try:
            lines = read_text(tree.root / path, _LARGEST_TRANSCRIPT).splitlines()
        except CorpusError as error:
            writer.skip(printable(path), str(error), kind="file")
            continue
        for line in lines:
            name, _, text = line.strip().partition(" ")
            if name in names:
                texts[name] = text.strip()
            elif name and name not in audio:
                reason = f"{printable(path)} has its text, but there is no such audio"
                writer.skip(printable(name[:80]), reason, kind="text", category="text without audio")
    for name in sorted(names - texts.keys()):
        writer.lack(name, "without a transcript")
    return texts


def _split(config: LibriSpeechConfig, utterances: list[_Utterance]) -> Splits:
    if config.split == "official":
        return _official(utterances)
    members = [utterance.member for utterance in utterances]
    if config.split == "random":
        return split_at_random(members, dev=config.dev, test=config.test, seed=config.seed)
    if config.split == "chapters":
        return split_within_speakers(members, dev=config.dev, test=config.test, seed=config.seed)
    assert config.labels is not None
    train, test = (read_cpc_split(config.labels / name) for name in (TRAIN_FILE, TEST_FILE))
    shared = train & test
    if shared:
        raise CorpusError(f"{min(shared)} is in both {TRAIN_FILE} and {TEST_FILE} of {config.labels}")
    # Dev is taken from the train list alone, as the test list is test.
    parts = split_within_speakers(
        [member for member in members if member.id in train], dev=config.dev, test=0.0, seed=config.seed
    )
    parts.of.update((member.id, "test") for member in members if member.id in test)
    return parts


def _official(utterances: list[_Utterance]) -> Splits:
    """Return LibriSpeech's own splits.

    Raises:
        CorpusError: There is no subset of one of them.
    """
    splits = Splits({u.name: u.subset.partition("-")[0] for u in utterances})
    missing = [split for split in SPLITS if split not in splits.of.values()]
    if missing:
        there = ", ".join(sorted({u.subset for u in utterances})) or "none"
        raise CorpusError(
            f"the official split has no utterances for {' and '.join(missing)}: of the subsets, {there} can be used; "
            "--split chapters divides the utterances of any subsets"
        )
    return splits


@runtime_checkable
class _Labels(Protocol):
    """Phone labels of utterances; `key` distinguishes them from other labels."""

    key: str

    def __contains__(self, name: object) -> bool:
        """Return whether an utterance has labels, whatever their state."""
        ...

    def use(self, writer: CorpusWriter, utterance: _Utterance) -> list[Phone] | None:
        """Return an utterance's phones if there are some that fit its audio; report others and return None."""
        ...


def _labels(config: LibriSpeechConfig) -> _Labels | None:
    if config.labels is None or config.phones == "none":
        return None
    folder = config.labels.expanduser().resolve()
    return _CpcLabels(folder, _lists_key(config)) if config.phones == "cpc" else _AlignerLabels(folder, config)


def _lists_key(config: LibriSpeechConfig) -> str:
    """Return a digest of the lists that define the split `cpc`; empty for other splits."""
    if config.split != "cpc" or config.labels is None:
        return ""
    return "".join(content_digest(config.labels / name).hex()[:16] for name in (TRAIN_FILE, TEST_FILE))


def _about(utterance: _Utterance) -> dict[str, Any]:
    return {"truncated": bool(utterance.facts.damage), "speaker": utterance.speaker}


class _CpcLabels:
    def __init__(self, folder: Path, lists_key: str) -> None:
        self._labels = CpcLabels(folder / LABELS_FILE)
        self.key = content_digest(folder / LABELS_FILE).hex()[:16] + lists_key

    def __contains__(self, name: object) -> bool:  # CPC labelled train-clean-100 alone, and not all of it
        return name in self._labels

    def use(self, writer: CorpusWriter, utterance: _Utterance) -> list[Phone] | None:
        if utterance.name not in self:
            return None
        try:
            phones = self._labels.phones(utterance.name)
        except CorpusError as error:
            skip_labels(writer, utterance.name, error, speaker=utterance.speaker)
            return None
        return checked_phones(writer, utterance.name, phones, utterance.facts.seconds, **_about(utterance))


class _AlignerLabels:
    def __init__(self, folder: Path, config: LibriSpeechConfig) -> None:
        self._labels = NamedLabels(folder, config.encoding)
        self._symbols = LabelSymbols(english=True, silence=config.silence)
        self.key = self._labels.key

    def __contains__(self, name: object) -> bool:
        return name in self._labels

    def use(self, writer: CorpusWriter, utterance: _Utterance) -> list[Phone] | None:
        try:
            labels = self._labels.labels(utterance.name)
        except CorpusError as error:
            skip_labels(writer, utterance.name, error, speaker=utterance.speaker)
            return None
        if labels is None:
            return None
        seconds, about = utterance.facts.seconds, _about(utterance)
        return use_labels(writer, utterance.name, labels, self._symbols, seconds, **about)

    def report(self, writer: CorpusWriter, utterances: list[_Utterance]) -> None:
        """Report files that cannot be read, and labels of other utterances, such as those of other subsets."""
        self._labels.report(writer, {utterance.name for utterance in utterances})
