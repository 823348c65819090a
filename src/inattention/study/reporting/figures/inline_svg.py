"""Embed drawn SVG figures in an HTML page."""

import re
from collections.abc import Mapping

from markupsafe import escape


def inline(svg: str, name: str, description: str, colours: Mapping[str, str]) -> str:
    """Return a drawn figure as part of a page: with ids of its own, the page's colours and font, and a description.

    Args:
        svg: the figure as a file.
        name: of the figure; its ids begin with it.
        description: for screen readers.
        colours: the page's colour for each colour of the figure, such as ``var(--ink)``.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<(metadata|style)\b.*?</\1>", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'(href="|url\()#', rf"\1#{name}-", body)
    body = re.sub(r"font: (?:(\w+) )?([\d.]+)px [^;\"]*", _only_size_and_weight, body)
    for drawn, wanted in colours.items():
        body = body.replace(drawn, wanted)
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', body)
    assert size is not None
    opening = (
        f'<svg viewBox="{size[0][9:-1]}" role="img" aria-label="{escape(description)}" '
        f'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return opening + body[body.index(">") + 1 :].strip()


def _only_size_and_weight(font: re.Match[str]) -> str:
    weight, size = font.groups()
    return f"font-size: {size}px" + (f"; font-weight: {weight}" if weight else "")
