"""Strategies for labelled intervals of time."""

from hypothesis import settings
from hypothesis import strategies as st

QUICK = settings(max_examples=60, deadline=None)
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8)
TOKEN = st.text(st.characters(categories=("L", "N", "S")), min_size=1, max_size=5)


@st.composite
def intervals(draw: st.DrawFn, symbols: st.SearchStrategy[str] = TEXT) -> list[tuple[str, float, float]]:
    """Intervals one after the other, on a grid of milliseconds."""
    lengths = draw(st.lists(st.integers(1, 500), min_size=1, max_size=20))
    ends = [sum(lengths[: i + 1]) / 1000 for i in range(len(lengths))]
    starts = [0.0, *ends[:-1]]
    return [(draw(symbols), a, b) for a, b in zip(starts, ends, strict=True)]
