"""The phone CTM of a data folder, read utterance by utterance: the file of a large corpus does not fit in memory."""

from collections import defaultdict
from pathlib import Path

from inattention.corpora.core.cut_building import Phone, phones_within
from inattention.corpora.errors import CorpusError
from inattention.corpora.labels.beside_audio import fold
from inattention.corpora.labels.ctm import parse_ctm
from inattention.corpora.readers.kaldi.data_folder import read_lines
from inattention.text import printable

NAMES = ("ctm", "ali.ctm", "phones.ctm")
LARGEST = 32 * 2**20  # bytes of the lines of one recording
_POSITIONS = ("_B", "_E", "_I", "_S")


class PhoneTimes:
    """The phones of a CTM, whose lines have the ids of utterances or of recordings.

    Times of an utterance count from its start, times of a recording from the start of its file. Whole numbers for
    phones are looked up in the folder's `phones.txt`, if there is one.

    Args:
        path: The file.
        english: Read phones as ARPAbet, without Kaldi's positions in words (`AH0_B`); otherwise they are kept.

    Raises:
        CorpusError: The file cannot be read.
    """

    def __init__(self, path: Path, *, english: bool) -> None:
        self.path, self._english = path, english
        self._places: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self._first: dict[str, int] = {}
        for number, offset, line in read_lines(path):
            name = line.split(None, 1)[0].decode(errors="replace")
            if not name.startswith(";;"):
                self._places[name].append((offset, len(line)))
                self._first.setdefault(name, number)
        self._symbols = _symbols(path.with_name("phones.txt"))
        self._last: tuple[str, list[Phone]] | None = None

    @property
    def names(self) -> set[str]:
        """The utterances or recordings that the file has."""
        return set(self._places)

    def phones(self, utterance: str, recording: str, start: float, seconds: float) -> list[Phone] | None:
        """Return the phones of an utterance in seconds from its start; None if the file has none.

        Args:
            utterance: Its id.
            recording: The id of its recording.
            start: Where it starts in the recording, in seconds.
            seconds: Its duration.

        Raises:
            CorpusError: Its lines are damaged.
        """
        if utterance in self._places:
            return self._of(utterance)
        if recording in self._places:
            return phones_within(self._of(recording), start, start + seconds) or None
        return None

    def _of(self, name: str) -> list[Phone]:
        if self._last is None or self._last[0] != name:
            self._last = name, self._read(name)
        return self._last[1]

    def _read(self, name: str) -> list[Phone]:
        where = f"{printable(self.path.name)}, from line {self._first[name]}"
        if sum(size for _, size in self._places[name]) > LARGEST:
            raise CorpusError(f"{where}: {printable(name[:80])} has more than {LARGEST} bytes")
        try:
            with self.path.open("rb") as file:
                lines = [_read_at(file, *place) for place in self._places[name]]
            tokens = parse_ctm(b"".join(lines).decode()).get(name, [])
            return fold([(self._symbol(symbol), a, b) for symbol, a, b in tokens], english=self._english)
        except OSError as error:
            raise CorpusError(f"{where}: cannot be read ({error.strerror or error})") from error
        except UnicodeDecodeError as error:
            raise CorpusError(f"{where}: is not UTF-8 (byte {error.start})") from None
        except CorpusError as error:
            raise CorpusError(f"{where}: {error}") from None

    def _symbol(self, token: str) -> str:
        symbol = self._symbols.get(token, token)
        return symbol[:-2] if self._english and symbol.endswith(_POSITIONS) else symbol


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
