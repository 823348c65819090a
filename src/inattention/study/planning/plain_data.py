"""Typed values from plain data, as JSON holds it."""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints


def from_plain(of: Any, data: Any) -> Any:
    """Return a value of a type from JSON data: records from objects, tuples from lists, paths from text.

    Fields that the data lacks have their defaults; names that are no field are skipped.

    Raises:
        KeyError: if a field without a default is missing.
        TypeError: if the data has another type.

    >>> from_plain(tuple[int, ...], [1, 2])
    (1, 2)
    """
    origin, arguments = get_origin(of), get_args(of)
    if is_dataclass(of) and isinstance(of, type):
        return data if isinstance(data, of) else _record(of, data)
    if origin in (Union, UnionType):
        return None if data is None else from_plain(next(it for it in arguments if it is not type(None)), data)
    if origin is tuple:
        return _tuple(arguments, data)
    if of in (int, float, str, bool):
        return _scalar(of, data)
    if origin is dict or of in (dict, Path):
        return (origin or of)(data)
    return data


def _record(of: Any, data: Any) -> Any:
    if not isinstance(data, Mapping):
        raise TypeError(f"{of.__name__} is read from an object, not from {data!r}")
    hints = _hints(of)
    given = {it.name: from_plain(hints[it.name], data[it.name]) for it in fields(of) if it.name in data}
    for it in fields(of):
        if it.name not in data and it.default is MISSING and it.default_factory is MISSING:
            raise KeyError(it.name)
    return of(**given)


def _tuple(types: tuple[Any, ...], data: Any) -> tuple[Any, ...]:
    if not isinstance(data, list | tuple):
        raise TypeError(f"expected a list, found {data!r}")
    types = types[:1] * len(data) if types[1:] == (...,) else types
    return tuple(from_plain(one, item) for one, item in zip(types, data, strict=True))


def _scalar(of: type, data: Any) -> Any:
    if of is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if not isinstance(data, of) or isinstance(data, bool) != (of is bool):
        raise TypeError(f"expected a value of type {of.__name__}, found {data!r}")
    return data


@cache
def _hints(of: type) -> dict[str, Any]:
    return get_type_hints(of)
