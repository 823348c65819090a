"""How rows are grouped and told apart by eye: a family has one place, one colour and one marker in every figure.

The colours keep apart under the common forms of colour blindness, on light and on dark paper; markers and labels say
the same again.
"""

from dataclasses import dataclass

from inattention.plotting import PALETTE


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
