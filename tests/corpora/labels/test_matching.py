"""Each recording finds its own labels, and nobody else's."""

import time
from unicodedata import normalize

import pytest

from inattention.corpora.labels.matching import Matches, Source, match_labels

NFC, NFD = (normalize(form, "é") for form in ("NFC", "NFD"))


def match(
    recordings: list[str], beside: tuple[str, ...] = (), apart: tuple[str, ...] | None = None, **ctms: list[str]
) -> Matches:
    """Match labels; the keywords are CTMs in the root of the recordings' folder, with the names in them."""
    files = [beside] if apart is None else [beside, apart]
    return match_labels(recordings, files, {Source(0, f"{name}.ctm"): names for name, names in ctms.items()})


def files_of(found: Matches) -> dict[str, str]:
    return {recording: source.file for recording, source in found.of.items()}


def test_a_label_beside_belongs_to_the_recordings_of_its_name() -> None:
    found = match(
        ["ann/a.wav", "ann/a.flac", "bob/a.wav", "c.d.wav"], ("ann/a.TEXTGRID", "c.d.textgrid", "ann/b.TextGrid")
    )
    assert files_of(found) == {"ann/a.wav": "ann/a.TEXTGRID", "ann/a.flac": "ann/a.TEXTGRID", "c.d.wav": "c.d.textgrid"}
    assert [str(source) for source in found.unused] == ["ann/b.TextGrid"]


def test_names_are_the_same_in_both_unicode_forms() -> None:
    for one, other in ((NFC, NFD), (NFD, NFC)):
        assert files_of(match([f"{one}.wav"], (f"{other}.TextGrid",))) == {f"{one}.wav": f"{other}.TextGrid"}
        assert match([f"{one}/{one}.wav"], all=[f"{one}/{other}"]).of
        assert match([f"{one}/a.wav"], (), (f"{other}/a.TextGrid",)).of


def test_names_in_both_forms_in_one_folder_find_their_own() -> None:
    found = match([f"{NFC}.wav", f"{NFD}.wav"], (f"{NFC}.TextGrid", f"{NFD}.TextGrid"))
    assert files_of(found) == {f"{form}.wav": f"{form}.TextGrid" for form in (NFC, NFD)}
    found = match([f"{NFC}.wav", f"{NFD}.wav"], (f"{NFC}.TextGrid",))
    assert files_of(found) == {f"{NFC}.wav": f"{NFC}.TextGrid"}


def test_two_labels_of_one_name_are_refused_by_name() -> None:
    found = match(["a.wav"], ("a.TextGrid", "a.textgrid"))
    assert not found.of
    assert "a.textgrid could be the labels of a.wav, too" in found.refused[Source(0, "a.TextGrid")]
    assert len(found.refused) == 2


def test_labels_in_another_folder_are_found_by_the_same_path() -> None:
    found = match(["ann/0.wav", "bob/0.wav"], (), ("bob/0.TextGrid", "ann/0.TextGrid"))
    assert files_of(found) == {"ann/0.wav": "ann/0.TextGrid", "bob/0.wav": "bob/0.TextGrid"}


def test_labels_in_another_folder_are_found_by_a_unique_name() -> None:
    found = match(["x/ann/0.wav", "x/bob/1.wav"], (), ("0.TextGrid", "deep/er/1.TextGrid", "2.TextGrid"))
    assert files_of(found) == {"x/ann/0.wav": "0.TextGrid", "x/bob/1.wav": "deep/er/1.TextGrid"}
    assert [str(source) for source in found.unused] == ["2.TextGrid"]


def test_labels_in_another_folder_are_found_by_most_common_folders() -> None:
    found = match(["x/ann/0.wav", "x/bob/0.wav"], (), ("ann/0.TextGrid",))
    assert files_of(found) == {"x/ann/0.wav": "ann/0.TextGrid"}


def test_ambiguous_names_in_another_folder_are_refused_by_name() -> None:
    found = match(["ann/0.wav", "bob/0.wav"], (), ("0.TextGrid",))
    assert not found.of
    assert "could be the labels of ann/0.wav, bob/0.wav" in found.refused[Source(1, "0.TextGrid")]
    found = match(["ann/0.wav"], (), ("x/0.TextGrid", "y/0.TextGrid"))
    assert not found.of
    assert "y/0.TextGrid could be the labels of ann/0.wav, too" in found.refused[Source(1, "x/0.TextGrid")]


def test_labels_elsewhere_are_not_guessed_without_a_folder_of_labels() -> None:
    assert not match(["ann/0.wav"], ("bob/0.TextGrid",)).of


def test_the_folder_of_labels_comes_first_and_those_beside_are_second() -> None:
    found = match(["a.wav", "b.wav"], ("a.TextGrid", "b.TextGrid"), ("a.TextGrid",))
    assert {recording: source.folder for recording, source in found.of.items()} == {"a.wav": 1, "b.wav": 0}
    assert found.second == [Source(0, "a.TextGrid")]


@pytest.mark.parametrize("name", ["0", "ann/0", "0.wav", "ann/0.wav"])
def test_a_ctm_of_many_recordings_names_them(name: str) -> None:
    found = match(["ann/0.wav", "ann/1.wav"], everything=[name, "2"])
    assert found.of == {"ann/0.wav": Source(0, "everything.ctm", name)}
    assert [str(source) for source in found.unused] == ["everything.ctm (2)"]


def test_a_name_in_a_ctm_that_two_recordings_have_is_refused() -> None:
    found = match(["ann/0.wav", "bob/0.wav"], everything=["0"])
    assert not found.of
    assert "could be the labels of" in found.refused[Source(0, "everything.ctm", "0")]


def test_a_textgrid_is_preferred_to_a_ctm() -> None:
    found = match(["a.wav"], ("a.TextGrid",), a=["a"])
    assert found.of == {"a.wav": Source(0, "a.TextGrid")}
    assert found.second == [Source(0, "a.ctm", "a")]


def test_many_recordings_of_few_names_take_no_time() -> None:
    recordings = [f"x/{i}/{j}.wav" for i in range(1000) for j in range(5)]
    began = time.perf_counter()
    found = match(recordings, (), tuple(f"{i}/{j}.TextGrid" for i in range(1000) for j in range(5)), a=["3"] * 1)
    assert len(found.of) == len(recordings)
    assert time.perf_counter() - began < 5.0
