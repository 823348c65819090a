"""Parsing of commands: flags and help from dataclasses, and error messages of one line."""

import contextlib
import io
import sys
from collections.abc import Sequence
from dataclasses import MISSING, dataclass
from typing import Annotated, Any, NoReturn

from inattention.cli.terminal.help import introduction, wrapped
from inattention.cli.terminal.mistakes import explained, mistake_in, with_options
from inattention.cli.terminal.options import options_of, registry

USAGE = 2  # exit status if a command cannot be carried out as it is given
_INTRODUCTION = "(introduction)"


@dataclass(frozen=True, kw_only=True)
class Quiet:
    """An option of commands that work for a while.

    Attributes:
        quiet: print neither progress nor a summary, but errors and warnings.
    """

    quiet: bool = False


def flat(config: Any) -> Any:
    """Return a type annotation that makes the fields of a dataclass flags of their own, without a prefix."""
    import tyro

    return Annotated[config, tyro.conf.arg(name="")]


def parse(of: Any, name: str, arguments: Sequence[str], default: Any = None) -> Any:
    """Parse flags into a dataclass; on ``--help`` print the help and exit.

    Args:
        of: the dataclass, whose docstring is the help.
        name: the command, such as ``corpus show``.
        arguments: the words after the command.
        default: an instance with the defaults.

    Raises:
        SystemExit: after the help, or after a mistake, which is explained on stderr.
        ValueError: if the dataclass refuses values; the message names the options.
    """
    import tyro

    options: dict[str, Any] = {} if default is None else {"default": default}
    printed, complained = io.StringIO(), io.StringIO()
    known = list(options_of(of, MISSING if default is None else default))
    asks_for_help = any(word in ("-h", "--help") for word in arguments)
    words = ["--help"] if asks_for_help else list(arguments)
    if problem := mistake_in(words, known):
        _refuse(name, problem)
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complained):
            return tyro.cli(
                of,
                prog=f"inattention {name}",
                args=words,
                registry=registry(),
                description=_INTRODUCTION,
                **options,
            )
    except ValueError as error:
        raise ValueError(with_options(str(error), known)) from error
    except SystemExit as end:
        if not end.code:
            usage, _, lists = printed.getvalue().partition(_INTRODUCTION)
            rest = "\n".join(line.rstrip() for line in lists.strip("\n").splitlines())
            print(f"{wrapped(usage.strip(), indent=7)}\n\n{introduction(of, name)}\n\n{rest}")
            raise
        _refuse(name, explained(complained.getvalue(), words, known))


def value_of(flag: str, arguments: Sequence[str]) -> str | None:
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
    """Print on stderr why a command cannot run; return its exit status."""
    print(f"inattention{' ' + command if command else ''}: {message}", file=sys.stderr)
    return USAGE


def _refuse(name: str, problem: str) -> NoReturn:
    sys.exit(complain(name, f"{problem}\n`inattention {name} --help` lists the options"))
