"""Output of commands: JSON for scripts, and tables as wide as the terminal."""

import dataclasses
import json
import math
import os
import shutil
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def table_width() -> int | None:
    """Return the number of columns that tables may have: the terminal's, or none in a file or a pipe.

    The environment variable COLUMNS limits them everywhere.
    """
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return shutil.get_terminal_size().columns
    return None


def print_lines(text: str) -> None:
    """Print text whose lines are broken at the width of the terminal, and continue two columns further in."""
    width = table_width()
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        fits = width is None or len(line) <= width
        print(line if fits else _broken(line, max(width or 0, len(indent) + 10), indent))


def _broken(line: str, width: int, indent: str) -> str:
    return textwrap.fill(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, replace_whitespace=False
    )


def print_json(data: Any) -> None:
    """Print indented JSON that any parser reads: numbers that JSON does not have (NaN, infinity) are null."""
    print(json.dumps(_plain(data), indent=2, ensure_ascii=False, allow_nan=False))


def _plain(data: Any) -> Any:
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        return _plain({field.name: getattr(data, field.name) for field in dataclasses.fields(data)})
    if isinstance(data, Mapping):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple | set | frozenset):
        return [_plain(value) for value in data]
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    return str(data) if isinstance(data, Path) else data
