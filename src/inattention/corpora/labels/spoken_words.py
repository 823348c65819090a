"""The words of a written English text as they are spoken.

Stage marks such as `<koff>` are dropped; numbers, signs and titles are written out. Numbers are read as in American
English, without "and": "four hundred seven".
"""

import re

_STAGE_MARK = re.compile(r"<[^<>]*>|\[[^\[\]]*\]|\*[^*\s]+\*")
_TOKEN = re.compile(r"\d+(?:[.,]\d+)*(?:'?s|st|nd|rd|th)?|[^\W\d_]+(?:['.][^\W\d_]+)*\.?|'[^\W\d_]+", re.IGNORECASE)
_NUMBER = re.compile(r"([\d.,]+?)(?:('?s)|(st|nd|rd|th))?", re.IGNORECASE)
_ABBREVIATIONS = {"mr": "mister", "mrs": "missus", "ms": "miz", "dr": "doctor", "vs": "versus", "prof": "professor"}
_SIGNS = {"&": " and ", "%": " percent ", "+": " plus ", "=": " equals ", "@": " at "}
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "`": "'", "\u00b4": "'"})
_LONGEST_NUMBER = 15  # digits; a longer one is read digit by digit


def words_of(text: str) -> list[str]:
    """Return the words of a text as they are spoken, in their own spelling.

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
    """Return the words of a number: cardinal, ordinal, decimal, decade, or a year from 1100 to 1999.

    >>> [" ".join(number_words(number)) for number in ("407", "21st", "3.14", "1905", "1900", "90s", "2,000")]
    ['four hundred seven', 'twenty first', 'three point one four', 'nineteen oh five', 'nineteen hundred', \
'nineties', 'two thousand']
    """
    match = _NUMBER.fullmatch(token)
    if match is None:
        return []
    digits, plural, ordinal = match.groups()
    whole, point, decimals = digits.replace(",", "").partition(".")
    if point:
        return [*_cardinal(whole), "point", *_each(decimals)]
    if ordinal:
        return _cardinal(whole, "ordinal")
    is_year = len(digits) == 4 and "1100" <= digits <= "1999"
    words = _spell(int(whole), "year") if is_year else _cardinal(whole)
    return [*words[:-1], _plural(words[-1])] if plural else words


def _cardinal(digits: str, kind: str = "cardinal") -> list[str]:
    if len(digits) > _LONGEST_NUMBER or (len(digits) > 1 and digits[0] == "0"):
        return [*_each(digits[:-1]), *_spell(int(digits[-1]), kind)]
    return _spell(int(digits or "0"), kind)


def _each(digits: str) -> list[str]:
    """Return the words of digits that are read one by one."""
    return [word for digit in digits if digit.isdecimal() for word in _spell(int(digit))]


def _spell(number: int, kind: str = "cardinal") -> list[str]:
    from num2words import num2words  # slow to import, as it brings all languages

    words = re.split(r"[ ,-]+", num2words(number, to=kind))
    return [word for word in words if word != "and"]


def _plural(word: str) -> str:
    return word.removesuffix("y") + "ies" if word.endswith("y") else word + ("es" if word.endswith("x") else "s")
