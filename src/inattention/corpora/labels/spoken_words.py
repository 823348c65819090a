"""What an aligner must hear: written English as words that are spoken, and how those are pronounced.

Words come from text (`words_of`), without stage marks such as `<koff>`, with numbers written out. The aligner's own
dictionary pronounces what it knows; for all else eSpeak NG's letter-to-sound rules do (`EspeakPronouncer`).
"""

import ctypes
import os
import re
from collections.abc import Iterator

from inattention.corpora.core.phones import SILENCE, UnknownPhoneError, phone_of_espeak

_STAGE_MARK = re.compile(r"<[^<>]*>|\[[^\[\]]*\]|\*[^*\s]+\*")
_TOKEN = re.compile(r"\d+(?:[.,]\d+)*(?:'?s|st|nd|rd|th)?|[^\W\d_]+(?:['.][^\W\d_]+)*\.?|'[^\W\d_]+", re.IGNORECASE)
_ABBREVIATIONS = {"mr": "mister", "mrs": "missus", "ms": "miz", "dr": "doctor", "vs": "versus", "prof": "professor"}
_SIGNS = {"&": " and ", "%": " percent ", "+": " plus ", "=": " equals ", "@": " at "}
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "`": "'", "\u00b4": "'"})

_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
_MARKS = ",'%=|!"  # that eSpeak writes beside phonemes: stress, and breaks between words
_LONGEST_NUMBER = 15  # digits; a longer one is read digit by digit
_ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}
_ORDINALS["twelve"] = "twelfth"


def words_of(text: str) -> list[str]:
    """The words of a text as they are spoken, in their own spelling; numbers, signs and titles are written out.

    >>> words_of('<ahem> Mr. King, 24 "pre-war" IQs!')
    ['mister', 'King', 'twenty', 'four', 'pre', 'war', 'IQs']
    >>> words_of("In 1948, 'em cost 1,200 dollars: that's the 1940's.")
    ['In', 'nineteen', 'forty', 'eight', "'em", 'cost', 'one', 'thousand', 'two', 'hundred', 'dollars', "that's", \
'the', 'nineteen', 'forties']
    """
    text = _STAGE_MARK.sub(" ", text.translate(_APOSTROPHES))
    for sign, spoken in _SIGNS.items():
        text = text.replace(sign, spoken)
    words: list[str] = []
    for token in _TOKEN.findall(text):
        if token[0].isdecimal():
            words += number_words(token)
        else:
            word = token.removesuffix(".") if token.count(".") == 1 else token.replace(".", "")
            words += [_ABBREVIATIONS.get(word.lower(), word)]
    return words


def number_words(token: str) -> list[str]:
    """A number as it is spoken: cardinal, ordinal, decimal, a year from 1100 to 1999 as in dates, or a decade.

    >>> [" ".join(number_words(number)) for number in ("407", "21st", "3.14", "1905", "1900", "90s", "2,000")]
    ['four hundred seven', 'twenty first', 'three point one four', 'nineteen oh five', 'nineteen hundred', \
'nineties', 'two thousand']
    """
    match = re.fullmatch(r"([\d.,]+?)(?:('?s)|(st|nd|rd|th))?", token, re.IGNORECASE)
    if match is None:
        return []
    digits, plural, ordinal = match.groups()
    whole, point, decimals = digits.replace(",", "").partition(".")
    if point:
        return [*_cardinal(whole), "point", *(_ONES[int(digit)] for digit in decimals if digit.isdecimal())]
    words = _year(int(whole)) if len(digits) == 4 and "1100" <= digits <= "1999" and not ordinal else _cardinal(whole)
    if plural:
        return [*words[:-1], _plural(words[-1])]
    if ordinal:
        return [*words[:-1], _ordinal(words[-1])]
    return words


def _cardinal(digits: str) -> list[str]:
    if len(digits) > _LONGEST_NUMBER or (len(digits) > 1 and digits[0] == "0"):
        return [_ONES[int(digit)] for digit in digits]
    return _spell(int(digits or "0"))


def _spell(number: int) -> list[str]:
    if number < 20:
        return [_ONES[number]]
    if number < 100:
        return [_TENS[number // 10 - 2], *([_ONES[number % 10]] if number % 10 else [])]
    scale, name = next((scale, name) for scale, name in _SCALES if number >= scale)
    rest = number % scale
    return [*_spell(number // scale), name, *(_spell(rest) if rest else [])]


def _year(number: int) -> list[str]:
    century, rest = divmod(number, 100)
    ending = ["hundred"] if not rest else ["oh", _ONES[rest]] if rest < 10 else _spell(rest)
    return [*_spell(century), *ending]


def _ordinal(word: str) -> str:
    regular = word.removesuffix("y") + "ieth" if word.endswith("y") else word + "th"
    return _ORDINALS.get(word, regular)


def _plural(word: str) -> str:
    return word.removesuffix("y") + "ies" if word.endswith("y") else word + ("es" if word.endswith("x") else "s")


def spellings(word: str) -> Iterator[str]:
    """How a word may stand in a dictionary, likeliest first: small, without quotes, without drawn-out letters.

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
    """Phones of any word by eSpeak NG's rules for American English; it says nothing, so nothing is left behind in it.

    Raises:
        UnknownPhoneError: eSpeak found no usable voice data.
    """

    _OUTPUT_SYNCHRONOUS = 2
    _DONT_EXIT = 0x8000
    _CHARS_UTF8 = 1
    _SEPARATOR = "_"

    def __init__(self) -> None:
        import espeakng_loader

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path()
        if self._library.espeak_Initialize(self._OUTPUT_SYNCHRONOUS, 0, os.fsencode(data), self._DONT_EXIT) <= 0:
            raise UnknownPhoneError(f"eSpeak could not read its voice data in {data}: reinstall espeakng-loader")
        if self._library.espeak_SetVoiceByName(b"en-us") != 0:
            raise UnknownPhoneError(f"eSpeak has no American English voice in {data}: reinstall espeakng-loader")
        self._phonemes = self._library.espeak_TextToPhonemes
        self._phonemes.restype = ctypes.c_char_p
        self._phonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]

    def phones(self, word: str) -> list[str]:
        """The phones of a word, without stress and silence; none for what cannot be said.

        Raises:
            UnknownPhoneError: eSpeak uses a phoneme that the inventory has no place for.
        """
        # Capitals would be spelled out, but "IQs" should be.
        spelling = word.lower() if word.isupper() else word
        text = ctypes.c_char_p(spelling.encode())
        phones: list[str] = []
        while text.value:
            spoken = self._phonemes(ctypes.byref(text), self._CHARS_UTF8, ord(self._SEPARATOR) << 8)
            # Names of languages, such as "(fr)", stand where eSpeak takes a word for a foreign one.
            mnemonics = re.split(rf"[\s{self._SEPARATOR}]+", re.sub(r"\([a-z-]*\)", " ", (spoken or b"").decode()))
            phones += [phone_of_espeak(mnemonic) for mnemonic in mnemonics if mnemonic.strip(_MARKS)]
        return [phone for phone in phones if phone != SILENCE]
