"""Measurement of a converted encoder against its teacher: word errors, hidden states, times."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from inattention.comparison import Difference
from inattention.conversion.measure.config import MeasureConfig
from inattention.conversion.measure.times import EncoderTime, encoder_times
from inattention.conversion.measure.transcripts import Length, transcripts
from inattention.conversion.measure.word_errors import WordErrors, rate_difference, word_errors
from inattention.conversion.trained.config import TrainedConversionConfig
from inattention.conversion.trained.convert import task_of
from inattention.conversion.trained.speech import Examples, Utterance
from inattention.conversion.trained.task import RelativeError
from inattention.encoders.converted import TrainedModel, load_trained, weights_digest
from inattention.files import write_json
from inattention.provenance import provenance

RECORD = "measurements.json"


@dataclass(frozen=True)
class WordComparison:
    """Word errors of the student at one length of input, against the teacher at 30 s.

    Attributes:
        length: what the student's encoder hears.
        student: word errors of the student.
        teacher: word errors of the teacher.
        difference: student less teacher.
        words_changed: word differences of the student's transcripts from the teacher's, per word of the teacher's.
    """

    length: Length
    student: WordErrors
    teacher: WordErrors
    difference: Difference | None
    words_changed: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        difference = self.difference
        return {
            "length": self.length,
            "utterances": len(self.student.utterances),
            "words": sum(self.student.words),
            "student": {"word_error_rate": self.student.rate, "loops": self.student.loops},
            "teacher": {"word_error_rate": self.teacher.rate, "loops": self.teacher.loops},
            "difference": difference and [difference.estimate, difference.low, difference.high],
            "words_changed": self.words_changed,
            "counts": {
                "utterances": list(self.student.utterances),
                "words": list(self.student.words),
                "student_errors": list(self.student.errors),
                "teacher_errors": list(self.teacher.errors),
            },
        }


@dataclass(frozen=True)
class Measurements:
    """All that was measured.

    Attributes:
        words: comparisons of word errors; none for encoders without a decoder.
        relative_error: of each layer's hidden states; the last layer is the encoder's output.
        examples: number of examples that the relative error rests on.
        times: times of both encoders.
        record: names, digests, settings and versions.
    """

    words: list[WordComparison]
    relative_error: list[float]
    examples: int
    times: list[EncoderTime]
    record: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            **self.record,
            "words": [it.to_dict() for it in self.words],
            "relative_error": {"layers": self.relative_error, "examples": self.examples},
            "times": [it.to_dict() for it in self.times],
        }

    def summary(self) -> str:
        """Return the measurements as text."""
        lines = []
        for it in self.words:
            d = it.difference
            interval = f" ({d.estimate:+.3f} [{d.low:+.3f}, {d.high:+.3f}])" if d else ""
            fed = "30 s" if it.length == "30" else "own length"
            lines.append(
                f"word error rate at {fed}: {it.student.rate:.3f}, teacher at 30 s {it.teacher.rate:.3f}{interval}; "
                f"loops {it.student.loops}, teacher {it.teacher.loops}; {len(it.student.utterances)} utterances, "
                f"{sum(it.student.words)} words; {it.words_changed:.3f} of the teacher's words changed"
            )
        layers = ", ".join(f"{it:.3f}" for it in self.relative_error)
        lines.append(f"relative error of hidden states by layer, {self.examples} examples: {layers}")
        for it in self.times:
            ratio = it.ratio
            lines.append(
                f"{it.model} on {it.speech_seconds:>2} s: {1000 * it.seconds:8.1f} ms, "
                f"{ratio.ratio:.3f} [{ratio.low:.3f}, {ratio.high:.3f}] of the teacher as it is used; "
                f"{it.bytes / 2**20:.0f} MiB"
            )
        return "\n".join(lines)


def measure(
    model: str, teacher: str, utterances: list[Utterance], out: Path, config: MeasureConfig, *, progress: bool = True
) -> Measurements:
    """Measure a converted model against its teacher; transcripts that are there already are not made again.

    Args:
        model: folder or hub name of the converted model.
        teacher: folder or hub name of the model that it was converted from.
        utterances: held-out speech, with texts for word error rates.
        out: folder of ``measurements.json`` and the transcripts.
        config: the settings.
        progress: show progress bars.

    Raises:
        ValueError: if a model cannot be loaded, or there is no speech.
    """
    student, trained = load_trained(model), load_trained(teacher)
    if not utterances:
        raise ValueError("there is no speech to measure on")
    out.mkdir(parents=True, exist_ok=True)
    chosen = utterances[: config.utterances] if config.utterances else utterances
    if trained.is_whisper and config.texts_only:
        chosen = [it for it in chosen if it.text]
    words = _word_comparisons(student, trained, chosen, out, config, progress) if trained.is_whisper else []
    error = _relative_error(student, trained, chosen, config)
    times = encoder_times(student, trained, rounds=config.rounds, threads=config.threads) if config.rounds else []
    record = {
        "model": {"name": model, "digest": weights_digest(student.folder)},
        "teacher": {"name": teacher, "digest": weights_digest(trained.folder)},
        "config": asdict(config),
        "provenance": provenance(),
    }
    found = Measurements(words, error.layers, config.examples, times, record)
    write_json(out / RECORD, found.to_dict())
    return found


def _word_comparisons(
    student: TrainedModel,
    teacher: TrainedModel,
    utterances: list[Utterance],
    out: Path,
    config: MeasureConfig,
    progress: bool,
) -> list[WordComparison]:
    """Transcribe with both models; the teacher hears 30 s, as it was trained."""

    def transcribed(loaded: TrainedModel, length: Length, who: str) -> Any:
        digest = weights_digest(loaded.folder)[:12]
        path = out / f"transcripts-{who}-{length}-{digest}.jsonl"
        title = f"{who}, {'30 s' if length == '30' else 'own length'}"
        return transcripts(loaded, utterances, length, path, title=title, language=config.language, progress=progress)

    wanted = transcribed(teacher, "30", "teacher")
    texts = {it.id: it.text or "" for it in utterances}
    heard = {it.utterance: it.text for it in wanted}
    found = []
    for length in ("own", "30") if config.lengths == "both" else (config.lengths,):
        got = transcribed(student, length, "student")
        mine, its = (word_errors(it, texts, config.language) for it in (got, wanted))
        changed = word_errors(got, heard, config.language)
        found.append(WordComparison(length, mine, its, rate_difference(mine, its), changed.rate))
    return found


@torch.inference_mode()
def _relative_error(
    student: TrainedModel, teacher: TrainedModel, utterances: list[Utterance], config: MeasureConfig
) -> RelativeError:
    task = task_of(teacher, TrainedConversionConfig(language=config.language))
    examples = Examples(utterances, 0, "mixed")
    error = RelativeError()
    for index in range(config.examples):
        example = examples[index]
        outputs = task.teacher_outputs(example)
        error.add(task.hidden(student.model, example, outputs.frames), outputs.hidden)
    return error
