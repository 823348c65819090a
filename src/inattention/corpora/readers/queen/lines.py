"""The spoken lines of the game: which sounds they are, their text and character, and their splits."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inattention.corpora.errors import CorpusError
from inattention.corpora.labels.spoken_words import words_of
from inattention.corpora.readers.queen.archive import Archive, Entry, Piece, dialogue
from inattention.seeding import derive_seed

_SOUND = ".SB"
_EFFECT = "SSSS.SB"  # ends the names of sounds that are not speech: doors, shots, engines


@dataclass(frozen=True)
class Line:
    """A recorded line.

    Attributes:
        id: The name of its sound, in lower case and without suffix.
        entry: Where its sound is in the archive.
        character: Who speaks; None if no dialogue file has the line.
        text: What is spoken; likewise.
    """

    id: str
    entry: Entry
    character: str | None = None
    text: str | None = None


def spoken_lines(archive: Archive) -> tuple[list[Line], list[tuple[str, str]]]:
    """Return all spoken lines of an archive in the order of their names, and unreadable dialogue files with reasons."""
    pieces, bad = _pieces(archive)
    lines = []
    for name, entry in sorted(archive.entries.items()):
        if name.endswith(_SOUND) and not name.endswith(_EFFECT):
            line, piece = name.removesuffix(_SOUND).lower(), pieces.get(name)
            lines.append(Line(line, entry, piece.character, piece.text) if piece else Line(line, entry))
    return lines, bad


def _pieces(archive: Archive) -> tuple[dict[str, Piece], list[tuple[str, str]]]:
    """Return the text of each sound that a dialogue file names, and unreadable dialogue files with reasons."""
    known: dict[str, Piece] = {}
    bad = []
    for name in sorted(archive.entries):
        if name.endswith(".DOG"):
            try:
                pieces = dialogue(name, archive.read(name))
            except CorpusError as error:
                bad.append((name, str(error)))
                continue
            known |= {sound: piece for sound, piece in pieces.items() if piece.text.strip()}
    return known, bad


def text_mark(text: str) -> str:
    """Return a mark for `split_lines` that is equal for texts that are spoken alike."""
    return "says " + " ".join(words_of(text)).lower()


def split_lines(
    lines: Sequence[tuple[str, str, tuple[str, ...]]], shares: Mapping[str, float], seed: int
) -> dict[str, str]:
    """Return the split of each line: each speaker's lines are divided as asked, and no two splits share a mark.

    Args:
        lines: Each with an id, its speaker, and its marks: what must be in one split, such as the text.
        shares: The share of each split.
        seed: Of the order in which lines are assigned.

    >>> lines = [(str(n), "ann", (f"text {n // 2}",)) for n in range(10)]
    >>> splits = split_lines(lines, {"train": 0.6, "dev": 0.2, "test": 0.2}, seed=0)
    >>> sorted(splits.values()), splits["2"] == splits["3"]
    (['dev', 'dev', 'test', 'test', 'train', 'train', 'train', 'train', 'train', 'train'], True)
    """
    groups = _groups(lines)
    # What each split still lacks of each speaker; a group goes to the split that lacks most of the group's speakers.
    count = Counter(speaker for _, speaker, _ in lines)
    lacking = {split: {speaker: share * n for speaker, n in count.items()} for split, share in shares.items()}
    splits: dict[str, str] = {}
    for group in sorted(groups, key=lambda group: (-len(group), derive_seed(seed, "split", group[0][0]))):
        split = max(shares, key=lambda split: sum(lacking[split][speaker] / count[speaker] for _, speaker in group))
        for name, speaker in group:
            splits[name] = split
            lacking[split][speaker] -= 1
    return splits


def _groups(lines: Sequence[tuple[str, str, tuple[str, ...]]]) -> list[list[tuple[str, str]]]:
    """Return (id, speaker) of lines in groups that share marks, directly or through other lines (union-find)."""
    parent: dict[str, str] = {}

    def root(mark: str) -> str:
        while parent.setdefault(mark, mark) != mark:
            parent[mark] = mark = parent[parent[mark]]
        return mark

    for name, _, marks in lines:
        for mark in marks:
            parent[root(mark)] = root(f"line {name}")
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, speaker, _ in sorted(lines):
        groups[root(f"line {name}")].append((name, speaker))
    return list(groups.values())
