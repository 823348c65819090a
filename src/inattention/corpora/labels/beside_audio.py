"""Labels in files of their own: a TextGrid or a CTM with phones, or a text, beside the audio or in another folder."""

import dataclasses
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from inattention.corpora.core.cut_building import Phone
from inattention.corpora.core.file_tree import Tree, read_bytes, read_text, read_tree
from inattention.corpora.core.phones import LabelSymbols
from inattention.corpora.core.writer import CorpusWriter
from inattention.corpora.errors import CorpusError
from inattention.corpora.labels.ctm import Ctm, CtmError, read_ctm
from inattention.corpora.labels.intervals import Labels, skip_labels, use_labels
from inattention.corpora.labels.matching import CTM, TEXTGRID, Source, key_of, match_labels
from inattention.corpora.labels.textgrid import LARGEST, TierNames, parse_textgrid
from inattention.text import printable

LABEL_SUFFIXES = (TEXTGRID, CTM)
TEXT_SUFFIX = ".txt"
NO_AUDIO, NO_LABELS = "label without audio", "without labels"
_LARGEST_TEXT = 2**20


class Audio(NamedTuple):
    """Recording that labels must fit: the duration of a recording, and whether it was cut off; and who speaks."""

    seconds: float
    truncated: bool = False
    speaker: str | None = None


class LabelReader:
    """Finds and reads the labels of recordings; see `inattention.corpora.labels.matching`.

    Args:
        tree: All files of the recordings' folder.
        recordings: Paths of all recordings below it, also of those that cannot be used.
        symbols: How labels are mapped to phones.
        tiers: The tier of a TextGrid with the phones.
        apart: All files of the folder of labels, if there is one.
        encoding: Of label and text files that are neither UTF-8 nor UTF-16.
    """

    def __init__(
        self,
        tree: Tree,
        recordings: Sequence[str],
        symbols: LabelSymbols,
        *,
        tiers: TierNames,
        apart: Tree | None = None,
        encoding: str = "utf-8",
    ) -> None:
        self._trees = [tree] if apart is None else [_without(tree, apart), apart]
        self._symbols, self._tiers, self._encoding = symbols, tiers, encoding
        self._ctms: dict[Source, Ctm] = {}
        self._damaged: dict[Source, CorpusError] = {}
        for folder, files in enumerate(self._files(CTM)):
            for source in (Source(folder, file) for file in files):
                try:
                    self._ctms[source] = read_ctm(self._path(source), encoding)
                except CorpusError as error:
                    self._damaged[source] = error
        names = {source: ctm.names for source, ctm in self._ctms.items()}
        self._matches = match_labels(recordings, self._files(TEXTGRID), names)
        self._texts = match_labels(recordings, self._files(TEXT_SUFFIX), {})
        self._foreign = self._foreign_ctms(recordings)
        self._unusable = {key_of(source.file) for source in (*self._damaged, *self._foreign)}

    def _files(self, suffix: str) -> list[list[str]]:
        return [[file for file in tree.files if file.lower().endswith(suffix)] for tree in self._trees]

    def _path(self, source: Source) -> str:
        return os.path.join(self._trees[source.folder].root, source.file)

    def _foreign_ctms(self, recordings: Iterable[str]) -> dict[Source, CorpusError]:
        """Return CTMs beside recordings without labels that have no line for them."""
        unlabelled: dict[str, str] = {key_of(name): name for name in recordings if name not in self._matches.of}
        found: dict[Source, CorpusError] = {}
        for source, ctm in self._ctms.items():
            name = unlabelled.get(key_of(source.file))
            if name is not None:
                names = ", ".join(repr(name[:40]) for name in ctm.names[:3]) or "none"
                stem = os.path.splitext(os.path.basename(name))[0]
                message = f"has no line for {stem!r} (its recordings: {names})"
                found[source] = CtmError(message, category="CTM without a line for its recording")
        return found

    def __len__(self) -> int:
        return len(self._matches.of)

    def __contains__(self, recording: str) -> bool:
        """Return whether a recording has labels, whatever their state."""
        return recording in self._matches.of or key_of(recording) in self._unusable

    def phones(self, writer: CorpusWriter, recording: str, audio: Audio) -> list[Phone] | None:
        """Return the phones of a recording; None if it has none, or if they cannot be used, which is reported."""
        source = self._matches.of.get(recording)
        if source is None:
            return None
        try:
            labels = self._read(source)
        except CorpusError as error:
            skip_labels(writer, str(source), error, speaker=audio.speaker)
            return None
        return use_labels(
            *(writer, str(source), labels, self._symbols, audio.seconds),
            truncated=audio.truncated,
            speaker=audio.speaker,
        )

    def _read(self, source: Source) -> Labels:
        if source.name is not None:
            return self._ctms[source._replace(name=None)].labels(source.name)
        return parse_textgrid(read_bytes(self._path(source), LARGEST), self._encoding).labels(self._tiers)

    def text(self, writer: CorpusWriter, recording: str) -> str | None:
        """Return the text of a recording on one line; None if there is none, or none that can be read."""
        source = self._texts.of.get(recording)
        if source is None:
            return None
        try:
            return " ".join(read_text(self._path(source), _LARGEST_TEXT, self._encoding).split())
        except CorpusError as error:
            writer.skip(str(source), str(error), kind="text")
            return None

    def report(self, writer: CorpusWriter, used: Iterable[str]) -> None:
        """Report all labels that belong to none of the recordings that are used, with the reason."""
        for source, error in {**self._damaged, **self._foreign}.items():
            skip_labels(writer, str(source), error)
        for source, reason in self._matches.refused.items():
            writer.skip(str(source), reason, kind="label", category="ambiguous label")
        for source, reason in self._texts.refused.items():
            writer.skip(str(source), reason, kind="text", category="ambiguous text")
        for source in self._matches.unused:
            self._report_unused(writer, source)
        for source in self._matches.second:
            writer.ignore(str(source), "more labels of one recording", kind="label")
        reported = set(used)
        for recording, source in self._matches.of.items():
            if recording not in reported:
                category = "label of a skipped recording"
                writer.skip(str(source), f"{printable(recording)} is skipped", kind="label", category=category)

    def _report_unused(self, writer: CorpusWriter, source: Source) -> None:
        file = source._replace(name=None)
        if file in self._foreign:
            return
        error = self._ctms[file].error(source.name) if source.name is not None else None
        if error is not None:
            skip_labels(writer, str(file), error)
        else:
            writer.skip(str(source), "there is no audio of that name", kind="label", category=NO_AUDIO)


def read_labels_folder(folder: Path) -> Tree:
    """List the labels and texts below a folder.

    Raises:
        CorpusError: There is no such folder, or none in it.
    """
    if not folder.expanduser().is_dir():
        raise CorpusError(f"there is no folder {folder}: --labels must be the folder of the TextGrids or CTMs")
    tree = read_tree(folder, (*LABEL_SUFFIXES, TEXT_SUFFIX))
    if not tree.files:
        raise CorpusError(f"there is no TextGrid, CTM or text in {tree.root}, the folder of --labels")
    return tree


def _without(tree: Tree, inner: Tree) -> Tree:
    """Return a tree without the files that are in another tree, too."""
    below = os.path.relpath(inner.root, tree.root)
    if below == os.curdir:
        return Tree(tree.root)
    prefix = below + os.sep
    files = {name: size for name, size in tree.files.items() if not name.startswith(prefix)}
    return dataclasses.replace(tree, files=files)
