"""All commands, and the options that each has."""

from typing import Any

import pytest
import tyro

from inattention.cli import main
from inattention.cli.terminal.options import Option, options_of
from inattention.corpora.registry import CORPORA

KINDS = tuple(f"corpus prepare {kind}" for kind in CORPORA)
PARSED = (
    *("study", "compare", "mechanisms", "corpus show", "corpus describe", "corpus validate", "corpus features"),
    *("pretrain", "probe", "extract", "time", "analyze", "convert"),
    *("measure", "conversions", "encoders import", "export"),
    *KINDS,
)
ALL = ("", "corpus", "corpus prepare", "encoders", *PARSED)


class _Parsed(Exception):
    """Ends a command after its options are known."""


def options_by_command(command: str, monkeypatch: pytest.MonkeyPatch) -> list[Option]:
    """Return the options of a command, which is not run."""
    found: list[Option] = []

    def record(of: Any, **settings: Any) -> None:
        found.extend(options_of(of, **({"default": settings["default"]} if "default" in settings else {})))
        raise SystemExit(0)

    monkeypatch.setattr(tyro, "cli", record)
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    return found
