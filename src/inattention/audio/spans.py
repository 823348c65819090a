"""Parts of a long sequence that are computed one after the other, and the tape that they are read from.

It knows neither audio nor arrays, so that PyTorch and NumPy use it alike.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple


class Chunk(NamedTuple):
    """Frames ``start:end`` of an utterance, which are encoded together; ``keep_start:keep_end`` of them are kept."""

    start: int
    end: int
    keep_start: int
    keep_end: int


def chunks(time: int, longest: int, hop: int | None = None) -> list[Chunk]:
    """Return chunks of an utterance that overlap; each frame is kept where it lies deepest.

    Args:
        time: frames of the utterance.
        longest: frames of the longest chunk; every chunk of a longer utterance has this length.
        hop: frames from the beginning of a chunk to that of the next one; half of a chunk by default.

    >>> chunks(5, 10)
    [Chunk(start=0, end=5, keep_start=0, keep_end=5)]
    >>> [(c.start, c.end) for c in chunks(25, 10)]
    [(0, 10), (5, 15), (10, 20), (15, 25)]
    """
    if time <= longest:
        return [Chunk(0, time, 0, time)]
    starts = [*range(0, time - longest, max(1, longest // 2) if hop is None else hop), time - longest]
    # The boundary of two neighbours lies in the middle of their overlap.
    boundaries = [0, *((b + a + longest) // 2 for a, b in pairwise(starts)), time]
    return [
        Chunk(start, start + longest, low, high)
        for start, low, high in zip(starts, boundaries[:-1], boundaries[1:], strict=True)
    ]


def blocks(time: int, block: int, back: int, ahead: int, grid: int = 1) -> list[Chunk]:
    """Return blocks of an utterance that follow each other, each encoded with what its frames depend on.

    Args:
        time: frames of the utterance.
        block: frames that each block adds.
        back: frames before a frame that it depends on.
        ahead: frames behind a frame that it depends on.
        grid: encoded parts begin at multiples of it.

    >>> blocks(9, 4, back=2, ahead=1)
    [Chunk(start=0, end=5, keep_start=0, keep_end=4), Chunk(start=2, end=9, keep_start=4, keep_end=8), \
Chunk(start=6, end=9, keep_start=8, keep_end=9)]
    """
    return [
        Chunk(max(0, (low - back) // grid * grid), min(time, low + block + ahead), low, min(time, low + block))
        for low in range(0, time, block)
    ]


class Tape:
    """Items of a stream, which is read once from front to back and of which only a window is held.

    Args:
        stream: arrays whose first axis is time.
        join: concatenates a list of them along it.
    """

    def __init__(self, stream: Iterable[Any], join: Callable[[Sequence[Any]], Any]) -> None:
        self._stream, self._join = iter(stream), join
        self._first = self._end = 0  # of the items that are held
        self._held: list[Any] = []
        self.total: int | None = None

    def read(self, first: int, last: int) -> Any:
        """Return the items from ``first`` to ``last``, fewer at the end of the stream; those before are dropped.

        ``total`` is the number of items of the stream as soon as its end was met.

        Args:
            first: the first item; no lower than at any call before.
            last: behind the last item.
        """
        while self._end < last and self.total is None:
            piece = next(self._stream, None)
            if piece is None:
                self.total = self._end
            elif len(piece):
                self._held.append(piece)
                self._end += len(piece)
                self._drop(first)
        self._drop(first)
        if not self._held:
            raise ValueError("the stream holds nothing there")
        if len(self._held) > 1:
            oldest = self._held[0][first - self._first :]
            self._first += len(self._held[0]) - len(oldest)
            self._held = [self._join([oldest, *self._held[1:]])]  # a copy: what lies before it can go
        start = first - self._first
        return self._held[0][start : max(start, last - self._first)]

    def _drop(self, first: int) -> None:
        """Drop arrays that lie before an item, but for the last one."""
        while len(self._held) > 1 and self._first + len(self._held[0]) <= first:
            self._first += len(self._held.pop(0))
