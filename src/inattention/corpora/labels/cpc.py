"""The phone labels of LibriSpeech train-clean-100 that were published with contrastive predictive coding (CPC).

`converted_aligned_phones.txt` has one line per utterance: its name and a class from 0 to 40 for each 10 ms. The classes
have no names there. `train_split.txt` and `test_split.txt` list one utterance per line. Frames are converted to times
here: pairing them by index with features of another shift would silently give wrong labels.

Source: Riviere, Joulin, Mazare, Dupoux, "Unsupervised pretraining transfers well across languages", ICASSP 2020.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from inattention.corpora.core.cut_building import Phone
from inattention.corpora.errors import CorpusError

FRAME_SECONDS = 0.01
CLASSES = 41
CPC_PHONES: tuple[str, ...] = tuple(str(number) for number in range(CLASSES))
LONGEST_LINE = 2**20  # more than an hour
LABELS_FILE, TRAIN_FILE, TEST_FILE = "converted_aligned_phones.txt", "train_split.txt", "test_split.txt"


class CpcError(CorpusError):
    """An error in a file of labels; the message names the line."""


def parse_cpc_line(line: str) -> tuple[str, list[Phone]]:
    """Parse an utterance's name and its phones in seconds, with equal neighbours merged.

    Raises:
        CpcError: The line has no name or no labels, or a label is not a class.

    >>> parse_cpc_line("103-1240-0000 10 10 7")
    ('103-1240-0000', [('10', 0.0, 0.02), ('7', 0.02, 0.03)])
    """
    name, *labels = line.split()
    if not labels:
        raise CpcError(f"{name[:80]!r} has no labels")
    phones: list[Phone] = []
    frame = 0
    for label, run in groupby(labels):
        if not (label.isascii() and label.isdecimal() and len(label) <= 2 and int(label) < CLASSES):
            raise CpcError(
                f"{name[:80]!r} has the label {label[:20]!r}, which is none of the classes 0 to {CLASSES - 1}"
            )
        end = frame + len(list(run))
        phones.append((str(int(label)), round(frame * FRAME_SECONDS, 2), round(end * FRAME_SECONDS, 2)))
        frame = end
    return name, phones


class CpcLabels:
    """A file of labels, read one utterance at a time: all at once take gigabytes of memory.

    Args:
        path: `converted_aligned_phones.txt`, or a file like it.

    Raises:
        CpcError: The file cannot be read, is empty, or has a line that is not text or far too long.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[str, tuple[int, int]] = {}
        self._twice: set[str] = set()
        for number, place, line in _lines(path):
            name = line.split(maxsplit=1)[0]
            if name in self._places:
                self._twice.add(name)
            self._places[name] = (number, place)
        if not self._places:
            raise CpcError(f"{path} has no labels")

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def phones(self, name: str) -> list[Phone]:
        """Read an utterance's phones, in seconds.

        Raises:
            CpcError: It has no line or two, or its line is damaged.
        """
        if name not in self._places:
            raise CpcError(f"{self._path.name} has no line for it")
        if name in self._twice:
            raise CpcError(f"{self._path.name} has two lines for it")
        number, place = self._places[name]
        try:
            with self._path.open("rb") as file:
                file.seek(place)
                return parse_cpc_line(file.readline(LONGEST_LINE).decode())[1]
        except (CpcError, OSError, UnicodeDecodeError, IndexError) as error:
            raise CpcError(f"{self._path.name}, line {number}: {error}") from None


def read_cpc_split(path: Path) -> set[str]:
    """Read the utterances of a split.

    Raises:
        CpcError: The file cannot be read, is empty, or has a line that is not one name.
    """
    names = set()
    for number, _, line in _lines(path):
        words = line.split()
        if len(words) != 1:
            raise CpcError(f"{path}, line {number}: has {len(words)} words, not one name")
        names.add(words[0])
    if not names:
        raise CpcError(f"{path} names no utterance")
    return names


def _lines(path: Path) -> Iterator[tuple[int, int, str]]:
    """Yield the lines that are not blank, with their numbers and byte offsets."""
    try:
        with path.open("rb") as file:
            number, end = 0, 0
            while data := file.readline(LONGEST_LINE):
                number, place, end = number + 1, end, end + len(data)
                if len(data) == LONGEST_LINE:
                    raise CpcError(f"{path}, line {number}: is longer than {LONGEST_LINE} bytes")
                try:
                    line = data.decode()
                except UnicodeDecodeError:
                    raise CpcError(f"{path}, line {number}: is no text") from None
                if line.strip():
                    yield number, place, line
    except OSError as error:
        raise CpcError(f"{path} cannot be read ({error.strerror})") from error
