"""Any word has phones, by eSpeak NG's rules."""

from inattention.corpora.core.phones import ENGLISH_PHONES, SILENCE
from inattention.corpora.labels.pronunciation import EspeakPronouncer


def test_any_word_is_pronounced_by_rule():
    pronouncer = EspeakPronouncer()
    assert pronouncer.phones("Floda") == ["f", "l", "ow", "d", "ah"]
    assert pronouncer.phones("GNARLED")[:2] == ["n", "aa"]
    assert pronouncer.phones("...") == []
    for word in ("squaark", "brrr", "caf\u00e9", "Mobobo's", "hoverbike", "x", "bj\u00f6rk"):
        phones = pronouncer.phones(word)
        assert phones, word
        assert set(phones) <= set(ENGLISH_PHONES) - {SILENCE}
    assert pronouncer.phones("Floda") == ["f", "l", "ow", "d", "ah"]  # nothing said before has changed it
