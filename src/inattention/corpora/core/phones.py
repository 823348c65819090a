"""One phone inventory for English: the 39 phones of the CMU dictionary, without stress, and silence.

eSpeak NG's accents use finer symbols, its *mnemonics*, which `phone_of_espeak` maps to phones. Rules of the table:

- A label is the phoneme that a listener would write down, not its local variant: flaps and glottal stops are `t`,
  syllabic `l`, `m`, `n` are `l`, `m`, `n`, all schwas are `ah`, and words such as *bath* keep `ae` in every accent.
- A vowel with an *r* inside one mnemonic (`A@` in *start*) has one interval and so one label: its vowel. Where
  nothing of a plain vowel is left (`3:` in *nurse*, `3` in *letter*) it is `er`, in accents that drop the *r* too.
- A mnemonic that is not in the table is an error that names it, never silence or a guess.
"""

import re
from dataclasses import dataclass

from inattention.corpora.errors import CorpusError

SILENCE = "sil"
_VOWELS = "aa ae ah ao aw ay eh er ey ih iy ow oy uh uw"
_CONSONANTS = "b ch d dh f g hh jh k l m n ng p r s sh t th v w y z zh"
ENGLISH_PHONES: tuple[str, ...] = (SILENCE, *sorted(f"{_VOWELS} {_CONSONANTS}".split()))
STOPS = frozenset(("b", "ch", "d", "g", "jh", "k", "p", "t"))
"""Phones that begin with a closure: the plosives and the two affricates."""

_STRESS_MARKS = "',%="
_ESPEAK_SPELLINGS = {
    SILENCE: "_ _: _:: _! _| _;_ ||",
    # vowels
    "aa": "0 0# A: A# A@ A~",  # lot, father, start, and French words such as "genre"
    "ae": "a a2 a/ aa",  # trap, its Scottish form, bath
    "ah": "V 02 @ @2 @5 @# @- a# a#2",  # strut, and every schwa: the, to, about, a, an
    "ao": "O O2 O: O@ o@ O~",  # cloth, thought, north, force
    "aw": "aU aU@",  # mouth, hour
    "ay": "aI aI2 aI3 aI@",  # price, its short Scottish form, fire, science
    "eh": "E E2 E# e# e@",  # dress, explore, square
    "er": "3 3: IR VR",  # letter, nurse, and the two vowels that Scots keep apart there
    "ey": "eI e e:",  # face
    "ih": "I I2 I# I2# i@3",  # kit, the endings of "roses" and "wanted", near
    "iy": "i i: i@",  # happy, fleece, idea
    "ow": "oU oU# o o:",  # goat
    "oy": "OI",  # choice
    "uh": "U U@",  # foot, cure
    "uw": "u u:",  # goose
    # consonants
    "b": "b",
    "ch": "tS",
    "d": "d d# d[",
    "dh": "D",
    "f": "f",
    "g": "g",
    "hh": "h",
    "jh": "dZ",
    "k": "k x",  # x: the last sound of Scottish "loch"
    "l": "l l/ l/2 l/3 @L l-",  # light, dark, and syllabic as in "little"
    "m": "m m-",
    "n": "n n-",
    "ng": "N N-",
    "p": "p",
    "r": "r r- r/ R",  # r-: the r that links two vowels
    "s": "s",
    "sh": "S",
    "t": "t t2 t# t[ ?",  # t#: the flap of "city"; t[: Caribbean "thing"; ?: the glottal stop of "button"
    "th": "T",
    "v": "v",
    "w": "w w#",  # w#: Scottish "which"
    "y": "j ;",  # ;: the glide that links "i" to a vowel after it
    "z": "z z# z/2",
    "zh": "Z",
}
_PHONE_OF_ESPEAK = {mnemonic: phone for phone, spelled in _ESPEAK_SPELLINGS.items() for mnemonic in spelled.split()}


class UnknownPhoneError(CorpusError):
    """A phone that is not in the inventory; the message names it."""


def phone_of_espeak(mnemonic: str) -> str:
    """Return the phone of an eSpeak NG mnemonic; stress marks before it are ignored.

    Raises:
        UnknownPhoneError: The mnemonic is not in the table.

    >>> [phone_of_espeak(mnemonic) for mnemonic in ("D", "'i:", "t#", ",i@3", "_:")]
    ['dh', 'iy', 't', 'ih', 'sil']
    """
    phone = _PHONE_OF_ESPEAK.get(mnemonic.lstrip(_STRESS_MARKS))
    if phone is None:
        raise UnknownPhoneError(f"eSpeak's phoneme {mnemonic!r} has no place among the English phones")
    return phone


SILENCE_LABELS = frozenset(
    ("", "sil", "sp", "spn", "silence", "pau", "h#", "#", "_", "<eps>", "<sil>", "<p:>", "!sil", "{sl}")
)
"""Labels of silence in the output of aligners, in lower case."""

UNKNOWN_WORD_LABELS = frozenset(("spn", "spn_s"))
"""Labels of words that the aligner did not know: only their own frames are lost, which count as silence."""

NOISE_LABELS = frozenset(("nsn", "<unk>", "{ns}", "{lg}", "{cg}"))
"""Labels of sounds that are no phone: noise, laughter, words out of vocabulary."""

_POSITION = re.compile(r"_[BIES]$")  # Kaldi's marks of the beginning, inside, end and single phone of a word


@dataclass(frozen=True)
class LabelSymbols:
    """Mapping of labels to the phones of a corpus.

    Labels of silence become `sil` in every phone set: `sil`, `sp`, `spn`, `<eps>`, the empty label and the others in
    `SILENCE_LABELS`, in upper or lower case and with or without Kaldi's mark of position (`SIL_S`).

    Attributes:
        english: Read other labels as ARPAbet, with or without stress and position; otherwise they are kept.
        silence: More labels of silence, in any case.

    >>> LabelSymbols(english=True).phone_of("AH0_B"), LabelSymbols(english=False).phone_of("AH0")
    ('ah', 'AH0')
    >>> [LabelSymbols(english=False, silence=("breath",)).phone_of(label) for label in ("spn", "", "Breath")]
    ['sil', 'sil', 'sil']
    """

    english: bool
    silence: tuple[str, ...] = ()

    def phone_of(self, label: str) -> str | None:
        """Return the phone of a label; None for sounds that are no English phone, such as laughter.

        Raises:
            UnknownPhoneError: `english` is set and it is no label of ARPAbet.
        """
        plain = label.strip()
        names = {plain.lower(), _POSITION.sub("", plain).lower()}
        if not names.isdisjoint(SILENCE_LABELS) or not names.isdisjoint(name.strip().lower() for name in self.silence):
            return SILENCE
        return phone_of_arpabet(plain) if self.english else plain


def phone_of_arpabet(label: str) -> str | None:
    """Return the English phone of an ARPAbet label, with or without stress; None for sounds that are no phone.

    Raises:
        UnknownPhoneError: It is no such label.

    >>> [phone_of_arpabet(label) for label in ("AH0", "sil", "", "ng", "spn", "nsn")]
    ['ah', 'sil', 'sil', 'ng', 'sil', None]
    """
    low = _POSITION.sub("", label.strip()).lower()
    if low in SILENCE_LABELS:
        return SILENCE
    if low in NOISE_LABELS:
        return None
    plain = low[:-1] if low[-1:] in "012" else low
    if plain not in ENGLISH_PHONES:
        raise UnknownPhoneError(f"the label {label[:40]!r} is no English phone in ARPAbet")
    return plain
