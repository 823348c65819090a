import pytest

from inattention.corpora.core.phones import (
    _ESPEAK_SPELLINGS,
    ENGLISH_PHONES,
    SILENCE,
    STOPS,
    LabelSymbols,
    UnknownPhoneError,
    phone_of_espeak,
)
from inattention.corpora.errors import CorpusError


def test_the_inventory_is_39_phones_and_silence():
    assert len(ENGLISH_PHONES) == len(set(ENGLISH_PHONES)) == 40
    assert ENGLISH_PHONES[0] == SILENCE == "sil"
    assert set(ENGLISH_PHONES) > STOPS


def test_every_phone_has_a_mnemonic_and_every_mnemonic_one_phone():
    assert set(_ESPEAK_SPELLINGS) == set(ENGLISH_PHONES)
    mnemonics = [mnemonic for spelled in _ESPEAK_SPELLINGS.values() for mnemonic in spelled.split()]
    assert len(mnemonics) == len(set(mnemonics))


@pytest.mark.parametrize(
    ("mnemonic", "phone"),
    [
        ("'A@", "aa"),
        ("O@", "ao"),
        ("e@", "eh"),
        (",i@3", "ih"),
        ("U@", "uh"),
        ("aI@", "ay"),
        ("aU@", "aw"),
        ("'3:", "er"),
        ("3", "er"),
        ("@L", "l"),
        ("n-", "n"),
        ("t#", "t"),
        ("?", "t"),
        ("tS", "ch"),
        ("_:", "sil"),
    ],
)
def test_coloured_vowels_flaps_and_syllabic_consonants_have_their_place(mnemonic, phone):
    assert phone_of_espeak(mnemonic) == phone


@pytest.mark.parametrize("mnemonic", ["Y", "'y:", "_^_", "", "'"])
def test_an_unknown_mnemonic_is_an_error_that_names_it(mnemonic):
    with pytest.raises(UnknownPhoneError) as caught:
        phone_of_espeak(mnemonic)
    assert repr(mnemonic) in str(caught.value)
    assert isinstance(caught.value, CorpusError)


@pytest.mark.parametrize("english", [True, False])
@pytest.mark.parametrize(
    "label", ["", " ", "sil", "SIL", "sp", "SPN", "spn", "<eps>", "<sil>", "SIL_S", "spn_S", "breath"]
)
def test_silence_has_one_label_in_every_phone_set(label, english):
    assert LabelSymbols(english, silence=("Breath",)).phone_of(label) == SILENCE


def test_other_labels_are_kept_or_read_as_arpabet():
    assert [LabelSymbols(english=False).phone_of(label) for label in (" AH0_B", "nsn", "œ")] == ["AH0_B", "nsn", "œ"]
    assert [LabelSymbols(english=True).phone_of(label) for label in ("AH0_B", "nsn", "sh")] == ["ah", None, "sh"]
    with pytest.raises(UnknownPhoneError, match="breath"):
        LabelSymbols(english=True).phone_of("breath")
