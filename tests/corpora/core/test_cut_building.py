"""Phones of a piece, and phones that do not fit their audio."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inattention.corpora.core.cut_building import fit_phones, phones_within
from inattention.corpora.errors import CorpusError
from intervals import QUICK, TOKEN, intervals


@QUICK
@given(intervals(TOKEN), st.floats(0, 5), st.floats(0.01, 5))
def test_phones_of_a_piece_are_those_of_its_time(phones: list, start: float, length: float) -> None:
    piece = phones_within(phones, start, start + length)
    assert all(0 <= a < b <= length + 1e-9 for _, a, b in piece)
    for centre in (length * 0.25, length * 0.5, length * 0.9):
        whole = [s for s, a, b in phones if a <= start + centre < b]
        assert [s for s, a, b in piece if a <= centre < b] == whole or min(
            abs(start + centre - t) for _, a, b in phones for t in (a, b)
        ) < 1e-9


@pytest.mark.parametrize(
    ("phones", "words"),
    [
        ([], "there are no phones"),
        ([("a", 0.0, 0.0)], "there are no phones"),
        ([("a", 0.0, 0.6), ("b", 0.5, 1.0)], "phones overlap: 'a' ends at 0.6 s"),
        ([("a", 0.0, 0.5)], "phones end at 0.500 s, the audio at 1.000 s"),
        ([("a", 0.0, 1.5)], "phones end at 1.500 s"),
    ],
)
def test_phones_that_do_not_fit_their_audio_are_refused(phones: list, words: str) -> None:
    with pytest.raises(CorpusError, match=words):
        fit_phones(phones, 1.0, 0.1)
