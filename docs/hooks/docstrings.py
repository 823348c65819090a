"""Docstrings as Markdown: doctests and aligned lists get fences, which plain text does without."""

import re
from typing import Any

import griffe

_COLUMNS = re.compile(r"\S {3,}\S")
_FLAGS = re.compile(r" *# doctest: .*$", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Put fences around the doctests and aligned lists of docstrings."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Change an object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """Return a docstring whose doctests and aligned lists are in fences."""
    blocks = re.split(r"\n{2,}", text)
    return "\n\n".join(_block(block) for block in blocks)


def _block(block: str) -> str:
    if block.startswith(">>> "):
        return f"```pycon\n{_FLAGS.sub('', block)}\n```"
    lines = block.splitlines()
    aligned = [bool(_COLUMNS.search(line)) for line in lines]
    if len(lines) > 1 and not block.startswith(" ") and aligned[0] and sum(aligned) * 2 > len(lines):
        return f"```text\n{block}\n```"
    return block
