"""Any folder of recordings: folders name the speakers, and files beside the audio may contain phones or texts.

`ann/monday.flac` is a recording of *ann*; the folders above it are part of its id. `monday.TextGrid` or `monday.ctm` in
the same folder contains its phones, `monday.txt` its text, from which phones can be found by forced alignment
(`--align`, extra `align`). With `--labels`, labels and texts are looked for in another folder first, and a CTM of many
recordings may have any name (`inattention.corpora.labels.matching`). Labels that end before the audio leave the rest
without labels; unknown words (`spn`) count as silence.

All audio is decoded once; what cannot be used is skipped with its reason. Recordings longer than `longest_seconds` are
divided into equal pieces, all in the same split.

The audio stays where it is unless `--copy` is given.
"""

import dataclasses
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from inattention.audio.limits import Truncated
from inattention.corpora.core.audio_facts import Facts
from inattention.corpora.core.corpus import Corpus
from inattention.corpora.core.cut_building import Phone
from inattention.corpora.core.file_tree import Tree, check_encoding, fingerprint, read_tree
from inattention.corpora.core.phones import ENGLISH_PHONES, LabelSymbols
from inattention.corpora.core.recordings import (
    add_recording,
    as_json,
    checked_phones,
    copy_audio,
    inspect_files,
    inventory,
    members_of,
    skip_unreadable,
    without_defaults,
)
from inattention.corpora.core.splits import check_fractions, split_within_speakers
from inattention.corpora.core.writer import CorpusSpec, CorpusWriter, write_corpus
from inattention.corpora.errors import CorpusError
from inattention.corpora.labels.alignment_jobs import Refused, align_texts
from inattention.corpora.labels.beside_audio import (
    LABEL_SUFFIXES,
    NO_LABELS,
    TEXT_SUFFIX,
    Audio,
    LabelReader,
    read_labels_folder,
)
from inattention.corpora.labels.textgrid import TierNames
from inattention.text import printable

NAME = "folder"
GENERATOR = 2  # 2: labels with small faults are repaired, silence has the same label everywhere
CAVEAT = "A user's own recordings: who speaks is what their folders are called."
_PACKAGES = ("lhotse", "soundfile")


@dataclass(frozen=True, kw_only=True)
class FolderConfig:
    """Settings of a corpus of a folder of recordings.

    Attributes:
        path: The folder; folders in it are included, links are followed. A single file is divided into at least three
            pieces, for the three splits.
        speaker_level: Which folder names the speaker: 1 is the recording's own, 2 the one above it.
        phone_set: `as-is` keeps the labels' own symbols; `english` reads ARPAbet, drops stress, and refuses others.
        tier: The TextGrid's tier of phones, by name or number; if empty, a tier with one of the usual names.
        silence: More labels of silence, besides `sil`, `sp`, `spn`, `<eps>`, the empty label and other usual ones.
        labels: Folder of the labels and texts, if they are not beside the audio: with the same folders as the
            recordings, or with names that are unique.
        encoding: Of labels and texts that are neither UTF-8 nor UTF-16, such as latin-1.
        align: Find phones by forced alignment where there is only a text.
        longest_seconds: Longer recordings are divided.
        shortest_seconds: Shorter ones are skipped.
        dev: Fraction of each speaker's recordings for tuning.
        test: Fraction for testing.
        seed: Of the split.
        copy: Copy the audio into the corpus, which can then be moved.
        truncated: Skip files that end before their headers say, or keep what is there of them, without their texts.
        language: The language spoken, if it is the same in all recordings.
    """

    path: Path = Path("recordings")
    speaker_level: int = 1
    phone_set: Literal["as-is", "english"] = "as-is"
    tier: str = ""
    silence: tuple[str, ...] = ()
    labels: Path | None = None
    encoding: str = "utf-8"
    align: bool = False
    longest_seconds: float = 30.0
    shortest_seconds: float = 0.2
    dev: float = 0.1
    test: float = 0.1
    seed: int = 0
    copy: bool = False
    truncated: Truncated = "skip"
    language: str = ""

    def __post_init__(self) -> None:
        check_fractions(self.dev, self.test)
        check_encoding(self.encoding)
        if self.speaker_level < 1:
            raise CorpusError(f"speaker_level must be at least 1, not {self.speaker_level}")
        if not 0 < self.shortest_seconds < self.longest_seconds:
            raise CorpusError("shortest_seconds must be above 0 and below longest_seconds")


@dataclass
class _Recording:
    name: str
    facts: Facts
    item: str
    speaker: str
    text: str | None = None
    phones: list[Phone] | None = None


def prepare(
    config: FolderConfig,
    folder: str | Path,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> Corpus:
    """Prepare a corpus of a folder of recordings; see `inattention.corpora.registry.Prepare`.

    Raises:
        CorpusError: There is no such folder, nothing in it can be used, or the corpus cannot be written.
    """
    tree = read_tree(config.path, (*LABEL_SUFFIXES, TEXT_SUFFIX), audio=True)
    apart = None if config.labels is None else read_labels_folder(config.labels)
    settings = _settings(config) | {"files": fingerprint(tree, contents=(*LABEL_SUFFIXES, TEXT_SUFFIX))}
    if apart is not None:
        settings["label_files"] = fingerprint(apart, contents=(*LABEL_SUFFIXES, TEXT_SUFFIX))
    spec = CorpusSpec(
        name=NAME,
        config=as_json(settings),
        generator=GENERATOR,
        phones=(),
        caveat=CAVEAT,
        packages=_PACKAGES,
        audio_root=None if config.copy else tree.root,
    )

    def fill(writer: CorpusWriter) -> None:
        skip_unreadable(writer, tree)
        if apart is not None:
            skip_unreadable(writer, apart)
        if not tree.recordings:
            raise CorpusError(f"there is no audio in {tree.root}{_beside(tree)}")
        writer.found("recording", len(tree.recordings))
        how: Any = {"decode": True, "truncated": config.truncated, "workers": workers, "progress": progress}
        found = inspect_files(writer, tree.root, tree.recordings, **how)
        recordings = [_recording(config, tree.root, name, facts) for name, facts in found]
        recordings = [r for r in recordings if _is_long_enough(config, writer, r)]
        reader = LabelReader(
            *(tree, tree.recordings, LabelSymbols(config.phone_set == "english", config.silence)),
            tiers=TierNames(config.tier),
            apart=apart,
            encoding=config.encoding,
        )
        _label(config, tree.root, writer, reader, recordings, workers=workers, progress=progress)
        _add(config, tree, writer, recordings)

    return write_corpus(folder, spec, fill, overwrite=overwrite)


def _beside(tree: Tree) -> str:
    """Return what was found instead of audio, in words."""
    counts = Counter(what for _, what in tree.ignored)
    return "".join(f"; {count} x {what}" for what, count in sorted(counts.items()))


def _settings(config: FolderConfig) -> dict[str, Any]:
    """Return the settings that distinguish corpora: not where files are, which may be moved."""
    settings = dataclasses.asdict(config)
    for name in ("path", "labels"):
        del settings[name]
    return without_defaults(settings, silence=(), encoding="utf-8")


def _recording(config: FolderConfig, root: Path, name: str, facts: Facts) -> _Recording:
    folders = os.path.dirname(name).split(os.sep) if os.path.dirname(name) else []
    level = config.speaker_level
    speaker = folders[-level] if len(folders) >= level else root.name
    return _Recording(name, facts, printable(name), printable(speaker))


def _is_long_enough(config: FolderConfig, writer: CorpusWriter, recording: _Recording) -> bool:
    seconds = recording.facts.seconds
    if seconds >= config.shortest_seconds:
        return True
    reason = f"lasts {seconds:.4g} s, less than shortest_seconds ({config.shortest_seconds:g} s)"
    writer.skip(recording.item, reason, category="too short", seconds=seconds)
    return False


def _label(
    config: FolderConfig,
    root: Path,
    writer: CorpusWriter,
    reader: LabelReader,
    recordings: list[_Recording],
    *,
    workers: int | None,
    progress: bool,
) -> None:
    """Set the recordings' phones and texts from files; those that cannot be used are counted."""
    for recording in recordings:
        audio = Audio(recording.facts.seconds, bool(recording.facts.damage), recording.speaker)
        recording.phones = reader.phones(writer, recording.name, audio)
        recording.text = reader.text(writer, recording.name)
    reader.report(writer, used=(recording.name for recording in recordings))
    if config.align:
        _align(root, writer, recordings, workers=workers, progress=progress)
    for recording in recordings if reader else ():
        if recording.phones is None and recording.name not in reader:
            writer.lack(recording.item, NO_LABELS)
    symbols = {symbol for r in recordings for symbol, _, _ in r.phones or ()}
    writer.phones = ENGLISH_PHONES if config.phone_set == "english" and symbols else inventory(symbols)


def _align(
    root: Path, writer: CorpusWriter, recordings: list[_Recording], *, workers: int | None, progress: bool
) -> None:
    """Set the phones of recordings that have only a text."""
    todo = [r for r in recordings if r.phones is None and r.text and not r.facts.damage]
    jobs = [(root / r.name, r.text or "") for r in todo]
    for recording, result in zip(todo, align_texts(jobs, workers=workers, progress=progress), strict=True):
        if isinstance(result, Refused):
            reason = f"its text could not be aligned: {result.reason}"
            writer.skip(recording.item, reason, kind="label", speaker=recording.speaker)
        else:
            phones: list[Phone] = list(result.phones)
            seconds, speaker = recording.facts.seconds, recording.speaker
            recording.phones = checked_phones(writer, recording.item, phones, seconds, speaker=speaker)


def _add(config: FolderConfig, tree: Tree, writer: CorpusWriter, recordings: list[_Recording]) -> None:
    longest = config.longest_seconds
    if len(tree.recordings) == 1 and recordings:
        longest = min(longest, recordings[0].facts.seconds / 3)
    splits = split_within_speakers(
        (m for r in recordings for m in members_of(r.item, r.speaker, r.item, r.facts, longest)),
        dev=config.dev,
        test=config.test,
        seed=config.seed,
    )
    writer.report("notes", {"recordings with phones": sum(r.phones is not None for r in recordings), **splits.notes()})
    seen: set[str] = set()
    for recording in recordings:
        if recording.item in seen:  # two names that differ only in characters that cannot be printed
            reason = "another file's name is printed the same: rename one"
            writer.skip(recording.item, reason, seconds=recording.facts.seconds)
            continue
        seen.add(recording.item)
        try:
            source = copy_audio(writer, tree.root, recording.name) if config.copy else recording.name
        except OSError as error:
            if os.access(tree.root / recording.name, os.R_OK):
                raise
            writer.skip(recording.item, f"cannot be copied ({error.strerror})", seconds=recording.facts.seconds)
            continue
        add_recording(
            writer,
            name=recording.item,
            source=source,
            facts=recording.facts,
            split_of=splits.of,
            longest=longest,
            speaker=recording.speaker,
            text=recording.text,
            language=config.language or None,
            phones=recording.phones,
        )
