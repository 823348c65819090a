"""The tier of phones is found by its name; reading labels is tested with the reader `folder`."""

import pytest

from inattention.corpora.errors import CorpusError
from inattention.corpora.labels.beside_audio import TierNames
from inattention.corpora.labels.textgrid import Tier, parse_textgrid
from recordings import textgrid


@pytest.mark.parametrize("name", ["phones", "Phone", "MAU", "ann - phones"])
def test_the_tier_of_phones_is_found_by_its_usual_names(name: str) -> None:
    tiers = parse_textgrid(textgrid([("a", 0.0, 1.0)], tier=name))
    assert TierNames().choose(tiers).name == name
    with pytest.raises(CorpusError, match="has 0 tiers called 'other'"):
        TierNames("other").choose(tiers)
    with pytest.raises(CorpusError, match="has 2 tiers"):
        TierNames().choose(tiers * 2)


def test_a_tier_of_points_is_refused() -> None:
    with pytest.raises(CorpusError, match="has points"):
        TierNames("beeps").choose([Tier("beeps", (("x", 0.5, 0.5),), points=True)])
