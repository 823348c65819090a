"""The voices of eSpeak NG that serve as speakers, in the order in which they are used.

A speaker is an accent and a *variant*: eSpeak's name for a timbre with its own formants, pitch and voice quality.
The list is the result of measuring all 104 variants of eSpeak NG 1.52 on the same sentences:

- Nine are skipped because the same sentence does not give the same samples twice: Alicia, Demonic, f2, f3, f5, sandro,
  victor, whisper, whisperf.
- Four are skipped because their echo fills the pauses, so that silence is not silent: RicishayMax, RicishayMax2,
  RicishayMax3, announcer.
- Three are skipped as duplicates of another voice: fast (the default), adam (klatt6), steph2 (steph3).
- The others are ordered so that each differs as much as possible from all before it (mean and deviation of the log-mel
  spectrum and median pitch), with mild echoes and robots last. Any first N are therefore about as diverse as N can be.

Further speakers are the first few timbres in other accents of English.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Voice:
    """An eSpeak accent with a variant; an empty variant is the accent's plain voice."""

    accent: str
    variant: str

    @property
    def espeak_name(self) -> str:
        """The voice's name in eSpeak, such as `en-us+f4`."""
        return f"{self.accent}+{self.variant}" if self.variant else self.accent

    @property
    def speaker(self) -> str:
        """A name that is safe in file names, such as `f4_en-us`."""
        return f"{self.variant.lower().replace(' ', '-') or 'plain'}_{self.accent}"


_TIMBRES = (
    *("", "Reed", "zac", "Lee", "kaukovalta", "belinda", "ian", "steph3", "klatt2", "anika", "AnxiousAndy", "Andy"),
    *("travis", "Michael", "Marco", "boris", "caleb", "shelby", "grandma", "quincy", "edward", "michel", "Storm"),
    *("Andrea", "f1", "Jacky", "Annie", "Gene2", "iven2", "david", "Tweaky", "Hugo", "ed", "aunty", "pablo", "m7"),
    *("norbert", "marcelo", "Mr serious", "m8", "antonio", "klatt3", "Denis", "robert", "paul", "iven4", "linda"),
    *("benjamin", "Mario", "grandpa", "m5", "Diogo", "pedro", "m1", "klatt6", "klatt5", "max", "gustave", "Nguyen"),
    *("mike2", "john", "croak", "Alex", "m3", "iven3", "m4", "iven", "Mike", "m6", "steph", "miguel", "edward2"),
    *("Henrique", "rob", "klatt", "klatt4", "Gene", "f4", "m2", "UniRobot", "anikaRobot", "robosoft2", "robosoft3"),
    *("robosoft4", "robosoft5", "robosoft6", "robosoft7", "robosoft8", "robosoft"),
)
_OTHER_ACCENTS = ("en-gb-x-rp", "en-gb-scotland", "en-029", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-us-nyc")
_TIMBRES_PER_OTHER_ACCENT = 4

VOICES: tuple[Voice, ...] = (
    *(Voice("en-us", timbre) for timbre in _TIMBRES),
    *(Voice(accent, timbre) for accent in _OTHER_ACCENTS for timbre in _TIMBRES[:_TIMBRES_PER_OTHER_ACCENT]),
)
