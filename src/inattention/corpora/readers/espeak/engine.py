"""eSpeak NG through ctypes: text in, samples and phoneme events out, the same every time.

eSpeak keeps state from one utterance to the next, so that a sentence said twice in one process gives other samples.
Hence `EspeakEngine.speak` says each utterance in a forked child of a process that has initialised the library and
said nothing yet. The process that owns an engine must have no other threads: it belongs in a worker of its own
(`inattention.corpora.readers.espeak.worker`), never in a process that uses torch.

The structures and constants are those of eSpeak NG's public header `speak_lib.h`.
"""

import ctypes
import json
import os
import signal
import traceback
from dataclasses import dataclass

_OUTPUT_SYNCHRONOUS = 2  # samples come through the callback, before espeak_Synth returns
_INITIALIZE_PHONEME_EVENTS = 0x0001
_INITIALIZE_DONT_EXIT = 0x8000
_EVENT_LIST_END = 0
_EVENT_PHONEME = 7
_POSITION_CHARACTER = 1
_CHARS_UTF8 = 1
_PARAMETER_RATE = 1
_PARAMETER_PITCH = 3
_SECONDS_BEFORE_GIVING_UP = 30


class EspeakError(RuntimeError):
    """eSpeak could not say something; the message says what and why."""


@dataclass(frozen=True)
class Speech:
    """What eSpeak said.

    Attributes:
        pcm: Samples, 16-bit native-endian mono, at the engine's `sampling_rate`.
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


class EspeakEngine:
    """The library, loaded and initialised once.

    Raises:
        EspeakError: The library found no usable voice data.
    """

    def __init__(self) -> None:
        import espeakng_loader

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path()
        flags = _INITIALIZE_PHONEME_EVENTS | _INITIALIZE_DONT_EXIT
        self.sampling_rate: int = self._library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, os.fsencode(data), flags)
        if self.sampling_rate <= 0:
            raise EspeakError(f"eSpeak could not read its voice data in {data}: reinstall espeakng-loader")

    def speak(self, text: str, *, voice: str, rate: int, pitch: int) -> Speech:
        """Say `text` in a forked child, so that nothing said before can change it.

        Args:
            text: What to say.
            voice: A language and a variant, such as `en-us+f4`.
            rate: Words a minute; eSpeak's own default is 175.
            pitch: 0 to 99; 50 is the voice's own.

        Raises:
            EspeakError: The voice does not exist, or eSpeak failed, crashed or hung.
        """
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read_end)
            self._speak_and_exit(write_end, text, voice, rate, pitch)
        os.close(write_end)
        with os.fdopen(read_end, "rb") as pipe:
            head, _, pcm = pipe.read().partition(b"\n")
        status = os.waitpid(child, 0)[1]
        if os.WIFSIGNALED(status):
            raise EspeakError(f"eSpeak was killed by {signal.Signals(os.WTERMSIG(status)).name}")
        if not head:
            raise EspeakError("eSpeak's process ended without an answer: see its message above")
        answer = json.loads(head)
        if "error" in answer:
            raise EspeakError(answer["error"])
        return Speech(pcm, [(mnemonic, sample) for mnemonic, sample in answer["events"]])

    def _speak_and_exit(self, write_end: int, text: str, voice: str, rate: int, pitch: int) -> None:
        """The child's whole life; leaves by `os._exit`, so that nothing inherited is run or flushed twice."""
        try:
            signal.alarm(_SECONDS_BEFORE_GIVING_UP)
            try:
                speech = self._speak_here(text, voice, rate, pitch)
                answer = json.dumps({"events": speech.events}).encode() + b"\n" + speech.pcm
            except EspeakError as error:
                answer = json.dumps({"error": str(error)}).encode()
            with os.fdopen(write_end, "wb") as pipe:
                pipe.write(answer)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)

    def _speak_here(self, text: str, voice: str, rate: int, pitch: int) -> Speech:
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
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise EspeakError(f"eSpeak has no voice {voice!r}")
        self._library.espeak_SetParameter(_PARAMETER_RATE, rate, 0)
        self._library.espeak_SetParameter(_PARAMETER_PITCH, pitch, 0)
        encoded = text.encode() + b"\0"
        status = self._library.espeak_Synth(encoded, len(encoded), 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None)
        if status != 0:
            raise EspeakError(f"eSpeak failed with status {status}")
        return Speech(bytes(pcm), events)
