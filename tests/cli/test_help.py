"""Help: of every command, within the terminal, with an example that is valid, and a line for each option."""

import contextlib
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import tyro

from command_list import ALL, KINDS, PARSED, options_by_command
from inattention.cli import COMMANDS, main
from inattention.cli.terminal.help import EXAMPLES
from inattention.cli.terminal.options import options_of
from inattention.cli.terminal.placeholders import unit_of
from inattention.corpora.registry import CORPORA


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with contextlib.suppress(SystemExit):
        assert main([*command.split(), "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", [40, 80, 120])
@pytest.mark.parametrize("command", ALL)
def test_help_has_an_example_and_fits_the_terminal(
    command: str, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = help_of(command, capsys)
    assert re.search(r"^(examples?|first steps):\n  inattention ", text, re.MULTILINE)
    assert text.startswith("usage: inattention")
    longest = max(text.splitlines(), key=len)
    words = max(len(word) for word in longest.split())  # what cannot be broken: a list of choices
    assert len(longest) <= max(columns, words + 6)


@pytest.mark.parametrize("command", PARSED)
def test_every_option_has_a_help_line_and_numbers_have_a_unit(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = options_by_command(command, monkeypatch)
    assert options
    for option in options:
        assert len(option.help) > 5, f"{option.name} has no help line"
        if option.kind in (int, float):
            assert unit_of(option.python_name), f"the unit of {option.name} is in no table of placeholders"
        assert option.placeholder not in ("STR", "INT", "FLOAT", "PATHLIB.PATH")


@pytest.mark.parametrize("command", PARSED)
def test_help_shows_every_option_with_its_default(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    text = " ".join(help_of(command, capsys).split())
    with monkeypatch.context() as patch:
        options = options_by_command(command, patch)
    for option in options:
        start = text.index(option.name if option.positional else f" {option.flags[-1]}")
        entry = text[start : start + 1500]
        assert re.search(r"\((default|required)|default:|by default|defaults to|if empty", entry), option.name


@pytest.mark.parametrize(("command", "example"), [(name, it) for name, them in EXAMPLES.items() for it in them])
def test_examples_are_valid(command: str, example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Any] = []
    parse = tyro.cli

    def record(*words: Any, **settings: Any) -> Any:
        taken.append(parse(*words, **settings))
        raise SystemExit(0)

    monkeypatch.setattr(tyro, "cli", record)
    program, *words = shlex.split(example)
    assert program == "inattention"
    assert example.startswith(f"inattention {command}")
    with pytest.raises(SystemExit):
        main(words)
    assert taken


def test_corpus_prepare_alone_lists_the_corpora_one_line_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["corpus", "prepare"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, kind in CORPORA.items():
        assert [line.split() for line in lines if line.startswith(f"  {name} ")] == [[name, *kind.summary.split()]]


def test_the_program_alone_lists_the_commands_one_line_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, command in COMMANDS.items():
        summary = (command.__doc__ or "").splitlines()[0]
        assert any(line.split() == [name, *summary.split()] for line in lines), name


def test_help_before_a_command_is_that_command_s(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["help", "corpus", "show"])
    assert capsys.readouterr().out.startswith("usage: inattention corpus show")


def test_versions_are_those_of_what_results_depend_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    lines = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert list(lines)[:4] == ["inattention", "python", "torch", "lhotse"]


@pytest.mark.parametrize("module", ["inattention", "inattention.cli"])
def test_the_package_can_be_run(module: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("inattention ")


@dataclass(frozen=True, kw_only=True)
class Inner:
    """Settings.

    Attributes:
        window_seconds: length of
            the ``window``.
        deltas: append deltas.
    """

    window_seconds: float = 0.5
    deltas: bool = True


@dataclass(frozen=True, kw_only=True)
class Outer:
    """A command.

    Attributes:
        model: folder of a model.
        inner: settings.
        lengths: numbers of frames.
        out: the output.
    """

    model: Annotated[str, tyro.conf.Positional]
    inner: Inner = Inner(window_seconds=2.0)
    lengths: tuple[int, ...] = ()
    out: Path | None = None


def test_options_are_read_from_dataclasses() -> None:
    model, window, deltas, lengths, out = options_of(Outer)
    assert (model.name, model.positional, model.required, model.flags) == ("MODEL", True, True, ())
    assert (window.name, window.default, window.help) == ("--inner.window-seconds", 2.0, "length of the window.")
    assert window.placeholder == "SECONDS"
    assert deltas.flags == ("--inner.deltas", "--inner.no-deltas")
    assert (lengths.values, lengths.placeholder) == (None, "FRAMES")
    assert (out.kind, out.default) == (Path, None)


def test_every_kind_of_corpus_has_an_example_of_its_own() -> None:
    assert set(KINDS) <= set(EXAMPLES) | {"corpus prepare kaldi"}
