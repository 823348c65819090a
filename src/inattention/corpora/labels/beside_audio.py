"""Labels in files beside the audio: a TextGrid or a CTM with phones, or a text."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from inattention.corpora.core.cut_building import Phone
from inattention.corpora.core.file_tree import Tree, read_text
from inattention.corpora.core.phones import SILENCE, SILENCE_LABELS, phone_of_arpabet
from inattention.corpora.errors import CorpusError
from inattention.corpora.labels.ctm import LARGEST as LARGEST_CTM
from inattention.corpora.labels.ctm import parse_ctm
from inattention.corpora.labels.textgrid import Tier, parse_textgrid

LABEL_SUFFIXES = (".textgrid", ".ctm")
_USUAL_TIERS = ("phones", "phone", "phonemes", "phoneme", "segments", "mau")


@dataclass(frozen=True)
class TierNames:
    """The tier of a TextGrid with the phones.

    Attributes:
        wanted: Its name; if empty, the usual names (`phones`, `MAU`, or `ann - phones` as in aligned dialogues).
    """

    wanted: str = ""

    def choose(self, tiers: Sequence[Tier]) -> Tier:
        """Return the tier.

        Raises:
            CorpusError: No tier or more than one has such a name, or it is a tier of points.
        """
        if self.wanted:
            found = [tier for tier in tiers if tier.name == self.wanted]
        else:
            found = [tier for tier in tiers if tier.name.rpartition(" - ")[2].strip().lower() in _USUAL_TIERS]
        if len(found) != 1:
            names = ", ".join(repr(tier.name[:40]) for tier in tiers[:8]) or "none"
            which = repr(self.wanted) if self.wanted else "phones"
            raise CorpusError(f"has {len(found)} tiers called {which} (its tiers: {names}): --tier names the right one")
        if found[0].points:
            raise CorpusError(f"its tier {found[0].name!r} has points and no intervals")
        return found[0]


class LabelReader:
    """Finds and reads the labels beside recordings.

    Args:
        tree: All files.
        tiers: The tier of a TextGrid with the phones.
        english: Read symbols as ARPAbet; otherwise they are kept, except for those of silence.
    """

    def __init__(self, tree: Tree, tiers: TierNames, *, english: bool) -> None:
        self._root, self._tiers, self._english = tree.root, tiers, english
        self._beside: dict[str, dict[str, str]] = defaultdict(dict)
        for name in tree.files:
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in (*LABEL_SUFFIXES, ".txt"):
                self._beside[stem].setdefault(suffix.lower(), name)

    def beside(self, recording: str) -> str | None:
        """Return the label file of a recording, if there is one; a TextGrid is preferred to a CTM."""
        found = self._beside.get(os.path.splitext(recording)[0], {})
        return next((found[suffix] for suffix in LABEL_SUFFIXES if suffix in found), None)

    def text_beside(self, recording: str) -> str | None:
        """Return the text file of a recording, if there is one."""
        return self._beside.get(os.path.splitext(recording)[0], {}).get(".txt")

    def phones(self, label: str, recording: str) -> list[Phone]:
        """Read the phones of a recording.

        Raises:
            CorpusError: The file is damaged or does not fit; the message does not repeat its name.
        """
        path = self._root / label
        text = read_text(path, LARGEST_CTM)
        if label.lower().endswith(".textgrid"):
            found = list(self._tiers.choose(parse_textgrid(text)).intervals)
        else:
            tokens = parse_ctm(text)
            stem = os.path.splitext(os.path.basename(recording))[0]
            if stem not in tokens:
                names = ", ".join(repr(name[:40]) for name in list(tokens)[:3]) or "none"
                raise CorpusError(f"has no line for {stem!r} (its recordings: {names})")
            found = tokens[stem]
        return fold(found, english=self._english)


def fold(phones: Sequence[Phone], *, english: bool) -> list[Phone]:
    """Map symbols of silence to one, and with `english` ARPAbet to the inventory; other sounds leave a gap.

    Raises:
        UnknownPhoneError: `english` is set and a symbol is not ARPAbet.

    >>> fold([("", 0.0, 0.1), ("AH0", 0.1, 0.2), ("spn", 0.2, 0.3)], english=True)
    [('sil', 0.0, 0.1), ('ah', 0.1, 0.2)]
    """
    if not english:
        return [(SILENCE if s.strip().lower() in SILENCE_LABELS else s.strip(), a, b) for s, a, b in phones]
    folded = [(phone_of_arpabet(symbol), start, end) for symbol, start, end in phones]
    return [(symbol, start, end) for symbol, start, end in folded if symbol is not None]
