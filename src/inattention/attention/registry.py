"""Mechanisms by name: found in this package and in installed plug-ins, built with checked options.

Mechanisms import `register` from here, so this module imports them by name, when one is first asked for.
"""

import inspect
import pkgutil
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, TypeVar

from inattention.attention.base import AttentionMechanism, Card
from inattention.attention.ops.map_files import digest, names_file
from inattention.text import nearest

ENTRY_POINT_GROUP = "inattention.mechanisms"

# Families in the order of listings; unknown ones follow, controls come last.
FAMILIES = ("query-key", "sparse", "hashing", "synthesizer", "toeplitz", "fixed", "linear")

_MECHANISMS: dict[str, type[AttentionMechanism]] = {}
_Mechanism = TypeVar("_Mechanism", bound=type[AttentionMechanism])


def register(card: Card) -> Callable[[_Mechanism], _Mechanism]:
    """Register the decorated class as the mechanism of a card.

    Raises:
        ValueError: if another class already has that name, or the card's options are not the constructor's.
    """

    def enter(mechanism: _Mechanism) -> _Mechanism:
        known = _MECHANISMS.get(card.name)
        if known is not None and (known.__module__, known.__qualname__) != (
            mechanism.__module__,
            mechanism.__qualname__,
        ):
            raise ValueError(
                f"attention mechanism {card.name!r} is already registered by {known.__module__}.{known.__qualname__}; "
                f"choose another name for {mechanism.__module__}.{mechanism.__qualname__}"
            )
        mechanism.card = card
        options = set(_defaults(mechanism))
        if options != set(card.options) or not set(card.files) <= options:
            raise ValueError(
                f"attention mechanism {card.name!r}: its card explains the options {sorted(card.options)}, "
                f"its constructor takes {sorted(options)}"
            )
        _MECHANISMS[card.name] = mechanism
        return mechanism

    return enter


def mechanisms() -> tuple[str, ...]:
    """Return the names of all mechanisms, ours and those of installed plug-ins, sorted."""
    _discover()
    return tuple(sorted(_MECHANISMS))


def card(name: str) -> Card:
    """Return a mechanism's card.

    Raises:
        ValueError: if there is no mechanism of that name; the message suggests the nearest.
    """
    return _find(name).card


def by_family(name: str) -> tuple[int, str, str]:
    """Return a sort key for listings: by family, then by name.

    >>> sorted(["uniform", "xbox", "qk"], key=by_family)
    ['qk', 'xbox', 'uniform']
    """
    family = card(name).family
    place = FAMILIES.index(family) if family in FAMILIES else len(FAMILIES) + (family == "control")
    return place, family, name


def options_of(name: str) -> dict[str, Any]:
    """Return a mechanism's options with their defaults.

    Raises:
        ValueError: if there is no mechanism of that name.
    """
    return _defaults(_find(name))


def digests(name: str, options: Mapping[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of each file that a mechanism's options name.

    Raises:
        ValueError: if there is no such mechanism, or a file cannot be read.

    >>> digests("patterned", {"init": "logits"})
    {}
    """
    given = {option: options[option] for option in card(name).files if option in options}
    return {option: digest(value) for option, value in given.items() if names_file(value)}


def without_files(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options without those that name a file: enough to build what saved weights are loaded into.

    The options of an unknown mechanism are returned unchanged; `build` reports the error.
    """
    files = _find(name).card.files if name in mechanisms() else ()
    return {option: value for option, value in options.items() if not (option in files and names_file(value))}


def build(
    name: str,
    *,
    width: int,
    heads: int,
    max_length: int | None = None,
    layer: tuple[int, int] | None = None,
    **options: Any,
) -> AttentionMechanism:
    """Build a mechanism.

    Args:
        name: one of `mechanisms`.
        width: features of a frame, over all heads.
        heads: how many heads share the width.
        max_length: the longest input in frames; required if the card says so.
        layer: index of the layer it serves and number of layers; None if all layers share it.
        **options: the mechanism's own options, see its card.

    Raises:
        ValueError: for an unknown name or option (the message suggests the nearest), a width that is
            no multiple of heads, or a maximum length that is missing or not positive.

    >>> build("qk", width=32, heads=4, start="identity").heads
    4
    """
    mechanism = _find(name)
    known = _defaults(mechanism)
    for option in options:
        if option not in known:
            raise ValueError(f"attention mechanism {name!r} has no option {option!r}{nearest(option, known)}")
    if heads < 1 or width < 1 or width % heads:
        raise ValueError(f"width ({width}) must be a positive multiple of heads ({heads})")
    if max_length is not None and max_length < 1:
        raise ValueError(f"max_length must be at least 1 frame, not {max_length}")
    if mechanism.card.needs_max_length and max_length is None:
        raise ValueError(f"attention mechanism {name!r} needs max_length, the longest input in frames")
    if "layer" in inspect.signature(mechanism.__init__).parameters:
        options["layer"] = layer
    return mechanism(width=width, heads=heads, max_length=max_length, **options)


def _find(name: str) -> type[AttentionMechanism]:
    _discover()
    if name not in _MECHANISMS:
        raise ValueError(f"there is no attention mechanism {name!r}{nearest(name, _MECHANISMS)}")
    return _MECHANISMS[name]


def _defaults(mechanism: type[AttentionMechanism]) -> dict[str, Any]:
    """Return the constructor's keyword-only options with their defaults."""
    common = {"width", "heads", "max_length", "layer"}
    parameters = inspect.signature(mechanism.__init__).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY and p.name not in common}


@cache
def _discover() -> None:
    """Import every module of `mechanisms`, then every plug-in; warn about a plug-in that fails."""
    package = import_module("inattention.attention.mechanisms")
    for module in pkgutil.iter_modules(package.__path__):
        import_module(f"inattention.attention.mechanisms.{module.name}")
    for point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            point.load()
        except Exception as error:  # a plug-in may fail in any way, and must not break this package
            warnings.warn(
                f"the attention plug-in {point.name!r} ({point.value}) could not be loaded and is skipped: {error}",
                stacklevel=2,
            )
