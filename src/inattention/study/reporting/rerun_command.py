"""The command that runs a study again."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from inattention.study.planning.presets import PRESETS
from inattention.study.results import StudyResults


def rerun_command(results: StudyResults) -> str:
    """Return the command that runs this study again: the preset, and every setting that differs from it."""
    words = ["inattention", "study", "--preset", results.preset]
    preset = PRESETS[results.preset].to_dict() if results.preset in PRESETS else {}
    rows = [row.name for row in results.rows]
    if preset.get("rows") != rows:
        words += ["--only", *rows]
    if preset.get("seeds") != list(results.seeds):
        words += ["--seeds", *map(str, results.seeds)]
    rest = {name: value for name, value in results.config.to_dict().items() if name not in ("rows", "seeds")}
    for path, value in _leaves(rest):
        if preset and _at(preset, path) != value:
            words += _flag(path, value)
    return shlex.join(words)


def _leaves(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Return all settings with their paths; an empty group is a setting itself."""
    found: list[tuple[tuple[str, ...], Any]] = []
    for name, value in tree.items():
        inner = isinstance(value, Mapping) and value
        found += _leaves(value, (*path, name)) if inner else [((*path, name), value)]
    return found


def _at(tree: Any, path: Sequence[str]) -> Any:
    for name in path:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree


def _flag(path: Sequence[str], value: Any) -> list[str]:
    names = [name.replace("_", "-") for name in path]
    if isinstance(value, bool):
        return ["--" + ".".join([*names[:-1], names[-1] if value else f"no-{names[-1]}"])]
    values = map(str, value) if isinstance(value, list) else [str(value)]
    return ["--" + ".".join(names), *values]
