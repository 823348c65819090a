"""eSpeak NG's library is loaded with its data and knows its voices."""

import pytest

from inattention.corpora.espeak_library import EspeakError, EspeakLibrary


@pytest.fixture(scope="module")
def library() -> EspeakLibrary:
    return EspeakLibrary()


def test_a_voice_that_does_not_exist_is_named(library: EspeakLibrary) -> None:
    with pytest.raises(EspeakError, match="eSpeak has no voice 'xx-klingon'"):
        library.set_voice("xx-klingon")


def test_each_clause_has_its_phonemes(library: EspeakLibrary) -> None:
    library.set_voice("en-us")
    clauses = library.phonemes("Two oysters. Go!", "_")
    assert [clause.split("_")[0].strip("',") for clause in clauses] == ["t", "g"]
    assert library.phonemes("", "_") == []
