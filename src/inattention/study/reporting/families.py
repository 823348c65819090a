"""Families of rows: each has one place, one colour and one marker in every figure.

The colours differ under the common forms of colour blindness, on light and on dark paper; markers and labels repeat the
information.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inattention.study.planning.rows import StudyRow


@dataclass(frozen=True)
class Family:
    """A group of rows.

    Attributes:
        name: as cards name it.
        title: for legends.
        light: colour on light paper.
        dark: colour on dark paper.
        marker: matplotlib's name of the marker.
    """

    name: str
    title: str
    light: str
    dark: str
    marker: str


FAMILIES = (
    Family("mel", "Mel features, no model", "#2b2e35", "#f0f1f3", "P"),
    Family("query-key", "Query-key", "#1a4d9e", "#5a9bd8", "o"),
    Family("sparse", "Sparse", "#c96a0a", "#e3a63c", "s"),
    Family("hashing", "Hashing", "#8f1230", "#f4436c", "^"),
    Family("synthesizer", "Synthesizer", "#239a5c", "#42dd9a", "D"),
    Family("toeplitz", "Toeplitz", "#9440d8", "#dcb2fa", "v"),
    Family("fixed", "Fixed patterns", "#8a5a2b", "#cda277", ">"),
    Family("linear", "Linear time", "#00798c", "#408098", "<"),
)
CONTROL = Family("control", "Control", "#85878e", "#8d929b", "X")
_FURTHER = (
    ("#5f6b00", "#c6cf4a", "p"),
    ("#b0307f", "#f29ad0", "h"),
)


def arrange(names: Sequence[str]) -> dict[str, Family]:
    """Return families in order: those known here first, then others in the order given, controls last.

    >>> [family.title for family in arrange(["control", "fourier", "sparse"]).values()]
    ['Sparse', 'Fourier', 'Control']
    """
    known = {family.name: family for family in FAMILIES}
    others = [name for name in dict.fromkeys(names) if name not in known and name != CONTROL.name]
    arranged = {name: family for name, family in known.items() if name in names}
    for place, name in enumerate(others):
        light, dark, marker = _FURTHER[place % len(_FURTHER)]
        arranged[name] = Family(name, name[:1].upper() + name[1:], light, dark, marker)
    if CONTROL.name in names:
        arranged[CONTROL.name] = CONTROL
    return arranged


def grouped(rows: Sequence[StudyRow], families: Mapping[str, Family]) -> list[StudyRow]:
    """Return rows family by family, each family in the order given; untrained encoders follow all others."""
    places = list(families)
    return sorted(rows, key=lambda row: (row.untrained, places.index(row.family)))
