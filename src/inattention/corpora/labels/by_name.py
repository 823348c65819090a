"""The labels of a corpus whose utterances have unique names: TextGrids and CTMs anywhere below a folder."""

import os
from collections import defaultdict
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path

from inattention.corpora.core.file_tree import fingerprint, read_bytes, read_tree
from inattention.corpora.core.writer import CorpusWriter
from inattention.corpora.errors import CorpusError
from inattention.corpora.labels.beside_audio import LABEL_SUFFIXES, NO_AUDIO
from inattention.corpora.labels.ctm import Ctm, read_ctm
from inattention.corpora.labels.intervals import LabelError, Labels, skip_labels
from inattention.corpora.labels.textgrid import LARGEST, TierNames, parse_textgrid
from inattention.text import printable


class NamedLabels:
    """Labels by the name of the utterance, which is that of a TextGrid or stands in a CTM.

    Args:
        folder: Where they are, with folders in it.
        encoding: Of files that are neither UTF-8 nor UTF-16.

    Attributes:
        key: 16 hex digits that distinguish these labels from others.

    Raises:
        CorpusError: There is no such folder, or no label in it.
    """

    def __init__(self, folder: Path, encoding: str) -> None:
        tree = read_tree(folder, LABEL_SUFFIXES)
        if not tree.files:
            raise CorpusError(f"there is no TextGrid or CTM in {folder}")
        self._root, self._bad, self._encoding = tree.root, tree.bad, encoding
        self._files: dict[str, list[str]] = defaultdict(list)
        self._ctms: dict[str, Ctm] = {}
        self._damaged: dict[str, CorpusError] = {}
        for path in tree.files:
            if not path.lower().endswith(".ctm"):
                self._files[os.path.splitext(os.path.basename(path))[0]].append(path)
                continue
            try:
                self._ctms[path] = read_ctm(tree.root / path, encoding)
            except CorpusError as error:
                self._damaged[path] = error
                continue
            for name in self._ctms[path].names:
                self._files[name].append(path)
        self.key = fingerprint(tree, contents=LABEL_SUFFIXES)

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def labels(self, name: str) -> Labels | None:
        """Return the labels of an utterance; None if it has none.

        Raises:
            LabelError: They are damaged, or there are several; the message names the file.
        """
        paths = self._files.get(name, [])
        if not paths:
            return None
        if len(paths) > 1:
            kind = "labels" if self._ctms else "TextGrids"
            places = ", ".join(map(printable, paths[:2]))
            raise LabelError(f"there are {len(paths)} {kind} of that name: {places}", category="ambiguous label")
        path = paths[0]
        try:
            if path in self._ctms:
                labels = self._ctms[path].labels(name)
            else:
                labels = parse_textgrid(read_bytes(self._root / path, LARGEST), self._encoding).labels(TierNames())
            return replace(labels, file=printable(path))
        except CorpusError as error:
            category = error.category if isinstance(error, LabelError) else None
            raise LabelError(f"{printable(path)}: {error}", category=category) from None

    def report(self, writer: CorpusWriter, names: AbstractSet[str]) -> None:
        """Report files that cannot be read, and labels of no utterance, which may be those of another subset."""
        for item, reason in self._bad:
            writer.skip(item, reason, kind="label")
        for path, error in self._damaged.items():
            skip_labels(writer, printable(path), error)
        for name, paths in self._files.items():
            if name not in names:
                for path in paths:
                    shown = f"{printable(path)} ({printable(name)})" if path in self._ctms else printable(path)
                    writer.ignore(shown, NO_AUDIO, kind="label")
