"""The options of a command, from the dataclass that holds them: names, types, defaults and help lines.

Tyro makes flags of them; `registry` adds placeholders that say what is wanted, and help lines without markup.
"""

import inspect
import re
import types
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from inattention.cli.terminal.placeholders import placeholder

if TYPE_CHECKING:
    from tyro.constructors import ConstructorRegistry

_SECTION = re.compile(r"^Attributes:\n(.*?)(?=^\S|\Z)", re.DOTALL | re.MULTILINE)
_ENTRY = re.compile(r"^ {4}(\w+): (.*?)(?=^ {4}\w+: |\Z)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Option:
    """An option or a positional argument of a command.

    Attributes:
        name: the flag, such as ``--model.width``; of a positional argument its placeholder.
        python_name: name of the field.
        kind: type of one value.
        choices: the values that it may have; empty if there is no such list.
        values: number of values; 0 for a switch, None for any number.
        positional: whether it is given without a flag.
        required: whether there is no default.
        default: the default, None if required.
        help: its help line.
    """

    name: str
    python_name: str
    kind: Any
    choices: tuple[str, ...]
    values: int | None
    positional: bool
    required: bool
    default: Any
    help: str

    @property
    def placeholder(self) -> str:
        """Placeholder of one value."""
        return f"{{{','.join(self.choices)}}}" if self.choices else placeholder(self.python_name, self.kind)

    @property
    def flags(self) -> tuple[str, ...]:
        """All spellings: of a switch, also the one that turns it off."""
        if self.positional:
            return ()
        if self.values == 0:
            start, dot, end = self.name.removeprefix("--").rpartition(".")
            return self.name, f"--{start}{dot}no-{end}"
        return (self.name,)


class _Field(NamedTuple):
    name: str
    hint: Any
    default: Any  # dataclasses.MISSING if there is none
    help: str


def options_of(of: type, default: Any = MISSING, prefix: str = "") -> Iterator[Option]:
    """Return the options that tyro makes of a dataclass, those of dataclasses in it included.

    Args:
        of: the dataclass.
        default: an instance with the defaults; those of the class if there is none.
        prefix: of the names, such as ``model.``.
    """
    for field in _fields(of, default):
        inner, config = _unwrapped(field.hint), _named(field.hint)
        flag = field.name.replace("_", "-")
        if is_dataclass(inner):
            assert isinstance(inner, type)
            yield from options_of(inner, field.default, prefix if config == "" else f"{prefix}{flag}.")
        elif get_origin(inner) is not dict:
            kind, choices, values = _shape(inner)
            positional = _is_positional(field.hint)
            yield Option(
                placeholder(field.name, kind) if positional else f"--{prefix}{flag}",
                field.name,
                kind,
                choices,
                values,
                positional,
                field.default is MISSING,
                None if field.default is MISSING else field.default,
                field.help,
            )


def registry() -> "ConstructorRegistry":
    """Return tyro's rule for our dataclasses: fields with placeholders, defaults in words, and plain help lines."""
    import tyro
    from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructFieldSpec, StructTypeInfo

    def dataclass_rule(info: StructTypeInfo) -> StructConstructorSpec | None:
        if not is_dataclass(info.type):
            return None
        given = info.default if is_dataclass(info.default) else MISSING
        made = tuple(
            StructFieldSpec(
                name=field.name,
                type=_annotated(field),
                default=tyro.MISSING if field.default is MISSING else field.default,
                helptext=field.help,
            )
            for field in _fields(info.type, given)
        )
        return StructConstructorSpec(instantiate=info.type, fields=made)

    rules = ConstructorRegistry()
    rules.struct_rule(dataclass_rule)
    return rules


def plain(text: str) -> str:
    """Return documentation without markup, on one line.

    >>> plain("``adamw``  or `lamb`.")
    'adamw or lamb.'
    """
    return " ".join(text.replace("`", "").split())


def _annotated(field: _Field) -> Any:
    import tyro

    inner = _unwrapped(field.hint)
    if is_dataclass(inner) or get_origin(inner) is dict:
        return field.hint
    kind, choices, values = _shape(inner)
    text = None if choices or values == 0 else _value_text(placeholder(field.name, kind), values)
    return Annotated[
        field.hint, tyro.conf.arg(metavar=text, help_behavior_hint=lambda shown: _default_text(shown, field))
    ]


def _value_text(one: str, values: int | None) -> str:
    return f"[{one} ...]" if values is None else " ".join([one] * values)


def _default_text(shown: str, field: _Field) -> str:
    """Return the default in words, unless the help line has it."""
    if field.default is MISSING:
        return "(required)"
    if isinstance(field.default, bool):
        return f"(default: {'on' if field.default else 'off'})"
    if field.default is None or field.default in ((), ""):
        return "" if re.search(r"default|\bif empty\b|\bif none\b", field.help) else "(default: none)"
    return f"(default: {shown})"


@cache
def _documented(of: type) -> dict[str, str]:
    """Return the help line of each field, from the section ``Attributes`` of the docstrings of a class."""
    found: dict[str, str] = {}
    for base in reversed(of.__mro__):
        text = inspect.cleandoc(base.__doc__ or "")
        section = _SECTION.search(text)
        entries = _ENTRY.finditer(section[1] if section else "")
        found |= {entry[1]: plain(entry[2]) for entry in entries}
    return found


def _fields(of: type, default: Any) -> Iterator[_Field]:
    hints = get_type_hints(of, include_extras=True)
    assert is_dataclass(of)
    for field in sorted(fields(of), key=lambda field: field.name == "quiet"):  # inherited, and the least important
        if not field.init:
            continue
        value = field.default
        if default is not MISSING and hasattr(default, field.name):
            value = getattr(default, field.name)
        elif field.default_factory is not MISSING:
            value = field.default_factory()
        yield _Field(field.name, hints[field.name], value, _documented(of).get(field.name, ""))


def _unwrapped(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _named(hint: Any) -> str | None:
    """Return the name that `tyro.conf.arg` gives a field."""
    return next((it.name for it in getattr(hint, "__metadata__", ()) if hasattr(it, "prefix_name")), None)


def _is_positional(hint: Any) -> bool:
    if get_origin(hint) is not Annotated:
        return False
    import tyro

    return tyro.conf.Positional in hint.__metadata__


def _shape(hint: Any) -> tuple[Any, tuple[str, ...], int | None]:
    """Return the type of one value, the choices, and the number of values (None for any)."""
    if get_origin(hint) in (Union, types.UnionType):
        return _shape(next(it for it in get_args(hint) if it is not types.NoneType))
    if get_origin(hint) is tuple:
        first, *others = get_args(hint)
        kind, choices, _ = _shape(first)
        return kind, choices, None if others == [...] else 1 + len(others)
    if get_origin(hint) is Literal:
        return str, tuple(map(str, get_args(hint))), 1
    return hint, (), 0 if hint is bool else 1
