"""Guides: their Python runs, their commands are valid, and their links lead somewhere."""

import contextlib
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tyro

from command_list import ALL, PARSED, options_by_command
from inattention.attention import registry
from inattention.cli import main
from inattention_runtime.cli import _parser as runtime_parser
from recordings import noise, people, write
from small_models import small_model

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
GUIDES = [ROOT / "README.md", ROOT / "runtime/README.md", *PAGES]
MARKDOWN = [*GUIDES, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "results").rglob("README.md"))]
NOT_RUN = "<!-- not run"
# Pages that tests of their own run, with what they need.
RUN_ELSEWHERE = {"adding-a-corpus.md": "tests/corpora/readers/test_added.py"}
GENERATED = "mechanisms/"  # pages and images that docs/hooks/mechanisms.py writes

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s:#]+)(?:#[^)\s]*)?\)")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def fences(path: Path, language: str) -> Iterator[str]:
    """Yield the code of a page in one language, but what is marked as not run."""
    text = path.read_text(encoding="utf-8")
    for fence in _FENCE.finditer(text):
        if fence[2] == language and NOT_RUN not in text[: fence.start()].rstrip().rpartition("\n")[2]:
            yield fence[3]


def commands(path: Path) -> list[list[str]]:
    """Return the words of each command in the fences of a page."""
    lines = [line for code in fences(path, "") for line in code.replace("\\\n", " ").splitlines()]
    words = [shlex.split(line, comments=True) for line in lines if line.split()[:1] and line.split()[0] in CHECKS]
    return [line for line in words if len(line) > 1]


def mentioned(path: Path) -> list[list[str]]:
    """Return the words of each command that the text of a page mentions, often without all of its options."""
    text = _FENCE.sub("", path.read_text(encoding="utf-8"))
    return [words.split()[1:] for words in re.findall(r"`(inattention [^`\n]+)`", text)]


PYTHON = [path for path in PAGES if path.name not in RUN_ELSEWHERE and any(fences(path, "python"))]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the model, the recordings, the corpus and the studies that guides name."""
    from inattention.corpora.readers.folder import FolderConfig, prepare

    folder = tmp_path_factory.mktemp("guides")
    small_model(attention="toeplitz").save_pretrained(folder / "runs/mine")
    write(folder / "speech.wav", noise(1.5))
    (folder / "results").symlink_to(ROOT / "results")
    people(folder / "recordings")
    prepare(FolderConfig(path=folder / "recordings"), folder / "corpora/mine", workers=1, progress=False)
    return folder


@pytest.fixture
def workplace(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in that folder, and forget afterwards which mechanisms were added."""
    registry.mechanisms()
    monkeypatch.setattr(registry, "_MECHANISMS", dict(registry._MECHANISMS))
    monkeypatch.chdir(prepared)


@pytest.mark.parametrize("page", PYTHON, ids=name_of)
def test_python_of_a_page_runs_in_order(page: Path, workplace: None) -> None:
    names: dict[str, Any] = {"__name__": "guide"}
    for number, code in enumerate(fences(page, "python"), 1):
        exec(compile(code, f"{page.name}, example {number}", "exec"), names)


def test_python_that_is_run_elsewhere_has_a_test() -> None:
    for page, test in RUN_ELSEWHERE.items():
        assert page in (ROOT / test).read_text(encoding="utf-8")


def check_runtime(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    runtime_parser().parse_args(words)


def check_make(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert re.search(rf"^{re.escape(words[0])}:", (ROOT / "Makefile").read_text(), re.MULTILINE), "no such target"


def check_pip(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that the extras that pip is asked for exist."""
    for word in words:
        if (found := re.fullmatch(r"(inattention|\.|\./runtime)\[(.*)\]", word)) is not None:
            project = ROOT / ("runtime" if "runtime" in found[1] else "") / "pyproject.toml"
            for extra in found[2].split(","):
                assert re.search(rf"^{extra} = \[", project.read_text(), re.MULTILINE), f"no extra {extra!r}"


def check_python(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert not words[0].endswith(".py") or (ROOT / words[0]).is_file(), "no such file"


def check_inattention(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that a command can be parsed; of one that a page abridges, that it exists and has the options."""
    if words == ["--version"]:
        return
    if "..." in words:
        check_options(words, monkeypatch)
        return
    parsed: list[Any] = []
    parse = tyro.cli

    def parse_only(*arguments: Any, **settings: Any) -> Any:
        parsed.append(parse(*arguments, **settings))
        raise SystemExit(0)

    with monkeypatch.context() as patch:
        patch.setattr(tyro, "cli", parse_only)
        with contextlib.suppress(SystemExit):
            main(words)
    assert parsed, "cannot be parsed"


def check_options(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that a command exists and has the options that are mentioned."""
    prefixes = [" ".join(words[:count]) for count in range(len(words), 0, -1)]
    command = next((prefix for prefix in prefixes if prefix in ALL), None)
    assert command is not None, "no such command"
    named = {word for word in words if word.startswith("--")}
    if named and command in PARSED:
        with monkeypatch.context() as patch:
            known = {flag for option in options_by_command(command, patch) for flag in option.flags}
        assert named <= known, "no such option"


CHECKS = {
    "inattention": check_inattention,
    "inattention-runtime": check_runtime,
    "make": check_make,
    "pip": check_pip,
    "python": check_python,
}


@pytest.mark.parametrize("page", [page for page in GUIDES if commands(page)], ids=name_of)
def test_commands_of_a_page_are_valid(
    page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for program, *words in commands(page):
        try:
            CHECKS[program](words, monkeypatch)
        except (AssertionError, SystemExit) as error:
            pytest.fail(f"{shlex.join([program, *words])}: {error} {capsys.readouterr().err}")


@pytest.mark.parametrize("page", [page for page in GUIDES if mentioned(page)], ids=name_of)
def test_commands_that_a_page_mentions_exist(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in mentioned(page):
        try:
            check_options(words, monkeypatch)
        except AssertionError as error:
            pytest.fail(f"inattention {shlex.join(words)}: {error}")


@pytest.mark.parametrize("page", MARKDOWN, ids=name_of)
def test_links_lead_to_files(page: Path) -> None:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    broken = [
        target
        for target in _LINK.findall(text)
        if not (page.parent / target).exists()
        and not os.path.relpath(page.parent / target, ROOT / "docs").startswith(GENERATED)
    ]
    assert not broken


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    missing = [page for path in PAGES if (page := path.relative_to(ROOT / "docs").as_posix()) not in navigation]
    assert not missing
