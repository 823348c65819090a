"""Text for error messages and terminals: suggestions, escapes and aligned columns."""

import difflib
from collections.abc import Iterable, Sequence


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


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as columns, the first aligned to the left and all others to the right.

    >>> print(aligned([["row", "ms"], ["qk", "12.5"]]))
    row    ms
    qk   12.5
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that `os.fsdecode` could not decode
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
