"""Labels that fit their audio, what is repaired and what is not."""

import pytest

from inattention.corpora.core.phones import LabelSymbols
from inattention.corpora.labels.ctm import Ctm
from inattention.corpora.labels.intervals import FRAME_SECONDS, Fitted, Interval, LabelError, Labels, fit
from inattention.corpora.labels.textgrid import TierNames, parse_textgrid
from recordings import textgrid

AS_IS = LabelSymbols(english=False)


def of_textgrid(phones: list[tuple[str, float, float]], seconds: float = 1.0, **options: bool) -> Fitted:
    labels = parse_textgrid(textgrid(phones, short=True)).labels(TierNames())
    return fit(labels, AS_IS, seconds, **options)


def of_ctm(lines: str, seconds: float = 1.0, **options: bool) -> Fitted:
    return fit(Ctm(lines.split("\n")).labels("a"), AS_IS, seconds, **options)


def test_labels_that_fit_are_kept_as_they_are() -> None:
    phones = [("a", 0.0, 0.4), ("b", 0.4, 1.0)]
    found = of_textgrid(phones)
    assert (found.phones, found.repairs) == (phones, {})


@pytest.mark.parametrize("overlap", [0.0002, 0.001, -0.001])
def test_a_border_of_a_textgrid_moves_by_a_millisecond(overlap: float) -> None:
    found = of_textgrid([("a", 0.0, 0.4 + overlap), ("b", 0.4, 1.0)])
    assert found.phones == [("a", 0.0, 0.4), ("b", 0.4, 1.0)]
    (lines,) = found.repairs.values()
    assert lines == [16]


def test_a_border_of_a_ctm_moves_by_ten_milliseconds() -> None:
    found = of_ctm("a 1 0.00 0.41 x\na 1 0.40 0.59 y\na 1 0.99 0.00 z")
    assert found.phones == [("x", 0.0, 0.4), ("y", 0.4, 0.99)]
    assert list(found.repairs.values()) == [[3], [2]]


def test_a_larger_overlap_is_an_error_that_names_tier_and_line() -> None:
    with pytest.raises(LabelError, match=r"tier 'phones', line 16: 'b' starts at 0.4 s, 'a' before it ends at 0.402 s"):
        of_textgrid([("a", 0.0, 0.402), ("b", 0.4, 1.0)])
    with pytest.raises(LabelError, match=r"^line 1: 'x' starts at 0.4 s"):
        of_ctm("a 1 0.40 0.60 x\na 1 0.00 0.42 y")


@pytest.mark.parametrize("past", [0.001, 0.008, 0.010, FRAME_SECONDS])
def test_an_end_up_to_a_frame_past_the_audio_is_cut(past: float) -> None:
    for found in (of_textgrid([("a", 0.0, 1.0 + past)]), of_ctm(f"a 1 0 {1.0 + past} a")):
        assert found.phones == [("a", 0.0, 1.0)]
        assert list(found.repairs) == ["end slightly past the audio or the tier"]


def test_an_end_further_past_the_audio_is_an_error() -> None:
    with pytest.raises(LabelError, match=r"tier 'phones', line 16: the phones end at 1.020 s, the audio at 1.000 s"):
        of_textgrid([("a", 0.0, 0.5), ("b", 0.5, 1.02)])
    with pytest.raises(LabelError, match=r"line 1: the phones end at 1.050 s"):
        of_ctm("a 1 0 1.05 a")


def test_an_end_past_the_tier_is_cut_within_a_frame_and_else_an_error() -> None:
    text = textgrid([("a", 0.0, 1.0)], short=True)
    assert fit(parse_textgrid(text.replace('\n1.0\n"a"', '\n1.01\n"a"')).labels(TierNames()), AS_IS, 2.0).phones == [
        ("a", 0.0, 1.0)
    ]
    with pytest.raises(LabelError, match=r"line 13: 'a' ends at 1.02 s, its tier at 1 s"):
        fit(parse_textgrid(text.replace('\n1.0\n"a"', '\n1.02\n"a"')).labels(TierNames()), AS_IS, 2.0)


def test_gaps_and_an_early_end_leave_their_frames_without_labels() -> None:
    found = of_textgrid([("a", 0.1, 0.4), ("b", 0.5, 0.8)])
    assert found.phones == [("a", 0.1, 0.4), ("b", 0.5, 0.8)]
    assert list(found.repairs) == ["gap without a label", "end of the audio without a label"]
    found = of_ctm("a 1 0.1 0.3 a\na 1 0.5 0.3 b")
    assert found.phones == [("a", 0.1, 0.4), ("b", 0.5, 0.8)]
    assert list(found.repairs) == ["end of the audio without a label"]  # a CTM has no labels of silence


def test_labels_without_duration_are_dropped_and_backward_ones_refused() -> None:
    found = of_ctm("a 1 0 0.5 a\na 1 0.5 0 b\na 1 0.5 0.5 c")
    assert [symbol for symbol, _, _ in found.phones] == ["a", "c"]
    assert found.repairs == {"label without duration dropped": [2]}
    with pytest.raises(LabelError, match=r"line 13: 'a' ends at 0.4 s, before it starts at 0.5 s"):
        of_textgrid([("a", 0.5, 0.4), ("b", 0.5, 1.0)])
    with pytest.raises(LabelError, match="there are no phones"):
        of_ctm("a 1 0 0 a")


def test_an_excerpt_that_kept_its_times_is_shifted() -> None:
    text = textgrid([("a", 3.0, 3.4), ("b", 3.4, 4.0)], short=True).replace("\n0\n", "\n3\n")
    found = fit(parse_textgrid(text).labels(TierNames()), AS_IS, 1.0)
    assert [(s, pytest.approx(a), pytest.approx(b)) for s, a, b in found.phones] == [("a", 0.0, 0.4), ("b", 0.4, 1.0)]
    assert list(found.repairs) == ["times of an excerpt shifted to the beginning of the audio"]
    # Times that fit the audio are its own, wherever the TextGrid begins.
    assert fit(parse_textgrid(text).labels(TierNames()), AS_IS, 4.0).phones[0] == ("a", 3.0, 3.4)


def test_a_start_before_the_audio_is_moved_by_a_rounding_step_and_else_refused() -> None:
    assert of_textgrid([("a", -0.001, 1.0)]).phones == [("a", 0.0, 1.0)]
    with pytest.raises(LabelError, match=r"starts at -0.01 s, before the audio"):
        of_textgrid([("a", -0.01, 1.0)])


def test_labels_end_where_truncated_audio_ends() -> None:
    phones = [("a", 0.0, 0.8), ("b", 0.8, 1.5), ("c", 1.5, 2.0)]
    found = of_textgrid(phones, truncated=True)
    assert found.phones == [("a", 0.0, 0.8), ("b", 0.8, 1.0)]
    assert found.repairs == {"labels cut where truncated audio ends": [16, 19]}
    with pytest.raises(LabelError, match=r"end at 2.000 s, the audio at 1.000 s"):
        of_textgrid(phones)


def test_an_unknown_word_costs_its_own_frames() -> None:
    found = fit(
        Labels((Interval("AH0", 0.0, 0.5), Interval("spn", 0.5, 1.0, 7)), 0.001), LabelSymbols(english=True), 1.0
    )
    assert found.phones == [("ah", 0.0, 0.5), ("sil", 0.5, 1.0)]
    assert found.repairs == {"unknown word counted as silence": [7]}


def test_noise_leaves_a_gap_in_english_and_costs_nothing_else() -> None:
    labels = Labels((Interval("AH0", 0.0, 0.5), Interval("nsn", 0.5, 1.0)), 0.001)
    assert fit(labels, LabelSymbols(english=True), 1.0).phones == [("ah", 0.0, 0.5)]
    assert fit(labels, LabelSymbols(english=True, silence=("NSN",)), 1.0).phones[1] == ("sil", 0.5, 1.0)


def test_an_unknown_symbol_is_an_error_that_names_its_line() -> None:
    labels = Labels((Interval("œ", 0.0, 1.0, 5),), 0.001, tier="phones")
    with pytest.raises(
        LabelError, match=r"tier 'phones', line 5: the label 'œ' is no English phone .*--silence"
    ) as caught:
        fit(labels, LabelSymbols(english=True), 1.0)
    assert caught.value.category == "unknown phone"
