"""Families of rows: each has one place, one colour and one marker in every figure.

The colours differ under the common forms of colour blindness, on light and on dark paper; markers and labels repeat the
information.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inattention.plotting import PALETTE
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
    Family("mel", "Mel features, no model", *PALETTE["black"], "P"),
    Family("query-key", "Query-key", *PALETTE["blue"], "o"),
    Family("sparse", "Sparse", *PALETTE["orange"], "s"),
    Family("hashing", "Hashing", *PALETTE["red"], "^"),
    Family("synthesizer", "Synthesizer", *PALETTE["green"], "D"),
    Family("toeplitz", "Toeplitz", *PALETTE["purple"], "v"),
    Family("fixed", "Fixed patterns", *PALETTE["brown"], ">"),
    Family("linear", "Linear time", *PALETTE["teal"], "<"),
)
CONTROL = Family("control", "Control", *PALETTE["grey"], "X")
_FURTHER = (
    (*PALETTE["olive"], "p"),
    (*PALETTE["pink"], "h"),
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
