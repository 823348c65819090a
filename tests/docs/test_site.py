"""What the site is made of: pages of mechanisms, links between files of the repository, docstrings as Markdown."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from inattention import attention

HOOKS = Path(__file__).parents[2] / "docs/hooks"


def hook(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_hooks_{name}", HOOKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def mechanisms() -> ModuleType:
    return hook("mechanisms")


@pytest.mark.parametrize("name", attention.mechanisms())
def test_every_mechanism_has_a_page_with_its_card(name: str, mechanisms: ModuleType) -> None:
    page, card = mechanisms.page(name), attention.card(name)
    assert f"# {card.label} (`{name}`)" in page
    for text in (card.citation, card.inference_cost, *card.options, *card.variants):
        assert text.replace("|", "&#124;") in page
    assert f"({name}.md)" in mechanisms.overview()
    exec(page.partition("```python\n")[2].partition("```")[0], {})


def test_a_page_shows_each_map_of_a_mechanism_and_its_variants_once(mechanisms: ModuleType) -> None:
    shown = [(row, caption) for row, caption, _, image in mechanisms.images("lite") if image.startswith(b"\x89PNG")]
    assert len(shown) == len(set(shown)) > 1
    assert {row for row, _ in shown} <= {"lite", *(f"lite@{variant}" for variant in attention.card("lite").variants)}
    assert not list(mechanisms.images("summary-mixing"))  # has no map over time
    assert "no map over time" in mechanisms.page("summary-mixing")


def test_formulas_that_share_a_line_get_lines_of_their_own(mechanisms: ModuleType) -> None:
    assert mechanisms._formulas("So\n\n    a = 1,    b = 2\n\nx,    y") == "So\n\n    a = 1,\n    b = 2\n\nx,    y"
    table = mechanisms._formulas("    one    1    eins\n    two    2    zwei")
    assert table == "``` { .text .columns }\none    1    eins\ntwo    2    zwei\n```"


def test_links_out_of_the_documentation_become_links_between_pages(tmp_path: Path) -> None:
    repository = hook("repository")
    for path in ("docs/results.md", "results/queen/README.md", "results/queen/report.html", "src/a.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    text = (
        "[a](../results/queen/README.md#x) [b](../results/queen) [c](../src) [d](mechanisms/qk.md)\n"
        "```\n[e](../src)\n```"
    )
    assert repository.relinked(text, "docs/results.md", "results.md", tmp_path) == (
        "[a](results/queen/README.md#x) [b](results/queen/README.md) c [d](mechanisms/qk.md)\n```\n[e](../src)\n```"
    )
    assert repository.linked(text, "docs/results.md", tmp_path) == ["results/queen/README.md"] * 2
    assert repository.resolve("../../../etc/passwd", "results/queen/README.md", tmp_path) is None


def test_doctests_and_aligned_lists_of_docstrings_are_in_fences(monkeypatch: pytest.MonkeyPatch) -> None:
    griffe = SimpleNamespace(Extension=object, Object=object)  # belongs to the extra `docs`
    monkeypatch.setitem(sys.modules, "griffe", griffe)
    fenced = hook("docstrings").fenced
    assert fenced("Add.\n\n>>> 1 + 1  # doctest: +SKIP\n2") == "Add.\n\n```pycon\n>>> 1 + 1\n2\n```"
    assert fenced("a.json     one\nb.json     two") == "```text\na.json     one\nb.json     two\n```"
    plain = "Add two numbers.\n\nArgs:\n    one: a number.\n"
    assert fenced(plain) == plain
