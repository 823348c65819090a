"""The phone CTM of a data folder, read utterance by utterance: the file of a large corpus does not fit in memory."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from inattention.corpora.errors import CorpusError
from inattention.corpora.labels.ctm import Ctm
from inattention.corpora.labels.intervals import Interval, LabelError, Labels
from inattention.corpora.readers.kaldi.data_folder import read_lines
from inattention.text import printable

NAMES = ("ctm", "ali.ctm", "phones.ctm")
LARGEST = 32 * 2**20  # bytes of the lines of one recording
_DAMAGED = "damaged phone times"


class PhoneTimes:
    """The phones of a CTM, whose lines have the ids of utterances or of recordings.

    Times of an utterance count from its start, times of a recording from the start of its file. Whole numbers for
    phones are looked up in the folder's `phones.txt`, if there is one.

    Args:
        path: The file.

    Raises:
        CorpusError: The file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for number, offset, line in read_lines(path):
            name = line.split(None, 1)[0].decode(errors="replace")
            if not name.startswith(";;"):
                self._places[name].append((number, offset, len(line)))
        self._symbols = _symbols(path.with_name("phones.txt"))
        self._last: tuple[str, Labels] | None = None

    @property
    def names(self) -> set[str]:
        """The utterances or recordings that the file has."""
        return set(self._places)

    def labels(self, utterance: str, recording: str, start: float, seconds: float) -> Labels | None:
        """Return the labels of an utterance in seconds from its start; None if the file has none.

        Args:
            utterance: Its id.
            recording: The id of its recording.
            start: Where it starts in the recording, in seconds.
            seconds: Its duration.

        Raises:
            LabelError: Its lines are damaged.
        """
        if utterance in self._places:
            return self._of(utterance)
        if recording in self._places:
            labels = self._of(recording)
            own = tuple(
                Interval(symbol, max(a - start, 0.0), min(b - start, seconds), line)
                for symbol, a, b, line in labels.intervals
                if b > start and a < start + seconds
            )
            return replace(labels, intervals=own) if own else None
        return None

    def _of(self, name: str) -> Labels:
        if self._last is None or self._last[0] != name:
            self._last = name, self._read(name)
        return self._last[1]

    def _read(self, name: str) -> Labels:
        places = self._places[name]
        where = f"{printable(self.path.name)}, from line {places[0][0]}"
        if sum(size for _, _, size in places) > LARGEST:
            raise LabelError(f"{where}: {printable(name[:80])} has more than {LARGEST} bytes", category=_DAMAGED)
        try:
            with self.path.open("rb") as file:
                lines = [_read_at(file, offset, size).decode() for _, offset, size in places]
            labels = Ctm(lines, (number for number, _, _ in places)).labels(name)
        except OSError as error:
            raise LabelError(f"{where}: cannot be read ({error.strerror or error})", category=_DAMAGED) from error
        except UnicodeDecodeError as error:
            raise LabelError(f"{where}: is not UTF-8 (byte {error.start})", category=_DAMAGED) from None
        except CorpusError as error:
            raise LabelError(f"{printable(self.path.name)}, {error}", category=_DAMAGED) from None
        known = (
            interval._replace(symbol=self._symbols.get(interval.symbol, interval.symbol))
            for interval in labels.intervals
        )
        return replace(labels, intervals=tuple(known), file=printable(self.path.name))


def _read_at(file, offset: int, size: int) -> bytes:
    file.seek(offset)
    line = file.read(size)
    return line if line.endswith(b"\n") else line + b"\n"


def _symbols(path: Path) -> dict[str, str]:
    """Return the symbols of whole numbers from a table of Kaldi's, such as `sil 1`; none if there is no such file."""
    table: dict[str, str] = {}
    if path.exists():
        for _, _, line in read_lines(path):
            fields = line.decode(errors="replace").split()
            if len(fields) == 2:
                table[fields[1]] = fields[0]
    return table
