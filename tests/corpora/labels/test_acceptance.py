"""The rule names what is wrong with an alignment."""

import pytest

from inattention.corpora.labels.acceptance import Facts, Rule


@pytest.mark.parametrize(
    ("facts", "objection"),
    [
        ({}, None),
        ({"confidence": -9.0}, "does not sound like"),
        ({"confidence": float("nan")}, "does not sound like"),
        ({"shortest": 0.9}, "too long"),
        ({"pauses": 0.8}, "too short"),
        ({"longest_seconds": 2.0}, "too short"),
        ({"left_over": 0.6}, "too short"),
    ],
)
def test_the_rule_names_its_objection(facts, objection):
    plain = {"confidence": -4.0, "shortest": 0.1, "pauses": 0.1, "longest_seconds": 0.2, "left_over": 0.0, "phones": 20}
    found = Rule().objection(Facts(**{**plain, **facts}))
    assert found is None if objection is None else objection in found
