"""Rows: a mechanism with its options, in the notation of studies, tables and commands.

A row is written ``mechanism``, or ``mechanism@part@part``, where a part is one of the mechanism's variants
(``patterned@logits``, ``xbox@per-query``), one of its options (``xbox@projections=4``), or ``untrained``, for
the encoder before training. A file of initial maps is such an option: ``patterned@init=maps.safetensors``;
an ``@`` in its path is part of the path.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inattention.attention.ops.map_files import names_file
from inattention.attention.registry import card, options_of
from inattention.text import nearest

UNTRAINED = "untrained"


@dataclass(frozen=True)
class Row:
    """A mechanism with its options.

    Attributes:
        name: the canonical text, one for all ways to write the same row.
        mechanism: the mechanism's name.
        options: its options that differ from the defaults.
        untrained: whether the encoder is not trained.
    """

    name: str
    mechanism: str
    options: Mapping[str, Any]
    untrained: bool = False


def parse_row(text: str) -> Row:
    """Parse a row.

    Args:
        text: a mechanism's name, then any number of parts, each after an ``@``.

    Raises:
        ValueError: for an unknown mechanism, variant or option (the message suggests the nearest), a value of the wrong
            type, or two parts that contradict each other.

    >>> parse_row("qk@untrained@start=identity")
    Row(name='qk@identity@untrained', mechanism='qk', options={'start': 'identity'}, untrained=True)
    """
    mechanism, *pieces = text.split("@")
    try:
        its_card, defaults = card(mechanism), options_of(mechanism)
    except ValueError as error:
        raise ValueError(f"row {text!r}: {error}") from None
    variants, parts = its_card.variants, _whole_paths(pieces, its_card.files)
    chosen: dict[str, Any] = {}
    for part in parts:
        for option, value in _part(text, part, variants, defaults).items():
            if chosen.setdefault(option, value) != value:
                raise ValueError(f"row {text!r}: {option} is given twice, as {chosen[option]!r} and as {value!r}")
    options = {option: value for option, value in sorted(chosen.items()) if value != defaults[option]}
    untrained = UNTRAINED in parts
    return Row(_canonical(mechanism, options, variants, untrained), mechanism, options, untrained)


def _whole_paths(pieces: Sequence[str], files: Sequence[str]) -> list[str]:
    """Return the parts of a row, in which paths that contain an ``@`` are whole again."""
    parts: list[str] = []
    pieces = list(pieces)
    while pieces:
        count = 1
        if pieces[0].partition("=")[0] in files:
            count = next((end for end in range(1, len(pieces) + 1) if names_file(pieces[end - 1])), 1)
        parts.append("@".join(pieces[:count]))
        del pieces[:count]
    return parts


def _part(
    row: str, part: str, variants: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return the options that one part of a row sets."""
    if part == UNTRAINED:
        return {}
    option, is_option, value = part.partition("=")
    if not is_option:
        if part not in variants:
            raise ValueError(f"row {row!r}: there is no variant {part!r}{nearest(part, [*variants, UNTRAINED])}")
        return variants[part]
    if option not in defaults:
        raise ValueError(f"row {row!r}: there is no option {option!r}{nearest(option, defaults)}")
    try:
        return {option: _typed(value, defaults[option])}
    except ValueError:
        kind = type(defaults[option]).__name__
        raise ValueError(f"row {row!r}: {option} takes a value of type {kind}, not {value!r}") from None


def _typed(value: str, default: Any) -> Any:
    """Parse a value as the type of its default."""
    if isinstance(default, bool):
        if value.lower() not in ("true", "false"):
            raise ValueError
        return value.lower() == "true"
    if isinstance(default, tuple):
        return tuple(_typed(item, default[0] if default else "") for item in value.split(",") if item)
    if default is None:  # of no type: a number if it can be parsed as one
        if value.lower() == "none":
            return None
        for kind in (int, float):
            try:
                return kind(value)
            except ValueError:
                continue
        return value
    return type(default)(value)


def _canonical(
    mechanism: str, options: Mapping[str, Any], variants: Mapping[str, Mapping[str, Any]], untrained: bool
) -> str:
    """Return the shortest notation of the options: variants first, then single options."""
    left, parts = dict(options), []
    for variant, sets in sorted(variants.items(), key=lambda item: (-len(item[1]), item[0])):
        if sets and all(left.get(option, object()) == value for option, value in sets.items()):
            parts.append(variant)
            left = {option: value for option, value in left.items() if option not in sets}
    assigned = [f"{option}={_as_text(value)}" for option, value in left.items()]
    return "@".join([mechanism, *sorted(parts), *assigned, *([UNTRAINED] if untrained else [])])


def _as_text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
