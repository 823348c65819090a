"""Pages of the attention mechanisms, written when the site is built, from their cards and docstrings.

A mechanism needs no page of its own: whatever is registered is listed, the plug-ins of the environment included.
"""

import inspect
import re
import textwrap
from collections.abc import Iterator
from html import escape
from importlib import import_module
from io import BytesIO
from typing import Any

from inattention import attention
from inattention.analysis.mechanism_sheet import pictures_of, pixels_of
from inattention.attention.registry import by_family
from inattention.attention.rows import parse_row

FOLDER = "mechanisms"
NAV = "Mechanisms"
OUR_MODULES = "inattention."
_SCALE = 4  # pixels of an image for each weight


def on_config(config: Any) -> Any:
    """List the pages in the navigation, by family."""
    families: dict[str, list[dict[str, str]]] = {}
    for name in sorted(attention.mechanisms(), key=by_family):
        title = attention.card(name).family.capitalize()
        families.setdefault(title, []).append({name: f"{FOLDER}/{name}.md"})
    pages: list[Any] = [f"{FOLDER}/index.md", *({title: entries} for title, entries in families.items())]
    config.nav = [{NAV: pages} if NAV in entry else entry for entry in config.nav]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages and their images."""
    from mkdocs.structure.files import File

    for path, content in contents():
        files.append(File.generated(config, path, content=content))
    return files


def contents() -> Iterator[tuple[str, str | bytes]]:
    """Yield the path and the content of each page and image."""
    yield f"{FOLDER}/index.md", overview()
    for name in attention.mechanisms():
        figures = []
        for row, caption, number, image in images(name):
            path = f"{row.replace('@', '-')}-{number}.png"
            figures.append((row, caption, path))
            yield f"{FOLDER}/{path}", image
        yield f"{FOLDER}/{name}.md", page(name, figures)


def overview() -> str:
    """Return the page with the table of all mechanisms."""
    lines = [
        "# Mechanisms",
        "",
        "Everything that can stand in the place of attention. *Input-independent* ones weigh frames in the same way "
        "whatever the input is. Costs are for T frames, d features per head and H heads; the maps of values and "
        "output, which are the same for all, are not counted.",
        "",
        "| mechanism | | input-independent | time in training |",
        "|---|---|---|---|",
    ]
    for name in sorted(attention.mechanisms(), key=by_family):
        card = attention.card(name)
        fixed = "yes" if card.input_independent else "no"
        lines.append(f"| [`{name}`]({name}.md) | {card.label} | {fixed} | {card.training_cost} |")
    lines += [
        "",
        "```",
        "inattention mechanisms",
        "inattention mechanisms --draw mechanisms.html",
        "```",
        "",
        "print the same table, and draw the maps of all of them on one sheet. "
        "[Adding a mechanism](../adding-a-mechanism.md) takes one file.",
    ]
    return "\n".join(lines) + "\n"


def page(name: str, figures: list[tuple[str, str, str]] | None = None) -> str:
    """Return the page of one mechanism.

    Args:
        name: the mechanism.
        figures: row, caption and path of each image.
    """
    card = attention.card(name)
    mechanism = type(attention.build(name, width=96, heads=12, max_length=32))
    module = import_module(mechanism.__module__)
    parts = [f"---\ntitle: {name}\n---\n", f"# {card.label} (`{name}`)\n", _formulas(inspect.getdoc(module) or ""), ""]
    parts += [_gallery(figures or []), _facts(name), _options(name), _variants(name), _use(name)]
    if mechanism.__module__.startswith(OUR_MODULES):
        parts.append(f"## Class\n\n::: {mechanism.__module__}.{mechanism.__qualname__}\n")
    return "\n".join(parts)


def images(name: str) -> Iterator[tuple[str, str, int, bytes]]:
    """Yield row, caption, number and PNG of the maps that are drawn of a mechanism and of its variants."""
    from PIL import Image

    seen: set[bytes] = set()
    for row in (name, *(f"{name}@{variant}" for variant in attention.card(name).variants)):
        for number, picture in enumerate(pictures_of(parse_row(row))):
            if picture.weights is None:
                continue
            pixels = pixels_of(picture)
            if pixels.tobytes() in seen:
                continue
            seen.add(pixels.tobytes())
            stored = BytesIO()
            size = _SCALE * len(pixels)
            Image.fromarray(pixels).convert("RGB").resize((size, size), Image.Resampling.NEAREST).save(stored, "PNG")
            yield row, picture.caption, number, stored.getvalue()


def _formulas(text: str) -> str:
    """Return a docstring whose formulas have lines of their own, and whose aligned columns are never wrapped."""
    text = re.sub(r"^( {4,}\S.*,) {3,}(?=\S)", r"\1\n    ", text, flags=re.MULTILINE)
    return "\n\n".join(map(_columns, text.split("\n\n")))


def _columns(block: str) -> str:
    lines = block.splitlines()
    aligned = sum(bool(re.search(r"\S {3,}\S", line)) for line in lines)
    if aligned < 2 or not all(line.startswith("    ") for line in lines):
        return block
    return f"``` {{ .text .columns }}\n{textwrap.dedent(block)}\n```"


def _gallery(figures: list[tuple[str, str, str]]) -> str:
    if not figures:
        return "## Where it looks\n\nIt has no map over time that could be drawn.\n"
    shown = "\n".join(
        f'<figure><img src="{path}" alt="Map of {escape(row)}{", " if caption else ""}{escape(caption)}" width="144">'
        f"<figcaption><code>{escape(row)}</code><br>{escape(caption)}</figcaption></figure>"
        for row, caption, path in figures
    )
    return (
        f'## Where it looks\n\n<div class="maps">\n{shown}\n</div>\n\n'
        "Rows are queries, columns keys, of a synthetic sequence of 36 frames; heads as initialised. Darker is more "
        "weight; where keys are only allowed or excluded, blue ones are allowed. Orange is negative.\n"
    )


def _facts(name: str) -> str:
    card = attention.card(name)
    rows = [
        ("Name", f"`{name}`"),
        ("Family", card.family),
        ("Source", card.citation),
        ("Applied in", ", ".join(card.fields) or "-"),
        ("Same weights for every input", "yes" if card.input_independent else "no"),
        ("Time in training", card.training_cost),
        ("Time in inference", card.inference_cost),
        ("Longest input", "`max_length` frames" if card.needs_max_length else "unlimited, unless an option limits it"),
    ]
    if card.stochastic:
        rows.append(("Random numbers", "drawn in training"))
    if not card.averages:
        rows.append(("Rows of weights", "need not sum to 1, and may be negative"))
    table = "\n".join(f"| {title} | {text.replace('|', '&#124;')} |" for title, text in rows)
    return f"## Card\n\n| | |\n|---|---|\n{table}\n\nT frames, d features per head, H heads.\n"


def _options(name: str) -> str:
    meanings = attention.card(name).options
    if not meanings:
        return ""
    lines = [
        f"| `{option}` | `{attention.options_of(name)[option]!r}` | {meaning.replace('|', '&#124;')} |"
        for option, meaning in meanings.items()
    ]
    return "## Options\n\n| option | default | meaning |\n|---|---|---|\n" + "\n".join(lines) + "\n"


def _variants(name: str) -> str:
    variants = attention.card(name).variants
    if not variants:
        return ""
    lines = [
        f"| `{name}@{variant}` | {', '.join(f'`{option}={value!r}`' for option, value in options.items())} |"
        for variant, options in variants.items()
    ]
    return "## Variants\n\n| row | options |\n|---|---|\n" + "\n".join(lines) + "\n"


def _use(name: str) -> str:
    return f"""## Use

```python
import torch
from inattention import attention

mechanism = attention.build("{name}", width=96, heads=12, max_length=512).eval()
hidden, values = torch.randn(1, 50, 96), torch.randn(1, 12, 50, 8)
mechanism(hidden, values).shape  # (1, 12, 50, 8): batch, heads, time, features of a head
```

```
inattention mechanisms --draw {name}.png --rows {name}
inattention time --rows {name} --lengths 500 1000
inattention pretrain --corpus corpora/espeak --row {name} --out runs/{name}
```
"""
