"""LibriSpeech as OpenSLR ships it: any of its subsets, from the folder that holds them.

    LibriSpeech/train-clean-100/103/1240/103-1240-0000.flac      subset / speaker / chapter
    LibriSpeech/train-clean-100/103/1240/103-1240.trans.txt

The layout is walked here and not by lhotse's recipe, which keeps all of it in memory and ends at the first broken file.
Only headers are read; `inattention corpus validate` decodes everything.

Phones come from the labels that CPC published for train-clean-100 (`--phones cpc --labels FOLDER`, where FOLDER holds
`converted_aligned_phones.txt` and the two lists), or from TextGrids of the Montreal Forced Aligner (`--phones mfa
--labels FOLDER`). Splits:

- `chapters` (default): each speaker is in all splits, and no chapter is in two; a speaker with one chapter is split by
  utterance, and counted.
- `cpc`: the phone task as CPC published it. Its test list is test; dev is taken from its train list, by chapters; the
  two lists themselves share chapters.
- `official`: LibriSpeech's own train, dev and test subsets, whose speakers differ: for phones and training.
- `random`: utterances at random, as the paper has it for speakers; chapters then stand on both sides.

The audio stays where it is unless `--copy` is given.
"""

import dataclasses
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inattention.corpora.core.audio_facts import Facts
from inattention.corpora.core.corpus import Corpus
from inattention.corpora.core.cut_building import Phone
from inattention.corpora.core.file_tree import Tree, content_digest, fingerprint, read_text, read_tree
from inattention.corpora.core.phones import ENGLISH_PHONES
from inattention.corpora.core.recordings import add_recording, as_json, checked_phones, copy_audio, inspect_files
from inattention.corpora.core.splits import Member, Splits, check_fractions, split_at_random, split_within_speakers
from inattention.corpora.core.writer import CorpusSpec, CorpusWriter, write_corpus
from inattention.corpora.errors import CorpusError
from inattention.corpora.labels.beside_audio import TierNames, fold
from inattention.corpora.labels.cpc import CPC_PHONES, LABELS_FILE, TEST_FILE, TRAIN_FILE, CpcLabels, read_cpc_split
from inattention.corpora.labels.textgrid import LARGEST, parse_textgrid
from inattention.text import printable

NAME = "librispeech"
GENERATOR = 1
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
_NAME = re.compile(r"(\d+)-(\d+)-(\d+)\.flac", re.IGNORECASE)
_LARGEST_TRANSCRIPT = 16 * 2**20


@dataclass(frozen=True, kw_only=True)
class LibriSpeechConfig:
    """Which subsets, with which phones, and how they are divided.

    Attributes:
        path: The folder `LibriSpeech`, or the one that holds it.
        subsets: Such as train-clean-100; all that are there if left out.
        phones: Where phones come from.
        labels: The folder with CPC's files, or the one with the TextGrids.
        split: How the utterances are divided.
        dev: Fraction for tuning.
        test: Fraction for the final measure.
        seed: Of the split.
        copy: Copy the audio into the corpus, which can then be moved.
    """

    path: Path = Path("LibriSpeech")
    subsets: tuple[str, ...] = ()
    phones: Literal["none", "cpc", "mfa"] = "none"
    labels: Path | None = None
    split: Literal["chapters", "cpc", "official", "random"] = "chapters"
    dev: float = 0.1
    test: float = 0.1
    seed: int = 0
    copy: bool = False

    def __post_init__(self) -> None:
        check_fractions(self.dev, self.test)
        unknown = sorted(set(self.subsets) - set(SUBSETS))
        if unknown:
            raise CorpusError(f"LibriSpeech has no subset {unknown[0]!r}: choose from {', '.join(SUBSETS)}")
        if (self.phones != "none" or self.split == "cpc") and self.labels is None:
            raise CorpusError("say with --labels where CPC's files or the TextGrids are")


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
    """Prepare a corpus of LibriSpeech, unless it stands there already.

    Args:
        config: Which subsets, with which phones, and how they are divided.
        folder: Where the corpus is to stand.
        overwrite: Prepare it in any case, replacing the corpus that stands there.
        workers: Processes that read headers; by default one a core. They do not change the outcome.
        progress: Show a progress bar on stderr.

    Raises:
        CorpusError: There is no LibriSpeech there, labels are missing or broken, or the corpus cannot be written.
    """
    tree = _subsets(config)
    labels, label_key = _labels(config)
    settings = dataclasses.asdict(config)
    for name in ("path", "labels"):
        del settings[name]  # the same files elsewhere are the same corpus
    settings |= {"files": fingerprint(tree), "labels": label_key}
    spec = CorpusSpec(
        name=NAME,
        config=as_json(settings),
        generator=GENERATOR,
        phones={"none": (), "cpc": CPC_PHONES, "mfa": ENGLISH_PHONES}[config.phones],
        caveat=_CAVEATS[config.split],
        packages=_PACKAGES,
        audio_root=None if config.copy else tree.root,
    )

    def fill(writer: CorpusWriter) -> None:
        for item, reason in tree.bad:
            writer.skip(item, reason)
        utterances = _utterances(tree, writer, workers=workers, progress=progress)
        texts = _transcripts(tree, writer, {utterance.name for utterance in utterances})
        splits = _split(config, utterances)
        labelled = 0
        for utterance in utterances:
            if utterance.name not in splits.of:
                continue
            phones = labels(writer, utterance) if labels else None
            labelled += phones is not None
            source = copy_audio(writer, tree.root, utterance.path) if config.copy else utterance.path
            add_recording(
                writer,
                name=utterance.name,
                source=source,
                facts=utterance.facts,
                split_of=splits.of,
                longest=float("inf"),
                speaker=utterance.speaker,
                text=texts.get(utterance.name),
                language="English",
                phones=phones,
            )
        left_out = len(utterances) - len(splits.of)
        notes = {"utterances with phones": labelled, "utterances in no list of the split": left_out, **splits.notes()}
        writer.report("notes", {words: count for words, count in notes.items() if count})

    return write_corpus(folder, spec, fill, overwrite=overwrite)


def _subsets(config: LibriSpeechConfig) -> Tree:
    """List the files of the subsets that are wanted."""
    root = config.path.expanduser()
    if not any((root / subset).is_dir() for subset in SUBSETS) and (root / "LibriSpeech").is_dir():
        root = root / "LibriSpeech"
    there = [subset for subset in SUBSETS if (root / subset).is_dir()]
    wanted = config.subsets or tuple(there)
    missing = sorted(set(wanted) - set(there))
    if missing or not there:
        raise CorpusError(
            f"{root} has no {missing[0] if missing else 'subset of LibriSpeech'} (it has: "
            f"{', '.join(there) or 'none'}): say with --path where LibriSpeech was unpacked"
        )
    whole = Tree(root.resolve())
    for subset in wanted:
        part = read_tree(root / subset, (".flac", ".txt"))
        whole.files |= {f"{subset}/{name}": size for name, size in part.files.items()}
        whole.bad += [(f"{subset}/{item}", reason) for item, reason in part.bad]
    return whole


def _utterances(tree: Tree, writer: CorpusWriter, *, workers: int | None, progress: bool) -> list[_Utterance]:
    """Read the headers of all utterances, in the order of their names."""
    named: dict[str, re.Match[str]] = {}
    seen: set[str] = set()
    for path in tree.files:
        if not path.lower().endswith(".flac"):
            continue
        match = _NAME.fullmatch(os.path.basename(path))
        if match is None:
            writer.skip(printable(path), "is not called as LibriSpeech's utterances are (speaker-chapter-number.flac)")
        elif match[0].lower() in seen:
            writer.skip(printable(path), "another utterance has the same name")
        else:
            seen.add(match[0].lower())
            named[path] = match
    found = inspect_files(writer, tree.root, named, decode=False, workers=workers, progress=progress)
    return [
        _Utterance(
            name=os.path.splitext(named[path][0])[0],
            path=path,
            facts=facts,
            subset=path.partition("/")[0],
            speaker=named[path][1],
            chapter=f"{named[path][1]}-{named[path][2]}",
        )
        for path, facts in found
    ]


def _transcripts(tree: Tree, writer: CorpusWriter, names: set[str]) -> dict[str, str]:
    """Read what is said; a line without its audio is counted."""
    texts: dict[str, str] = {}
    audio = {os.path.splitext(os.path.basename(path))[0] for path in tree.files if path.lower().endswith(".flac")}
    for path in tree.files:
        if not path.endswith(".trans.txt"):
            continue
        try:
            lines = read_text(tree.root / path, _LARGEST_TRANSCRIPT).splitlines()
        except CorpusError as error:
            writer.skip(printable(path), str(error))
            continue
        for line in lines:
            name, _, text = line.strip().partition(" ")
            if name in names:
                texts[name] = text.strip()
            elif name and name not in audio:
                writer.skip(printable(name[:80]), f"{printable(path)} has its words, but there is no such audio")
    return texts


def _split(config: LibriSpeechConfig, utterances: list[_Utterance]) -> Splits:
    if config.split == "official":
        return Splits({u.name: u.subset.partition("-")[0] for u in utterances})
    members = [utterance.member for utterance in utterances]
    if config.split == "random":
        return split_at_random(members, dev=config.dev, test=config.test, seed=config.seed)
    if config.split == "chapters":
        return split_within_speakers(members, dev=config.dev, test=config.test, seed=config.seed)
    assert config.labels is not None
    train, test = (read_cpc_split(config.labels / name) for name in (TRAIN_FILE, TEST_FILE))
    shared = train & test
    if shared:
        raise CorpusError(f"{min(shared)} stands in {TRAIN_FILE} and in {TEST_FILE} of {config.labels}")
    # Dev comes out of train: test is for the end. What would be test within train stays there.
    parts = split_within_speakers(
        [member for member in members if member.id in train], dev=config.dev, test=0.0, seed=config.seed
    )
    parts.of.update((member.id, "test") for member in members if member.id in test)
    return parts


def _labels(config: LibriSpeechConfig) -> tuple[Callable[[CorpusWriter, _Utterance], list[Phone] | None] | None, str]:
    """Give what reads an utterance's phones, and what tells these labels from others."""
    if config.labels is None or config.phones == "none":
        return None, _lists_key(config)
    folder = config.labels.expanduser().resolve()
    if config.phones == "cpc":
        labels = CpcLabels(folder / LABELS_FILE)
        return lambda writer, utterance: _cpc_phones(labels, writer, utterance), (
            content_digest(folder / LABELS_FILE).hex()[:16] + _lists_key(config)
        )
    tree = read_tree(folder, (".textgrid",))
    if not tree.files:
        raise CorpusError(f"there is no TextGrid in {folder}")
    by_name: dict[str, list[str]] = {}
    for path in tree.files:
        by_name.setdefault(os.path.splitext(os.path.basename(path))[0], []).append(path)
    return lambda writer, utterance: _mfa_phones(folder, by_name, writer, utterance), (
        fingerprint(tree, contents=(".textgrid",))
    )


def _lists_key(config: LibriSpeechConfig) -> str:
    if config.split != "cpc" or config.labels is None:
        return ""
    return "".join(content_digest(config.labels / name).hex()[:16] for name in (TRAIN_FILE, TEST_FILE))


def _cpc_phones(labels: CpcLabels, writer: CorpusWriter, utterance: _Utterance) -> list[Phone] | None:
    if utterance.name not in labels:  # CPC labelled train-clean-100 alone, and not all of that
        return None
    try:
        phones = labels.phones(utterance.name)
    except CorpusError as error:
        writer.skip(utterance.name, f"its phones are left out: {error}")
        return None
    return checked_phones(writer, utterance.name, phones, utterance.facts.seconds)


def _mfa_phones(
    folder: Path, by_name: dict[str, list[str]], writer: CorpusWriter, utterance: _Utterance
) -> list[Phone] | None:
    paths = by_name.get(utterance.name, [])
    if not paths:
        return None
    try:
        if len(paths) > 1:
            raise CorpusError(f"there are {len(paths)} TextGrids of that name: {', '.join(map(printable, paths[:2]))}")
        tiers = parse_textgrid(read_text(folder / paths[0], LARGEST))
        phones = fold(TierNames().choose(tiers).intervals, english=True)
    except CorpusError as error:
        writer.skip(utterance.name, f"its phones are left out: {error}")
        return None
    return checked_phones(writer, utterance.name, phones, utterance.facts.seconds)
