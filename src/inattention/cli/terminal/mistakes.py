"""Mistakes in the words of a command line, each explained in one line with the nearest correct word."""

import difflib
import re
from collections.abc import Sequence

from inattention.cli.terminal.options import Option
from inattention.text import closest

_HELP = ("-h", "--help")


def mistake_in(words: Sequence[str], options: Sequence[Option]) -> str | None:
    """Return what is wrong with the words of a command, in one line; None if nothing was found.

    Args:
        words: the words after the command.
        options: the command's options.
    """
    known = {flag: option for option in options for flag in option.flags}
    for i, word in enumerate(words):
        if not _is_flag(word):
            continue
        name, equals, value = word.partition("=")
        name = name.replace("_", "-")
        if name in _HELP:
            continue
        if name not in known:
            return f"there is no option {name}{nearest_option(name, known)}"
        option = known[name]
        values = [value] if equals else _values_after(words[i + 1 :])
        if problem := _problem_of(option, values):
            return problem
    return None


def nearest_option(name: str, known: Sequence[str] | dict[str, Option]) -> str:
    """Return the end of a message that suggests the option that was meant, by its spelling or its last part.

    >>> nearest_option("--width", ["--model.width", "--timing.width", "--jobs"])
    '; perhaps --model.width or --timing.width?'
    >>> nearest_option("--sede", ["--seeds", "--jobs"])
    '; perhaps --seeds?'
    """
    last = name.removeprefix("--")
    found = [flag for flag in known if flag.removeprefix("--").rpartition(".")[2] == last]
    if not found:
        found = [flag for flag in known if len(last) > 2 and flag.startswith(f"--{last}")]
    if not found:
        found = difflib.get_close_matches(name, list(known), n=1)
    return f"; perhaps {' or '.join(found[:3])}?" if found else ""


def with_options(message: str, options: Sequence[Option]) -> str:
    """Return an error of a dataclass of settings with the options in place of the fields that it names.

    A name that several options share remains.

    Args:
        message: the error.
        options: the command's options.
    """
    flags: dict[str, list[str]] = {}
    for option in options:
        if option.flags:
            flags.setdefault(option.name.rpartition(".")[2].removeprefix("--").replace("-", "_"), []).append(
                option.name
            )

    def flag(match: re.Match[str]) -> str:
        known = flags.get(match[0], [])
        return known[0] if len(known) == 1 else match[0]

    return re.sub(r"(?<![\w.'-])(?:[a-z]+(?:_[a-z]+)+\b|^[a-z]+(?= must ))(?![.'-]\w)", flag, message)


def explained(complaint: str, words: Sequence[str], options: Sequence[Option]) -> str:
    """Return tyro's complaint, a title above a rule and a text, as one line.

    Args:
        complaint: what tyro printed.
        words: the words after the command.
        options: the command's options.
    """
    rows = [row.strip() for row in complaint.splitlines() if row.strip()]
    rules = [i for i, row in enumerate(rows) if set(row) <= set("-─")]
    text = rows[rules[0] + 1 : rules[1] if len(rules) > 1 else None] if rules else rows
    missing = [
        f"{option.name} {option.placeholder}" if option.flags else option.name
        for option in options
        if option.required and (not set(option.flags) & _flags_in(words) if option.flags else option.name in text)
    ]
    if missing:
        return f"{' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} missing"
    line = " ".join(text)
    line = re.sub(r"^Error parsing (?:settings: |(?:settings\.)?(\S+: ))", r"\1", line)
    return re.sub(r"^Unrecognized options: (.*)$", r"takes no argument \1", line)


def _problem_of(option: Option, values: list[str]) -> str | None:
    if option.values == 0:
        return None
    if not values and option.values is not None:
        return f"{option.name} needs a value: {option.name} {option.placeholder}"
    checked = values if option.values is None else values[: option.values]
    for value in checked:
        if option.choices and value not in option.choices:
            return f"{option.name} cannot be {value!r}{closest(value, option.choices)}"
        if option.kind in (int, float) and not _is_number(value, option.kind) and value != "None":
            wanted = "a whole number" if option.kind is int else "a number"
            return f"{option.name} {option.placeholder} must be {wanted}, not {value!r}"
    return None


def _flags_in(words: Sequence[str]) -> set[str]:
    return {word.partition("=")[0].replace("_", "-") for word in words}


def _is_flag(word: str) -> bool:
    return word.startswith("-") and len(word) > 1 and not re.match(r"-[\d.]|-inf|-nan", word)


def _values_after(words: Sequence[str]) -> list[str]:
    end = next((i for i, word in enumerate(words) if _is_flag(word)), len(words))
    return list(words[:end])


def _is_number(text: str, kind: type) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True
