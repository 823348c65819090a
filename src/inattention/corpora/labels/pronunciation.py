"""Pronunciation of words: spellings for the aligner's dictionary, and eSpeak NG's rules for words that it lacks."""

import re
from collections.abc import Iterator

from inattention.corpora.core.phones import SILENCE, phone_of_espeak
from inattention.corpora.espeak_library import EspeakLibrary

_SEPARATOR = "_"
_MARKS = ",'%=|!"  # that eSpeak writes beside phonemes: stress, and breaks between words


def spellings(word: str) -> Iterator[str]:
    """Yield how a word may be spelled in a dictionary, likeliest first: lower case, no quotes, no drawn-out letters.

    >>> list(spellings("'Hmmmm'"))
    ["'hmmmm'", "'hmm'", 'hmmmm', "'hm'", 'hmm', 'hm']
    """
    small = word.lower()
    seen = []
    for spelling in (small, small.strip("'")):
        for drawn in (spelling, re.sub(r"(.)\1{2,}", r"\1\1", spelling), re.sub(r"(.)\1{2,}", r"\1", spelling)):
            if drawn and drawn not in seen:
                seen.append(drawn)
    yield from sorted(seen, key=lambda spelling: -len(spelling))


class EspeakPronouncer:
    """Phones of any word by eSpeak NG's letter-to-sound rules for American English.

    Nothing is spoken, so the answers do not depend on earlier ones.

    Raises:
        EspeakError: eSpeak found no usable voice data.
    """

    def __init__(self) -> None:
        self._library = EspeakLibrary()
        self._library.set_voice("en-us")

    def phones(self, word: str) -> list[str]:
        """Return the phones of a word, without stress and silence; an empty list if it cannot be pronounced.

        Raises:
            UnknownPhoneError: eSpeak uses a phoneme that is not in the inventory.
        """
        # Capitals would be spelled out, but "IQs" should be.
        spelling = word.lower() if word.isupper() else word
        phones: list[str] = []
        for spoken in self._library.phonemes(spelling, _SEPARATOR):
            # Names of languages, such as "(fr)", mark a word that eSpeak takes for a foreign one.
            mnemonics = re.split(rf"[\s{_SEPARATOR}]+", re.sub(r"\([a-z-]*\)", " ", spoken))
            phones += [phone_of_espeak(mnemonic) for mnemonic in mnemonics if mnemonic.strip(_MARKS)]
        return [phone for phone in phones if phone != SILENCE]
