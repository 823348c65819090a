"""Written English becomes the words that are spoken."""

import pytest

from inattention.corpora.labels.spoken_words import number_words, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<koff> Well...*sigh* [door] no!", ["Well", "no"]),
        ("It\u2019s 'quoted', rock 'n' roll.", ["It's", "'quoted", "rock", "'n", "roll"]),
        ("CO-OWNS the Drum-A-Thon", ["CO", "OWNS", "the", "Drum", "A", "Thon"]),
        ("Mr. Smith vs. Dr. Jones Ph.D.", ["mister", "Smith", "versus", "doctor", "Jones", "PhD"]),
        ("Salt & pepper, 100% + 2", ["Salt", "and", "pepper", "one", "hundred", "percent", "plus", "two"]),
        ("Treatment^_ (new)", ["Treatment", "new"]),
        ("caf\u00e9 na\u00efve", ["caf\u00e9", "na\u00efve"]),
        ("", []),
        ("... <hack> -- !?", []),
    ],
)
def test_words_are_what_is_spoken(text, words):
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("0", "zero"),
        ("007", "zero zero seven"),
        ("13", "thirteen"),
        ("80", "eighty"),
        ("1,000,001", "one million one"),
        ("2026", "two thousand twenty six"),
        ("1066", "one thousand sixty six"),
        ("1492", "fourteen ninety two"),
        ("1,492", "one thousand four hundred ninety two"),
        ("12th", "twelfth"),
        ("20th", "twentieth"),
        ("103rd", "one hundred third"),
        ("0.50", "zero point five zero"),
        ("1920's", "nineteen twenties"),
        ("6s", "sixes"),
        ("9" * 16, " ".join(["nine"] * 16)),
        ("007th", "zero zero seventh"),
        ("1948th", "one thousand nine hundred forty eighth"),
        ("1,000,000,000,000", "one trillion"),
        ("٣٤", "thirty four"),
    ],
)
def test_numbers_are_written_out(number, words):
    assert " ".join(number_words(number)) == words
