"""eSpeak NG's shared library through ctypes: voices, phonemes of words, and speech with phoneme events.

The structures and constants are those of eSpeak NG's public header `speak_lib.h`. The library and its voice data come
with the package `espeakng-loader`.
"""

import ctypes
import os
from dataclasses import dataclass

from inattention.corpora.errors import CorpusError

_OUTPUT_SYNCHRONOUS = 2  # samples come through the callback, before espeak_Synth returns
_INITIALIZE_PHONEME_EVENTS = 0x0001
_INITIALIZE_DONT_EXIT = 0x8000
_EVENT_LIST_END = 0
_EVENT_PHONEME = 7
_POSITION_CHARACTER = 1
_CHARS_UTF8 = 1
_PARAMETER_RATE = 1
_PARAMETER_PITCH = 3


class EspeakError(CorpusError):
    """eSpeak NG failed; the message says at what and why."""


@dataclass(frozen=True)
class Speech:
    """Synthesised speech.

    Attributes:
        pcm: Samples, 16-bit native-endian mono, at the library's `sampling_rate`.
        events: A (mnemonic, first sample) for each phoneme, in order. Mnemonics keep eSpeak's stress marks.
    """

    pcm: bytes
    events: list[tuple[str, int]]


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class EspeakLibrary:
    """The shared library, loaded and initialised.

    Args:
        phoneme_events: Report phonemes while speaking, which `speak` needs.

    Attributes:
        sampling_rate: Hz of the speech it produces.

    Raises:
        EspeakError: The library found no usable voice data.
    """

    def __init__(self, *, phoneme_events: bool = False) -> None:
        import espeakng_loader

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
        data = espeakng_loader.get_data_path()
        flags = _INITIALIZE_DONT_EXIT | (_INITIALIZE_PHONEME_EVENTS if phoneme_events else 0)
        self.sampling_rate: int = self._library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, os.fsencode(data), flags)
        if self.sampling_rate <= 0:
            raise EspeakError(f"eSpeak could not read its voice data in {data}: reinstall espeakng-loader")

    def set_voice(self, voice: str) -> None:
        """Select a voice by its name, a language and a variant such as `en-us+f4`.

        Raises:
            EspeakError: There is no such voice.
        """
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise EspeakError(f"eSpeak has no voice {voice!r}")

    def phonemes(self, text: str, separator: str) -> list[str]:
        """Return the phonemes of each clause of a text, as mnemonics joined by a separator; nothing is spoken."""
        rest = ctypes.c_char_p(text.encode())
        clauses = []
        while rest.value:
            spoken = self._library.espeak_TextToPhonemes(ctypes.byref(rest), _CHARS_UTF8, ord(separator) << 8)
            clauses.append((spoken or b"").decode())
        return clauses

    def speak(self, text: str, *, rate: int, pitch: int) -> Speech:
        """Speak a text in the selected voice.

        eSpeak keeps state between calls: the same text spoken twice gives different samples.

        Args:
            text: The text.
            rate: Words a minute; eSpeak's own default is 175.
            pitch: 0 to 99; 50 is the voice's own.

        Raises:
            EspeakError: eSpeak returned an error.
        """
        pcm = bytearray()
        events: list[tuple[str, int]] = []

        def receive(samples, count, event) -> int:
            if samples and count > 0:
                pcm.extend(ctypes.string_at(samples, count * ctypes.sizeof(ctypes.c_short)))
            position = 0
            while event[position].type != _EVENT_LIST_END:
                if event[position].type == _EVENT_PHONEME:
                    events.append((event[position].id.string.decode(), event[position].sample))
                position += 1
            return 0

        callback = _Callback(receive)
        self._library.espeak_SetSynthCallback(callback)
        self._library.espeak_SetParameter(_PARAMETER_RATE, rate, 0)
        self._library.espeak_SetParameter(_PARAMETER_PITCH, pitch, 0)
        encoded = text.encode() + b"\0"
        status = self._library.espeak_Synth(encoded, len(encoded), 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None)
        if status != 0:
            raise EspeakError(f"eSpeak failed with status {status}")
        return Speech(bytes(pcm), events)
