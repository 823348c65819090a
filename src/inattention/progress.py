"""Progress on stderr: a bar on a terminal, and one line a minute where stderr is a file or a pipe.

Log files, schedulers and continuous integration keep every carriage return of a bar, so that an hour of work would
leave thousands of lines.
"""

import sys
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from operator import length_hint
from typing import Any, Protocol, runtime_checkable

SECONDS_BEFORE_BAR = 1.0
SECONDS_BETWEEN_LINES = 60.0

_hidden = False


@runtime_checkable
class Bar(Protocol):
    """The part of tqdm's interface that is used here.

    Attributes:
        n: what is done, in units.
        total: what there is to do, if it is known.
    """

    n: float
    total: float | None

    def __enter__(self) -> "Bar": ...
    def __exit__(self, *_: Any) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...

    def update(self, n: float = 1) -> Any:
        """Count `n` more as done."""

    def set_description(self, desc: str | None = None) -> Any:
        """Change the label."""

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> Any:
        """Change the remark that follows the numbers, and show it if `refresh`."""

    def close(self) -> Any:
        """End the bar."""


def bar(
    items: Iterable[Any] | None = None,
    *,
    total: float | None = None,
    desc: str = "",
    unit: str,
    show: bool = True,
    delay: float = SECONDS_BEFORE_BAR,
    initial: float = 0,
) -> Bar:
    """Return a progress bar, to iterate over or to update.

    Args:
        items: what is iterated over; None for a bar that is updated.
        total: number of items; the length of `items` by default, if it has one.
        desc: label.
        unit: what is counted, in the singular.
        show: show it; nothing is shown in any case within `hidden`.
        delay: seconds before a bar appears, so that short work shows none.
        initial: number of items that were done before.
    """
    if total is None and items is not None:
        total = length_hint(items) or None  # unlike `len`, of lazy manifests too
    if show and not _hidden and sys.stderr.isatty():
        from tqdm import tqdm

        return tqdm(  # ty: ignore[invalid-explicit-return]
            items, desc or None, total, unit=unit, delay=delay, initial=initial, file=sys.stderr, leave=False
        )
    return _Lines(items, total, desc, unit, show and not _hidden, initial)


def message(text: str) -> None:
    """Print a line on stderr, above a bar if there is one."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        tqdm.write(text, file=sys.stderr)
    else:
        print(text, file=sys.stderr, flush=True)


@contextmanager
def hidden(hide: bool = True) -> Generator[None]:
    """Show no progress in the block, if `hide`."""
    global _hidden
    before, _hidden = _hidden, hide or _hidden
    try:
        yield
    finally:
        _hidden = before


class _Lines:
    """A line now and then, with what is done, the time left and the remark."""

    def __init__(
        self, items: Iterable[Any] | None, total: float | None, desc: str, unit: str, show: bool, initial: float
    ) -> None:
        self.n, self.total = initial, total
        self._items, self._desc, self._unit, self._show = items, desc, unit, show
        self._initial, self._began = initial, time.monotonic()
        self._next = self._began + SECONDS_BETWEEN_LINES
        self._remark = ""

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        for item in () if self._items is None else self._items:  # lazy items have no length, and so no truth
            yield item
            self.update()

    def update(self, n: float = 1) -> None:
        self.n += n
        self._print_if_due()

    def set_description(self, desc: str | None = None) -> None:
        self._desc = desc or ""
        self._print_if_due()

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        self._remark = s
        if refresh:
            self._print_if_due()

    def close(self) -> None:
        self._show = False

    def _print_if_due(self) -> None:
        now = time.monotonic()
        if self._show and now >= self._next:
            self._next = now + SECONDS_BETWEEN_LINES
            print(self._line(now - self._began), file=sys.stderr, flush=True)

    def _line(self, seconds: float) -> str:
        parts = [f"{self.n:g} of {self.total:g}" if self.total else f"{self.n:g}"]
        parts[0] += f" {self._unit}{'' if self._unit.endswith('s') else 's'}"
        done = self.n - self._initial
        if self.total:
            parts.append(f"{100 * self.n / self.total:.0f} %")
        if self.total and done > 0:
            parts.append(f"{_duration(seconds / done * max(0, self.total - self.n))} left")
        remark = f" ({self._remark})" if self._remark else ""
        return f"{self._desc + ': ' if self._desc else ''}{', '.join(parts)}{remark}"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"
