"""Ticks of logarithmic axes, in plain numbers."""

from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

_FEWEST = 4
# Of each power of ten, the digits with a tick: as few as make enough ticks.
_DIGITS = ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), tuple(it / 10 for it in range(10, 100)))


def logarithmic_places(low: float, high: float, most: int = 10) -> list[float]:
    """Return places for ticks between two positive numbers.

    Args:
        low: the lower end of the axis.
        high: its upper end.
        most: greatest number of ticks.

    >>> logarithmic_places(0.09, 2000)
    [0.1, 1.0, 10.0, 100.0, 1000.0]
    >>> logarithmic_places(8, 130, most=6)
    [10.0, 20.0, 50.0, 100.0]
    """
    places: list[float] = []
    for digits in _DIGITS:
        places = [float(f"{digit}e{power}") for power in range(-8, 17) for digit in digits]
        places = [it for it in places if low <= it <= high]
        if len(places) >= _FEWEST:
            break
    return places[:: -(-len(places) // most) or 1]


def logarithmic_ticks(axis: Axis, low: float, high: float, most: int = 10) -> None:
    """Set ticks in plain numbers.

    Args:
        axis: an axis whose scale is logarithmic.
        low: its lower end.
        high: its upper end.
        most: greatest number of ticks.
    """
    axis.set_major_locator(FixedLocator(logarithmic_places(low, high, most)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"))
    axis.set_minor_locator(NullLocator())
