"""What all commands share: flags and help from typed records, and complaints of one line."""

import sys
from typing import Annotated, Any


def flat(config: Any) -> Any:
    """Let a record's settings be flags of their own, without the record's name before them."""
    import tyro

    return Annotated[config, tyro.conf.arg(name="")]


def parse(of: Any, name: str, arguments: list[str], default: Any = None) -> Any:
    """Read flags into a record, or print help and end."""
    import tyro

    options: dict[str, Any] = {} if default is None else {"default": default}
    return tyro.cli(of, prog=f"inattention {name}", args=arguments, **options)


def value_of(flag: str, arguments: list[str]) -> str | None:
    """Look a flag up before the flags are known."""
    for i, word in enumerate(arguments):
        if word == flag and i + 1 < len(arguments):
            return arguments[i + 1]
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
    return None


def with_value(flag: str, value: str, arguments: list[str]) -> list[str]:
    """Let a flag stand alone for its usual value.

    >>> with_value("--draw", "sheet.svg", ["--draw", "--rows", "qk"])
    ['--draw', 'sheet.svg', '--rows', 'qk']
    """
    alone = [i for i, word in enumerate(arguments) if word == flag and (arguments[i + 1 :] or ["-"])[0][:1] == "-"]
    return [word for i, it in enumerate(arguments) for word in ([it, value] if i in alone else [it])]


def nearest(word: str, known: Any) -> str:
    """Say which known word was perhaps meant, or all that there are, as the end of a complaint."""
    import difflib

    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; perhaps {close[0]!r}?" if close else f"; known: {', '.join(known)}"


def complain(command: str, message: str) -> int:
    """Say in a line on stderr why a command cannot be done; give its exit code."""
    print(f"inattention{' ' + command if command else ''}: {message}", file=sys.stderr)
    return 2
