"""Folders of a known corpus, whose recordings may have been converted to any format, or to several.

Names tell what a recording is, whatever its suffix. Of several formats of a recording the first that can be read is
used: the published one, then the others by name.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inattention.audio.limits import SUFFIXES
from inattention.corpora.core.audio_facts import Facts
from inattention.corpora.core.file_tree import Tree, read_tree
from inattention.corpora.core.recordings import inspect_files
from inattention.corpora.core.writer import CorpusWriter
from inattention.text import printable

_EMPTY = "empty file"


def read_speech_tree(folder: Path, suffixes: tuple[str, ...]) -> Tree:
    """List the audio below a folder, and the files with some suffixes; see `read_tree`.

    Empty files with the name of audio are recordings that were lost, and so among the bad ones.

    Raises:
        CorpusError: There is no such folder.
    """
    tree = read_tree(folder, (*SUFFIXES, *suffixes), audio=True)
    lost = [item for item, what in tree.ignored if what == _EMPTY and os.path.splitext(item)[1].lower() in SUFFIXES]
    tree.ignored = [(item, what) for item, what in tree.ignored if item not in lost]
    tree.bad += [(item, "is an empty file") for item in lost]
    return tree


def audio_of(tree: Tree, published: str) -> list[str]:
    """Return the files that are audio by name or content, those with the suffix of the published format first."""
    known = set(tree.recordings)
    audio = (path for path in tree.files if os.path.splitext(path)[1].lower() in SUFFIXES or path in known)
    return sorted(audio, key=lambda path: (not path.lower().endswith(published), os.fsencode(path)))


def inspect_formats(
    writer: CorpusWriter, root: Path, formats: Mapping[str, Sequence[str]], **how: Any
) -> dict[str, tuple[str, Facts]]:
    """Read the first format of each recording that can be read; return its path and facts by the recording's name.

    Args:
        writer: Counts recordings of which no format can be read, and formats that are not used.
        root: Where paths begin.
        formats: Paths of each recording's files, in the order of preference.
        how: See `inspect_files`.
    """
    found: dict[str, tuple[str, Facts]] = {}
    left = {name: list(paths) for name, paths in formats.items()}
    while left:
        first = {paths[0]: name for name, paths in left.items()}
        lost = {path: [] if len(left[name]) > 1 else [path] for path, name in first.items()}
        facts = dict(inspect_files(writer, root, first, items=lost, **how))
        for path, name in first.items():
            if path in facts:
                found[name] = (path, facts[path])
                for other in left[name][1:]:
                    writer.ignore(printable(other), "another format of the same recording")
            elif lost[path] == []:
                writer.ignore(printable(path), "cannot be read; another format of the same recording is tried")
        left = {name: paths[1:] for name, paths in left.items() if name not in found and len(paths) > 1}
    return {name: found[name] for name in formats if name in found}
