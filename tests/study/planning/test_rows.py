"""Rows of a study: parsed once, with all that jobs and tables ask of them."""

import pickle

import pytest

from inattention.study.planning.rows import parse_rows, parse_study_row, recorded_row


def test_rows_have_one_canonical_name() -> None:
    rows = parse_rows(["patterned@init=logits", "patterned@logits", "qk@start=identity"])
    assert [row.name for row in rows] == ["patterned@logits", "qk@identity"]
    with pytest.raises(ValueError, match="perhaps 'mel-no-cmvn'"):
        parse_rows(["mel-no-cmv"])


def test_a_row_knows_its_parts() -> None:
    row = parse_study_row("toeplitz@untrained@training.steps=50@model.maps=per-layer")
    assert row.name == "toeplitz@model.maps=per-layer@training.steps=50@untrained"
    assert (row.mechanism, row.variant, row.untrained) == ("toeplitz", "toeplitz", True)
    assert row.trained == "toeplitz@model.maps=per-layer@training.steps=50"
    assert (row.settings_of("training"), row.settings_of("model")) == ({"steps": 50}, {"maps": "per-layer"})
    assert row.card is not None
    assert (row.family, row.is_features, row.is_timed) == (row.card.family, False, False)


def test_feature_rows_have_no_mechanism() -> None:
    row = parse_study_row("mel-no-cmvn")
    assert (row.is_features, row.card, row.family, row.label) == (True, None, "mel", "Mel, not normalised")


def test_rows_travel_to_worker_processes() -> None:
    row = parse_study_row("patterned@logits")
    assert pickle.loads(pickle.dumps(row)) == row
    assert {row: 1}[parse_study_row("patterned@init=logits")] == 1


@pytest.mark.parametrize("name", ["strangers-own@fast@untrained", "qk@removed=3@untrained"])
def test_a_recorded_row_that_cannot_be_run_here_is_still_a_row(name: str) -> None:
    row = recorded_row(name)
    assert (row.name, row.untrained, row.trained) == (name, True, name.removesuffix("@untrained"))
    assert (row.card is None) == name.startswith("strangers")
    assert row.label.endswith(", ".join(name.split("@")[1:]))
