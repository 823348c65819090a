"""Ticks of logarithmic axes."""

import pytest

from inattention.plotting import figure, svg
from inattention.plotting.ticks import logarithmic_places, logarithmic_ticks


@pytest.mark.parametrize(
    ("low", "high"), [(0.08, 0.09), (0.1, 0.5), (9, 130), (3, 4000), (1e-3, 1e4), (2, 3), (1.0, 1.05)]
)
def test_there_are_some_ticks_and_never_too_many(low: float, high: float) -> None:
    places = logarithmic_places(low, high, most=6)
    assert 1 <= len(places) <= 6
    assert all(low <= it <= high for it in places)


def test_ticks_are_plain_numbers() -> None:
    with figure(300, 200) as drawn:
        axes = drawn.add_subplot()
        axes.plot([9, 5000], [1, 2])
        axes.set_xscale("log")
        axes.set_xlim(9, 5000)
        logarithmic_ticks(axes.xaxis, 9, 5000, most=6)
        text = svg(drawn, "ticks")
    assert "mathdefault" not in text
    assert ">1,000<" in text
    assert ">10<" in text
