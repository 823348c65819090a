"""Finds the labels of each recording: beside it, in another folder, or in a CTM of many recordings.

In order of preference:

1. in the folder of labels, if one is given: the same path below it, then the label that shares most folders with the
   recording's path, so that a file of the same name is found if it is the only one;
2. beside the recording, with the same name;
3. in a CTM elsewhere in the recordings' folder, under the recording's name in the first column.

A TextGrid is preferred to a CTM. Names are compared as Unicode's composed form (NFC), as macOS may store them
decomposed (NFD). What could belong to several recordings, and what competes for one, is not used and is reported.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from unicodedata import normalize

from inattention.audio.limits import SUFFIXES
from inattention.text import printable

TEXTGRID, CTM = ".textgrid", ".ctm"
_SHOWN = 3


class Source(NamedTuple):
    """Where a recording's labels are.

    Attributes:
        folder: Number of the folder: 0 that of the recordings, 1 that of the labels.
        file: Path below it.
        name: The recording's name in a CTM; None in files of one recording.
    """

    folder: int
    file: str
    name: str | None = None

    def __str__(self) -> str:
        """Return how it is named in reports."""
        return printable(self.file) + (f" ({printable(self.name)})" if self.name is not None else "")


@dataclass
class Matches:
    """The labels of recordings.

    Attributes:
        of: By recording, the source of its labels.
        refused: Sources that could belong to several recordings or that compete for one, with the reason.
        unused: Sources without a recording.
        second: Sources of recordings that have a better one.
    """

    of: dict[str, Source] = field(default_factory=dict)
    refused: dict[Source, str] = field(default_factory=dict)
    unused: list[Source] = field(default_factory=list)
    second: list[Source] = field(default_factory=list)


def match_labels(
    recordings: Iterable[str], files: Sequence[Iterable[str]], ctms: Mapping[Source, list[str]]
) -> Matches:
    """Find the labels of recordings.

    Args:
        recordings: Paths below their folder.
        files: TextGrids below the recordings' folder, and below that of the labels.
        ctms: The names in each CTM, whose source is given without a name.

    >>> found = match_labels(["ann/0.wav", "bob/0.wav"], [["ann/0.TextGrid"], ["x/bob/0.TextGrid", "1.TextGrid"]], {})
    >>> found.of
    {'bob/0.wav': Source(folder=1, file='x/bob/0.TextGrid', name=None), 'ann/0.wav': Source(folder=0, \
file='ann/0.TextGrid', name=None)}
    >>> found.unused
    [Source(folder=1, file='1.TextGrid', name=None)]
    """
    by_key: dict[str, list[str]] = defaultdict(list)
    for recording in recordings:
        by_key[key_of(recording)].append(recording)
    matches = Matches()
    for folder in reversed(range(len(files))):
        grids = {Source(folder, file): key_of(file) for file in files[folder]}
        lines = {
            source._replace(name=name): _key_in_ctm(source.file, name)
            for source, names in ctms.items()
            if source.folder == folder
            for name in names
        }
        for sources, elsewhere in ((grids, folder == 1), (lines, True)):
            left = _match_equal(matches, by_key, sources)
            matches.unused += _match_nearest(matches, by_key, sources, left) if elsewhere else left
    return matches


def key_of(file: str) -> str:
    """Return what the path of a recording has in common with that of its labels."""
    return normalize("NFC", os.path.splitext(file)[0])


def _key_in_ctm(file: str, name: str) -> str:
    """Return the path that a recording named in a CTM would have beside it."""
    return normalize("NFC", _raw_key(Source(0, file, name)))


def _match_equal(matches: Matches, by_key: dict[str, list[str]], sources: dict[Source, str]) -> dict[Source, str]:
    """Match sources whose path is that of a recording; return the others."""
    found: dict[str, list[Source]] = defaultdict(list)
    for source, key in sources.items():
        if key in by_key:
            found[key].append(source)
    for key, equal in found.items():
        taken = set()
        stems: dict[str, list[str]] = defaultdict(list)
        for recording in by_key[key]:
            stems[os.path.splitext(recording)[0]].append(recording)
        for stem, recordings in stems.items():
            # Of names that differ in their Unicode form alone, the very same one decides, if there is one.
            same = [source for source in equal if _raw_key(source) == stem]
            choice = same or (equal if len(stems) == 1 else [])
            if len(choice) == 1:
                _take(matches, recordings, choice[0])
                taken.add(choice[0])
        for source in equal:
            if source not in taken:
                others = [str(other) for other in equal if other != source]
                matches.refused[source] = _ambiguous(by_key[key], others)
    return {source: key for source, key in sources.items() if key not in by_key}


def _match_nearest(
    matches: Matches, by_key: dict[str, list[str]], sources: dict[Source, str], left: dict[Source, str]
) -> list[Source]:
    """Match sources with the recordings of the same name that share most folders; return those without one."""
    names = {os.path.basename(key) for key in left.values()}
    equal = {key for key in sources.values() if key in by_key}
    recordings, labels = defaultdict(list), defaultdict(list)
    for key in by_key:
        for ending in _endings(key) if os.path.basename(key) in names else ():
            recordings[ending].append(key)
    for source, key in sources.items():
        for ending in _endings(key) if os.path.basename(key) in names else ():
            labels[ending].append(source)
    unused = []
    for source, key in left.items():
        keys = next((recordings[ending] for ending in _endings(key) if ending in recordings), [])
        if not set(keys) - equal:
            (matches.second if keys else unused).append(source)
            continue
        rivals = next(labels[ending] for ending in _endings(keys[0]) if ending in labels) if len(keys) == 1 else []
        if rivals == [source]:
            _take(matches, by_key[keys[0]], source)
        elif len(keys) == 1 and source not in rivals:
            unused.append(source)
        else:
            others = [str(other) for other in rivals if other != source]
            matches.refused[source] = _ambiguous([recording for key in keys for recording in by_key[key]], others)
    return unused


def _endings(key: str) -> list[str]:
    """Return the endings of a path at its folders, the longest first.

    >>> _endings("a/b/c")
    ['a/b/c', 'b/c', 'c']
    """
    parts = key.split(os.sep)
    return [os.sep.join(parts[i:]) for i in range(len(parts))]


def _raw_key(source: Source) -> str:
    """Return the path of a source as the file system, or the CTM, spells it."""
    if source.name is None:
        return os.path.splitext(source.file)[0]
    stem, suffix = os.path.splitext(source.name)
    return os.path.join(os.path.dirname(source.file), stem if suffix.lower() in SUFFIXES else source.name)


def _take(matches: Matches, recordings: Iterable[str], source: Source) -> None:
    free = [recording for recording in recordings if recording not in matches.of]
    matches.of.update(dict.fromkeys(free, source))
    if not free:
        matches.second.append(source)


def _ambiguous(recordings: Sequence[str], others: Sequence[str]) -> str:
    """Return why a source was refused."""
    names = ", ".join(printable(recording) for recording in recordings[:_SHOWN])
    names += f" and {len(recordings) - _SHOWN} more" if len(recordings) > _SHOWN else ""
    if others:
        rivals = ", ".join(others[:_SHOWN]) + (f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else "")
        return f"is ambiguous: {rivals} could be the labels of {names}, too: remove or rename all but one"
    return f"is ambiguous: could be the labels of {names}: put it in a folder of the same name as the recording's"
