"""Files of the repository that pages link to become part of the site: Markdown as pages, other files as they are.

So links work in the repository and on the site, wherever either is kept. Links to folders lead to their README; to
folders without one, they become plain text.
"""

import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

DOCS = "docs/"
PAGES = {"README.md": "docs/index.md"}  # in whose place the site has a page of its own
_LINK = re.compile(r"(?<!\\)(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s:#]+)(?P<anchor>#[^)\s]*)?\)")
_CODE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)


def on_files(files: Any, config: Any) -> Any:
    """Add what pages link to outside of the documentation, and what is linked to from there."""
    from mkdocs.structure.files import File

    root = Path(config.docs_dir).parent
    todo = [file.src_uri for file in files.documentation_pages() if file.abs_src_path]
    while todo:
        source = source_of(todo.pop(), root)
        for target in linked((root / source).read_text(encoding="utf-8"), source, root):
            uri = uri_of(target)
            if files.get_file_from_path(uri) is None and not target.startswith(DOCS):
                files.append(File.generated(config, uri, abs_src_path=str(root / target)))
                if uri.endswith(".md"):
                    todo.append(uri)
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Make links between files of the repository links between pages."""
    root = Path(config.docs_dir).parent
    if page.file.abs_src_path is None:
        return markdown
    return relinked(markdown, source_of(page.file.src_uri, root), page.file.src_uri, root)


def source_of(uri: str, root: Path) -> str:
    """Return the path in the repository of a page of the site."""
    return DOCS + uri if (root / DOCS / uri).is_file() else uri


def uri_of(source: str) -> str:
    """Return the path on the site of a file of the repository.

    >>> uri_of("docs/start.md"), uri_of("results/queen/README.md")
    ('start.md', 'results/queen/README.md')
    """
    return source.removeprefix(DOCS)


def resolve(target: str, source: str, root: Path) -> str | None:
    """Return the file of the repository that a link leads to; None if there is none, or it is a folder without README.

    Args:
        target: the link, without its anchor.
        source: path in the repository of the file that has it.
        root: folder of the repository.
    """
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    if path.startswith(".."):
        return None
    if (root / path).is_dir():
        path = posixpath.join(path, "README.md")
    return PAGES.get(path, path) if (root / path).is_file() else None


def linked(markdown: str, source: str, root: Path) -> list[str]:
    """Return the files of the repository that a Markdown text links to."""
    targets = [resolve(match["target"], source, root) for match in _LINK.finditer(_CODE.sub("", markdown))]
    return [target for target in targets if target is not None]


def relinked(markdown: str, source: str, uri: str, root: Path) -> str:
    """Return a Markdown text whose links lead to pages of the site."""

    def link(match: re.Match[str]) -> str:
        if resolve(match["target"], source, root) is None and (root / source).parent.joinpath(match["target"]).is_dir():
            return match["text"]
        target = resolve(match["target"], source, root)
        if target is None:
            return match[0]  # such as a generated page; MkDocs reports those that do not exist
        path = posixpath.relpath(uri_of(target), posixpath.dirname(uri) or ".")
        return f"{match['image']}[{match['text']}]({path}{match['anchor'] or ''})"

    return _outside_code(markdown, lambda text: _LINK.sub(link, text))


def _outside_code(markdown: str, change: Callable[[str], str]) -> str:
    """Apply a change to the parts of a Markdown text that are not in fences."""
    done, start = [], 0
    for fence in _CODE.finditer(markdown):
        done += [change(markdown[start : fence.start()]), fence[0]]
        start = fence.end()
    return "".join([*done, change(markdown[start:])])
