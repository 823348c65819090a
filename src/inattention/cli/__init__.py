"""The command line: one module per command, each importing what it needs when it runs, so that help is immediate.

The options of a command are a dataclass, from which tyro makes flags and help; the same dataclasses are the presets
and the configuration saved with each result.
"""

import sys
from collections.abc import Callable, Sequence

from inattention.cli import (
    analyze,
    compare,
    convert,
    corpus,
    extract,
    measure,
    mechanisms,
    pretrain,
    probe,
    study,
    time,
)
from inattention.cli.terminal.endings import ended
from inattention.cli.terminal.help import entries, wrapped
from inattention.cli.terminal.parsing import complain
from inattention.cli.trained import conversions, encoders, export
from inattention.text import nearest

GROUPS: dict[str, dict[str, Callable[[list[str]], int]]] = {
    "speech": {"corpus": corpus.run},
    "experiments": {"study": study.run, "compare": compare.run},
    "one encoder": {
        "pretrain": pretrain.run,
        "probe": probe.run,
        "extract": extract.run,
        "analyze": analyze.run,
        "export": export.run,
    },
    "trained encoders": {
        "encoders": encoders.run,
        "convert": convert.run,
        "measure": measure.run,
        "conversions": conversions.run,
    },
    "mechanisms": {"mechanisms": mechanisms.run, "time": time.run},
}
COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}

START = """first steps:
  inattention study --preset smoke
  inattention mechanisms
  inattention COMMAND --help
"""
PACKAGES = ("torch", "lhotse", "transformers")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the words after ``inattention``; those of the process if None.

    Returns:
        The exit status: 0 on success; 1 if part of the work failed, or the work ended early; 2 if the command cannot be
        carried out as it was given, or was terminated; 130 after Ctrl-C. A line on stderr gives the reason.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = words[0] if words and words[0] in COMMANDS else ""
    if name in ("corpus", "encoders") and len(words) > 1 and not words[1].startswith("-"):
        name = f"{name} {words[1]}"
    return ended(name, words, lambda: _run(words))


def _run(words: list[str]) -> int:
    if words and words[0] == "help":
        words = [*words[1:], "--help"]
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0
    if words[0] in ("--version", "-V"):
        print(_versions())
        return 0
    name, rest = words[0], words[1:]
    if name not in COMMANDS:
        what = "option" if name.startswith("-") else "command"
        return complain("", f"there is no {what} {name!r}{nearest(name, [*COMMANDS, '--help', '--version'])}")
    return COMMANDS[name](rest)


def _help() -> str:
    groups = [
        f"{title}:\n{entries([(name, (command.__doc__ or '').splitlines()[0]) for name, command in group.items()])}"
        for title, group in GROUPS.items()
    ]
    status = "Exit status: 0 on success, 1 if work failed, 2 if a command cannot be carried out, 130 after Ctrl-C."
    return "\n\n".join(
        [
            "usage: inattention COMMAND [--help] ...",
            wrapped("Speech transformers with input-independent attention."),
            *groups,
            START + "  inattention --version",
            wrapped(status),
        ]
    )


def _versions() -> str:
    """Return the versions of this package and of those that its results depend on, without importing them."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from inattention.version import __version__

    lines = [f"inattention {__version__}", f"python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            lines.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return "\n".join(lines)
