"""What all commands share: flags and help from dataclasses, and error messages of one line."""

import sys
from typing import Annotated, Any


def flat(config: Any) -> Any:
    """Return a type annotation that makes the fields of a dataclass flags of their own, without a prefix."""
    import tyro

    return Annotated[config, tyro.conf.arg(name="")]


def parse(of: Any, name: str, arguments: list[str], default: Any = None) -> Any:
    """Parse flags into a dataclass; on ``--help`` print the help and exit."""
    import tyro

    options: dict[str, Any] = {} if default is None else {"default": default}
    return tyro.cli(of, prog=f"inattention {name}", args=arguments, **options)


def value_of(flag: str, arguments: list[str]) -> str | None:
    """Return the value of a flag before the flags are parsed; None if it is not given."""
    for i, word in enumerate(arguments):
        if word == flag and i + 1 < len(arguments):
            return arguments[i + 1]
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
    return None


def with_value(flag: str, value: str, arguments: list[str]) -> list[str]:
    """Insert a default value after a flag that is given without one.

    >>> with_value("--draw", "sheet.svg", ["--draw", "--rows", "qk"])
    ['--draw', 'sheet.svg', '--rows', 'qk']
    """
    alone = [i for i, word in enumerate(arguments) if word == flag and (arguments[i + 1 :] or ["-"])[0][:1] == "-"]
    return [word for i, it in enumerate(arguments) for word in ([it, value] if i in alone else [it])]


def complain(command: str, message: str) -> int:
    """Print on stderr, in one line, why a command cannot run; return its exit code."""
    print(f"inattention{' ' + command if command else ''}: {message}", file=sys.stderr)
    return 2
