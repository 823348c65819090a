from inattention.corpora.readers.espeak.voices import VOICES

UNREPEATABLE = {"Alicia", "Demonic", "f2", "f3", "f5", "sandro", "victor", "whisper", "whisperf"}


def test_voices_are_many_distinct_and_repeatable_ones():
    assert len({voice.speaker.lower() for voice in VOICES}) == len(VOICES) > 100
    assert not {voice.variant for voice in VOICES} & UNREPEATABLE
    timbres = [voice.variant for voice in VOICES if voice.accent == "en-us"]
    assert [voice.variant for voice in VOICES[: len(timbres)]] == timbres  # new timbres first, other accents after
    assert len(timbres) == len(set(timbres)) > 80
