"""Word error rate of each stage on held-out lines, decoded as `inattention measure` does."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from inattention.conversion.measure.transcripts import Length, transcripts
from inattention.conversion.measure.word_errors import normaliser
from inattention.conversion.measure.words import compare_words, transcripts_path
from inattention.conversion.trained.maps import spaced
from inattention.conversion.trained.setup import Setup
from inattention.conversion.trained.speech import Utterance


@dataclass(frozen=True)
class HeldOutWords:
    """Held-out lines with a text, and how both models are fed.

    Attributes:
        setup: the conversion.
        lines: the lines, evenly spaced over those of the held-out speech.
        length: what the student hears: its own length, unless it is distilled on 30 s alone. The teacher hears 30 s.
    """

    setup: Setup
    lines: tuple[Utterance, ...]
    length: Length

    def of(self, student: PreTrainedModel, folder: Path) -> dict[str, Any] | None:
        """Return the word error rates of student and teacher, with the paired interval of their difference.

        None without lines. Transcripts that were made before are not made again.

        Args:
            student: the converted model.
            folder: of the student's transcripts.

        Raises:
            ValueError: if the word error rate has a bound and no line can be read.
        """
        if not self.lines:
            return None
        setup, language = self.setup, self.setup.config.language
        place = setup.teacher_cache or setup.out
        path = transcripts_path(place, "teacher", "30", setup.loaded.folder, setup.speech.key, language)
        wanted = transcripts(
            setup.loaded, self.lines, "30", path, title="teacher's words", language=language, progress=setup.progress
        )
        heard = transcripts(
            replace(setup.loaded, model=student),
            self.lines,
            self.length,
            folder / "transcripts.jsonl",
            title="words",
            language=language,
            progress=setup.progress,
        )
        found = compare_words(self.length, heard, wanted, {it.id: it.text or "" for it in self.lines}, language)
        if not found.student.utterances:
            if _bounded(setup):
                raise ValueError(f"none of {len(self.lines)} held-out lines of {setup.speech.name} can be read")
            return None
        return {name: value for name, value in found.to_dict().items() if name != "counts"}


def held_out_words(setup: Setup) -> HeldOutWords:
    """Return the held-out lines of a conversion; none for encoders without a decoder.

    Raises:
        ValueError: if the word error rate has a bound and no line has words.
    """
    normal = normaliser(setup.config.language)
    with_words = [it for it in setup.speech.held_out if it.text and normal(it.text)]
    count = setup.config.until_lines if setup.loaded.is_whisper else 0
    if _bounded(setup) and not with_words:
        raise ValueError(f"until {setup.config.until}: no held-out line of {setup.speech.name} has a text with words")
    lines = spaced(with_words, count) if count else ()
    return HeldOutWords(setup, tuple(lines), "30" if setup.config.lengths == "30" else "own")


def _bounded(setup: Setup) -> bool:
    return setup.config.bound is not None and setup.config.bound.measure == "wer"
