"""Word errors of a converted Whisper and of its teacher on the same utterances."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inattention.comparison import Difference
from inattention.conversion.measure.config import MeasureConfig
from inattention.conversion.measure.transcripts import Length, Transcript, transcripts
from inattention.conversion.measure.word_errors import WordErrors, rate_difference, word_errors
from inattention.conversion.trained.speech import Utterance
from inattention.encoders.trained import TrainedModel, weights_digest


@dataclass(frozen=True)
class WordComparison:
    """Word errors of the student at one length of input, against the teacher at 30 s.

    Attributes:
        length: what the student's encoder hears.
        student: word errors of the student; of no utterances if there are no texts.
        teacher: word errors of the teacher.
        changed: word differences of the student's transcripts from the teacher's.
        transcripts: transcripts of the student.
        reference: transcripts of the teacher.
    """

    length: Length
    student: WordErrors
    teacher: WordErrors
    changed: WordErrors
    transcripts: tuple[Transcript, ...]
    reference: tuple[Transcript, ...]

    @property
    def difference(self) -> Difference | None:
        """Student's rate less teacher's; None without texts."""
        return rate_difference(self.student, self.teacher)

    @property
    def words_changed(self) -> float:
        """Word differences of the student's transcripts from the teacher's, per word of the teacher's."""
        return self.changed.rate

    @property
    def changed_interval(self) -> Difference | None:
        """The same with its 95 % interval."""
        none = WordErrors(self.changed.utterances, (0,) * len(self.changed.errors), self.changed.words, ())
        return rate_difference(self.changed, none)

    @property
    def without_loops(self) -> "WordComparison":
        """The same on utterances in which neither of both looped."""
        looped = {it.utterance for it in (*self.transcripts, *self.reference) if it.loop}
        kept = {it.utterance for it in self.transcripts} - looped
        sides = (it.only(kept) for it in (self.student, self.teacher, self.changed))
        return WordComparison(self.length, *sides, self.transcripts, self.reference)

    @property
    def loops(self) -> dict[str, int]:
        """Number of transcripts of each that did not end, with and without a text."""
        heard = {it.utterance for it in self.transcripts}
        return {
            "student": sum(it.loop for it in self.transcripts),
            "teacher": sum(it.loop for it in self.reference if it.utterance in heard),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        kept = self.without_loops
        return {
            "length": self.length,
            "utterances": len(self.student.utterances),
            "words": sum(self.student.words),
            "student": {"word_error_rate": _rate(self.student), "loops": self.loops["student"]},
            "teacher": {"word_error_rate": _rate(self.teacher), "loops": self.loops["teacher"]},
            "difference": _interval(self.difference),
            "without_loops": {
                "utterances": len(kept.student.utterances),
                "words": sum(kept.student.words),
                "student": _rate(kept.student),
                "teacher": _rate(kept.teacher),
                "difference": _interval(kept.difference),
                "words_changed": _rate(kept.changed),
            },
            "transcribed": len(self.transcripts),
            "words_changed": self.words_changed,
            "words_changed_interval": _interval(self.changed_interval),
            "counts": {
                "utterances": list(self.student.utterances),
                "words": list(self.student.words),
                "student_errors": list(self.student.errors),
                "teacher_errors": list(self.teacher.errors),
            },
        }

    def summary(self) -> str:
        """Return the comparison as lines of text."""
        fed = "30 s" if self.length == "30" else "own length"
        kept, loops = self.without_loops, self.loops
        lines = []
        if self.student.utterances:
            lines.append(
                f"word error rate at {fed}: {self.student.rate:.3f}, teacher at 30 s {self.teacher.rate:.3f}"
                f"{_bracketed(self.difference)}; {len(self.student.utterances)} utterances, "
                f"{sum(self.student.words)} words"
            )
        if kept.student.utterances and sum(loops.values()):
            lines.append(
                f"  without loops: {kept.student.rate:.3f}, teacher {kept.teacher.rate:.3f}"
                f"{_bracketed(kept.difference)}; {len(kept.student.utterances)} utterances"
            )
        changed = self.changed_interval
        interval = f" [{max(0.0, changed.low):.3f}, {changed.high:.3f}]" if changed else ""
        lines.append(
            f"words that differ from the teacher's transcripts at {fed}: {self.words_changed:.3f}{interval} of its "
            f"words, {len(self.transcripts)} utterances; loops {loops['student']}, teacher {loops['teacher']}"
        )
        return "\n".join(lines)


def word_comparisons(
    student: TrainedModel,
    teacher: TrainedModel,
    utterances: Sequence[Utterance],
    out: Path,
    config: MeasureConfig,
    *,
    speech_key: str = "",
    progress: bool,
) -> list[WordComparison]:
    """Transcribe with both models; the teacher hears 30 s, as it was trained.

    Args:
        student: the converted model.
        teacher: the model that it was converted from.
        utterances: what to transcribe.
        out: folder of the transcripts; those of the same model and speech are not made again.
        config: settings of the measurement.
        speech_key: digest of the speech, whose utterances may have the names of others.
        progress: show progress bars.
    """

    def transcribed(loaded: TrainedModel, length: Length, who: str) -> tuple[Transcript, ...]:
        path = transcripts_path(out, who, length, loaded.folder, speech_key, config.language)
        title = f"{who}, {'30 s' if length == '30' else 'own length'}"
        found = transcripts(loaded, utterances, length, path, title=title, language=config.language, progress=progress)
        return tuple(found)

    wanted = transcribed(teacher, "30", "teacher")
    texts = {it.id: it.text or "" for it in utterances}
    lengths: tuple[Length, ...] = ("own", "30") if config.lengths == "both" else (config.lengths,)
    return [compare_words(it, transcribed(student, it, "student"), wanted, texts, config.language) for it in lengths]


def transcripts_path(out: Path, who: str, length: Length, model: Path, speech_key: str, language: str) -> Path:
    """Return the file of a model's transcripts, whose name depends on all that they depend on.

    Args:
        out: folder of the transcripts.
        who: ``student`` or ``teacher``.
        length: what the encoder hears.
        model: folder of the model.
        speech_key: digest of the speech.
        language: language of the speech.
    """
    speech = hashlib.sha256(f"{speech_key} {language}".encode()).hexdigest()[:8]
    return out / f"transcripts-{who}-{length}-{weights_digest(model)[:12]}-{speech}.jsonl"


def compare_words(
    length: Length,
    student: Sequence[Transcript],
    teacher: Sequence[Transcript],
    texts: Mapping[str, str],
    language: str = "en",
) -> WordComparison:
    """Count the word errors of transcripts of the same utterances.

    Args:
        length: what the student heard.
        student: its transcripts.
        teacher: the teacher's.
        texts: what was said, by utterance, as far as it is known.
        language: language of the speech.
    """
    mine, its = (word_errors(it, texts, language) for it in (student, teacher))
    changed = word_errors(student, {it.utterance: it.text for it in teacher}, language)
    return WordComparison(length, mine, its, changed, tuple(student), tuple(teacher))


def _rate(errors: WordErrors) -> float | None:
    return errors.rate if errors.utterances else None


def _interval(difference: Difference | None) -> list[float] | None:
    return None if difference is None else [difference.estimate, difference.low, difference.high]


def _bracketed(difference: Difference | None) -> str:
    if difference is None:
        return ""
    return f" ({difference.estimate:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}])"
