"""The phone CTM of a data folder, whose lines have the ids of utterances or of recordings."""

import dataclasses
from pathlib import Path

from inattention.corpora.errors import CorpusError
from inattention.corpora.labels.ctm import read_ctm
from inattention.corpora.labels.intervals import LabelError, Labels
from inattention.corpora.readers.kaldi.data_folder import read_lines
from inattention.text import printable

NAMES = ("ctm", "ali.ctm", "phones.ctm")


class PhoneTimes:
    """The phones of a CTM.

    Times of an utterance count from its start, times of a recording from the start of its file. Whole numbers for
    phones are looked up in `phones.txt` beside it, if there is one.

    Args:
        path: The file.
        encoding: Of text that is neither UTF-8 nor UTF-16.

    Attributes:
        names: The utterances or recordings that the file has.

    Raises:
        CorpusError: The file cannot be read; the message names it.
    """

    def __init__(self, path: Path, encoding: str) -> None:
        try:
            self._ctm = read_ctm(path, encoding)
        except CorpusError as error:
            raise CorpusError(f"{path}: {error}") from None
        self.path = path
        self.names = set(self._ctm.names)
        self._symbols = _symbols(path.with_name("phones.txt"))
        self._last: tuple[str, Labels] | None = None

    def labels(self, utterance: str, recording: str, start: float, seconds: float) -> Labels | None:
        """Return the labels of an utterance in seconds from its start; None if the file has none.

        Args:
            utterance: Its id.
            recording: The id of its recording.
            start: Where it starts in the recording, in seconds.
            seconds: Its duration.

        Raises:
            LabelError: Its lines are damaged; the message names the file.
        """
        if utterance in self.names:
            return self._of(utterance)
        if recording not in self.names:
            return None
        whole = self._of(recording)
        end = start + seconds
        own = tuple(
            interval._replace(start=max(interval.start, start) - start, end=min(interval.end, end) - start)
            for interval in whole.intervals
            if interval.end > start and interval.start < end
        )
        return dataclasses.replace(whole, intervals=own) if own else None

    def _of(self, name: str) -> Labels:
        if self._last is None or self._last[0] != name:
            try:
                found = self._ctm.labels(name)
            except CorpusError as error:
                category = getattr(error, "category", None)
                raise LabelError(f"{printable(self.path.name)}, {error}", category=category) from None
            intervals = tuple(i._replace(symbol=self._symbols.get(i.symbol, i.symbol)) for i in found.intervals)
            self._last = name, dataclasses.replace(found, intervals=intervals, file=printable(self.path.name))
        return self._last[1]


def _symbols(path: Path) -> dict[str, str]:
    """Return the symbols of whole numbers from a table of Kaldi's, such as `sil 1`; none if there is no such file."""
    table: dict[str, str] = {}
    if path.exists():
        for _, line in read_lines(path):
            fields = line.decode(errors="replace").split()
            if len(fields) == 2:
                table[fields[1]] = fields[0]
    return table
