"""How rows are grouped and told apart by eye: a family has one place, one colour and one marker in every figure.

The colours keep apart under the common forms of colour blindness, on light and on dark paper; markers and labels say
the same again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inattention.attention import Card
from inattention.plotting import PALETTE
from inattention.study.planning.rows import StudyRow
from inattention.study.results import StudyResults


@dataclass(frozen=True)
class Family:
    """A group of rows.

    Attributes:
        name: as cards have it.
        title: as people read it.
        light: colour on light paper.
        dark: colour on dark paper.
        marker: as matplotlib has it.
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


def arrange(names: list[str]) -> dict[str, Family]:
    """Give families their places: those known here first, then others in the order given, controls last.

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


@dataclass(frozen=True)
class RowInfo:
    """A row with its family's place, colour and marker."""

    row: StudyRow
    family: Family

    @property
    def name(self) -> str:
        """The row's name."""
        return self.row.name

    @property
    def label(self) -> str:
        """The row's name in words."""
        return self.row.label

    @property
    def card(self) -> Card | None:
        """The mechanism's card, if it has one."""
        return self.row.card

    @property
    def untrained(self) -> bool:
        """Whether the encoder is probed as initialised."""
        return self.row.untrained

    @property
    def settings(self) -> Mapping[str, Any]:
        """The row's own settings of model and training."""
        return self.row.settings

    @property
    def is_timed(self) -> bool:
        """Whether times are measured for it."""
        return self.row.is_timed

    @property
    def is_mel(self) -> bool:
        """Whether there is no model in it."""
        return self.row.is_features

    @property
    def trained_name(self) -> str:
        """The row of the same encoder, trained."""
        return self.row.trained


def infos_of(results: StudyResults) -> tuple[RowInfo, ...]:
    """Return all rows, family by family, each family in the study's order; untrained encoders follow all others."""
    families = arrange([row.family for row in results.rows])
    places = list(families)
    infos = [RowInfo(row, families[row.family]) for row in results.rows]
    return tuple(sorted(infos, key=lambda info: (info.untrained, places.index(info.family.name))))


def families_of(results: StudyResults) -> list[Family]:
    """Return the families of a study's rows, in order."""
    return list(dict.fromkeys(info.family for info in infos_of(results)))
