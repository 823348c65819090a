"""The check behind every annotation in tests: beartype for types, and jaxtyping for the shapes of arrays.

`jaxtyping.install_import_hook` decorates every function of the package with `jaxtyping.jaxtyped`, which compiles two
functions for each and checks arguments twice. `jaxtyped` here takes its place: beartype alone where no array is
annotated, and one pass over arguments where one is.
"""

from collections.abc import Callable
from dataclasses import is_dataclass
from functools import partial, wraps
from typing import Any, get_type_hints

import jaxtyping
from beartype import BeartypeConf, beartype

# A whole number is taken where a float is asked for, and errors are as jaxtyping's.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=TypeError))
_jaxtyped = jaxtyping.jaxtyped


def install(package: str) -> None:
    """Turn the annotations of a package into checks; to be called before its first import."""
    jaxtyping.install_import_hook(package, "typechecks.checked")
    jaxtyping.jaxtyped = jaxtyped


def jaxtyped(it: Any = None, *, typechecker: Callable) -> Any:
    """Check the annotations of a function or of a dataclass."""
    if it is None:
        return partial(jaxtyped, typechecker=typechecker)
    if isinstance(it, type):
        if is_dataclass(it) and "__init__" in vars(it) and not hasattr(it.__init__, "__wrapped__"):
            it.__init__ = jaxtyped(it.__init__, typechecker=typechecker)
        return it
    check = None

    @wraps(it)
    def either(*args: Any, **kwargs: Any) -> Any:
        nonlocal check
        if jaxtyping.config.jaxtyping_disable:
            return it(*args, **kwargs)
        if check is None:  # most functions of the package are never called by the tests of one process
            check = _check(it, typechecker)
        return check(*args, **kwargs)

    return either


def _check(it: Callable, typechecker: Callable) -> Callable:
    """Return a function that checks its arguments and its result."""
    try:
        hints = get_type_hints(it)
    except Exception:  # a name that exists for type checkers only, which jaxtyping takes for Any
        return _jaxtyped(it, typechecker=typechecker)
    function = typechecker(it)
    if any("jaxtyping." in repr(hint) for hint in hints.values()):
        return _jaxtyped(function, typechecker=None)
    return function
