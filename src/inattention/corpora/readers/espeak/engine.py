"""Repeatable speech from eSpeak NG: the same text, voice, rate and pitch give the same samples every time.

eSpeak keeps state from one utterance to the next, so the same sentence spoken twice in one process gives different
samples. `EspeakEngine.speak` therefore speaks each utterance in a forked child of a process that has initialised the
library but has not spoken. The process that owns an engine must have no other threads: it is a worker process of its
own (`inattention.corpora.readers.espeak.worker`), never a process that uses torch.
"""

import json
import os
import signal
import traceback

from inattention.corpora.espeak_library import EspeakError, EspeakLibrary, Speech

_TIMEOUT_SECONDS = 30


class EspeakEngine:
    """eSpeak NG, initialised once, with a forked child for each utterance.

    Attributes:
        sampling_rate: Hz of the speech it produces.

    Raises:
        EspeakError: The library found no usable voice data.
    """

    def __init__(self) -> None:
        self._library = EspeakLibrary(phoneme_events=True)
        self.sampling_rate = self._library.sampling_rate

    def speak(self, text: str, *, voice: str, rate: int, pitch: int) -> Speech:
        """Speak a text in a forked child, which starts without the state of earlier utterances.

        Args:
            text: The text.
            voice: A language and a variant, such as `en-us+f4`.
            rate: Words a minute; eSpeak's own default is 175.
            pitch: 0 to 99; 50 is the voice's own.

        Raises:
            EspeakError: The voice does not exist, or eSpeak failed, crashed or did not finish in time.
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
        """Run the child; it exits by `os._exit`, so that no inherited handler runs and no buffer is flushed twice."""
        try:
            signal.alarm(_TIMEOUT_SECONDS)
            try:
                self._library.set_voice(voice)
                speech = self._library.speak(text, rate=rate, pitch=pitch)
                answer = json.dumps({"events": speech.events}).encode() + b"\n" + speech.pcm
            except EspeakError as error:
                answer = json.dumps({"error": str(error)}).encode()
            with os.fdopen(write_end, "wb") as pipe:
                pipe.write(answer)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
