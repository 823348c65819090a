"""The rules of the house (CONTRIBUTING.md) that linters do not check: sizes, rooms and how docstrings open."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = [
    path
    for folder in ("src", "tests", "benchmarks", "docs", "recipes", "runtime")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 60
MOST_MODULES_OF_A_ROOM = 15
OPENERS = ("Give", "Say", "Tell")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, Function))


def where(path: Path, node: Function | None = None) -> str:
    return f"{path.relative_to(ROOT)}{f':{node.lineno} {node.name}' if node else ''}"


def test_a_file_can_be_read_in_one_sitting() -> None:
    long = {where(path): lines for path in CODE if (lines := len(path.read_text().splitlines())) > MOST_LINES_OF_A_FILE}
    assert not long


def test_a_function_fits_on_a_screen() -> None:
    long = {
        where(path, node): lines
        for path in CODE
        for node in functions(path)
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > MOST_LINES_OF_A_FUNCTION
    }
    assert not long


def test_no_room_is_crowded() -> None:
    rooms = Counter(path.parent for path in (ROOT / "src").rglob("*.py"))
    crowded = {where(room): count for room, count in rooms.items() if count > MOST_MODULES_OF_A_ROOM}
    assert set(crowded) <= {"src/inattention/attention/mechanisms"}  # one file per mechanism, as many as there are


@pytest.mark.parametrize("opener", OPENERS)
def test_docstrings_open_with_what_is_done(opener: str) -> None:
    opening = [
        where(path, node)
        for path in CODE
        for node in functions(path)
        if (ast.get_docstring(node) or "").startswith(f"{opener} ")
    ]
    assert not opening


def test_every_room_and_module_says_what_it_is_for() -> None:
    silent = [
        where(path) for path in (ROOT / "src").rglob("*.py") if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent
