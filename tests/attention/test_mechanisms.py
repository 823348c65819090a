"""Every registered mechanism, in every variant that a study can name, keeps every promise of the contract."""

import pytest

from inattention.attention import card, mechanisms
from inattention.testing import CLAIMS, Case

ROWS = [(name, variant) for name in mechanisms() for variant in ("", *card(name).variants)]


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize(("name", "variant"), ROWS, ids=[f"{n}@{v}" if v else n for n, v in ROWS])
def test_mechanism_keeps_its_promise(name: str, variant: str, claim: str) -> None:
    options = dict(card(name).variants[variant]) if variant else {}
    CLAIMS[claim](Case(name, options))
