"""Text for error messages and terminals: suggestions, escapes and aligned columns."""

import difflib
import textwrap
from collections.abc import Iterable, Sequence

GAP = "  "
NAME = 8  # characters that the first column keeps in any case


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the end of an error message that suggests the most similar known word and lists all of them.

    >>> nearest("patternd", ["qk", "patterned"])
    "; perhaps 'patterned'? Known: patterned, qk"
    >>> nearest("zzz", [])
    '; Known: none'
    """
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    perhaps = f"; perhaps {close[0]!r}?" if close else ";"
    return f"{perhaps} Known: {', '.join(names) or 'none'}"


def closest(word: str, known: Iterable[str]) -> str:
    """Return the end of an error message that suggests the most similar of a few words, and lists them in their order.

    >>> closest("lst", ["last", "weighted"])
    ", perhaps 'last': choose from last, weighted"
    """
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"{f', perhaps {close[0]!r}' if close else ''}: choose from {', '.join(names)}"


def printable(text: str) -> str:
    r"""Return text on one line that any terminal shows: line breaks, control characters and the like as escapes.

    File names that are not valid UTF-8 keep their bytes, as `\xff`.

    >>> print(printable("one\ntwo ü"))
    one\ntwo ü
    >>> import os
    >>> print(printable(os.fsdecode(b"\xff.wav")))
    \xff.wav
    """
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def placeholder(head: bytes, size: int) -> str:
    """Return what stands in the place of a file that was not fetched; an empty text if it is none of those known.

    Args:
        head: The first bytes.
        size: Length of the file in bytes.

    >>> placeholder(b"version https://git-lfs.github.com/spec/v1", 130)
    'is a Git LFS pointer (130 bytes of text); fetch the file with `git lfs pull`'
    """
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"version https://git-lfs"):
        return f"is a Git LFS pointer ({size} bytes of text); fetch the file with `git lfs pull`"
    if start.startswith((b"/annex/objects/", b"../.git/annex/", b".git/annex/")):
        return f"is a git-annex pointer ({size} bytes of text); fetch the file with `git annex get`"
    if start.startswith((b"<!doctype html", b"<html")):
        return f"is a web page ({size} bytes of HTML) in place of the file; download it again"
    return ""


def aligned(rows: Sequence[Sequence[str]], width: int | None = None) -> str:
    """Return rows of cells as columns, the first aligned to the left and all others to the right.

    Args:
        rows: cells of each row, the same number in all; the first row has the titles.
        width: most characters of a line. Columns that do not fit follow below, with the first column again; longer
            cells are broken, and longer names cut.

    >>> print(aligned([["row", "ms"], ["qk", "12.5"]]))
    row    ms
    qk   12.5
    >>> print(aligned([["row", "ms", "MB"], ["qk", "12.5", "100"]], width=10))
    row    ms
    qk   12.5
    <BLANKLINE>
    row   MB
    qk   100
    """
    if width is not None:
        rows = [[_cut(first, max(NAME, width // 2)), *rest] for first, *rest in rows]
        room = max(NAME, width - max(len(row[0]) for row in rows) - len(GAP))
        rows = [line for row in rows for line in _broken(row, room)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    blocks = [range(1, len(widths))] if width is None else _blocks(widths, width)
    return "\n\n".join(_block(rows, [0, *block], widths) for block in blocks)


def within(text: str, width: int) -> str:
    """Return text whose lines are broken at `width` characters, as far as they have spaces there.

    >>> print(within("one two three", 7))
    one two
    three
    """
    return "\n".join(
        broken
        for line in text.splitlines()
        for broken in (textwrap.wrap(line, width, break_long_words=False) if len(line) > width else [line])
    )


def _block(rows: Sequence[Sequence[str]], columns: Sequence[int], widths: Sequence[int]) -> str:
    lines = []
    for row in rows:
        first, *rest = columns
        cells = [row[first].ljust(widths[first]), *(row[column].rjust(widths[column]) for column in rest)]
        lines.append(GAP.join(cells).rstrip())
    return "\n".join(filter(None, lines))  # a cell that goes on in another block leaves a line without words


def _blocks(widths: Sequence[int], width: int) -> list[list[int]]:
    """Return groups of columns, each of which fits a line together with the first column."""
    blocks: list[list[int]] = [[]]
    used = widths[0]
    for column, own in enumerate(widths[1:], start=1):
        if blocks[-1] and used + len(GAP) + own > width:
            blocks.append([])
            used = widths[0]
        blocks[-1].append(column)
        used += len(GAP) + own
    return blocks


def _broken(row: Sequence[str], room: int) -> list[list[str]]:
    """Return a row as lines whose cells, but for the first, are no wider than `room`."""
    first, *rest = row
    cells = [textwrap.wrap(cell, room) if len(cell) > room else [cell] for cell in rest]
    height = max((len(cell) for cell in cells), default=1)
    return [
        [first if line == 0 else "", *(cell[line] if line < len(cell) else "" for cell in cells)]
        for line in range(height)
    ]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that `os.fsdecode` could not decode
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
