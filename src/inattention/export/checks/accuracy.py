"""Accuracy of an exported file against the model in PyTorch: word errors of Whisper, probes of other encoders."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from inattention.comparison import Difference
from inattention.conversion.measure.probes import SETTINGS, LayerProbe, compare_probes, tasks_of
from inattention.conversion.measure.transcripts import DECODING, Length, transcripts
from inattention.conversion.measure.words import WordComparison, compare_words
from inattention.conversion.trained.speech import Utterance, corpus_utterances
from inattention.conversion.trained.whisper import decoder_prompt
from inattention.corpora.core.corpus import Corpus, open_corpus
from inattention.encoders.trained import TrainedModel, load_trained
from inattention.export.checks.exported import ExportedSource
from inattention.export.config import ExportError
from inattention.export.subject import Subject, WhisperSubject
from inattention.probing.config import ProbeConfig
from inattention.probing.run import probe


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of a file and of the model that it was exported from.

    Attributes:
        corpus: name of the corpus.
        probes: probes of the same hidden state of both, with the file in place of the student.
        words: word errors of both, with the file in place of the student; None for other encoders than Whisper.
    """

    corpus: str
    probes: Sequence[LayerProbe] = ()
    words: WordComparison | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        found: dict[str, Any] = {"corpus": self.corpus}
        if self.probes:
            found["probes"] = [_renamed(it.to_dict()) for it in self.probes]
        if self.words is not None:
            words = self.words
            found["words"] = {
                "decoding": DECODING,
                "length": words.length,
                "utterances": len(words.student.utterances),
                "words": sum(words.student.words),
                "word_error_rate": {"file": words.student.rate, "model": words.teacher.rate},
                "difference": _numbers(words.difference),
                "loops": _renamed(words.loops),
                "transcribed": len(words.transcripts),
                "words_changed": words.words_changed,
                "words_changed_interval": _numbers(words.changed_interval),
            }
            if not words.student.utterances:
                found["words"]["word_error_rate"] = None
        return found

    def summary(self) -> str:
        """Return the accuracies as lines of text."""
        lines = [
            f"accuracy of {it.task}, hidden state {it.layer}: {100 * it.student.accuracy:.1f} %, model "
            f"{100 * it.teacher.accuracy:.1f} %{_interval(it.difference, 100, 1)}; {it.utterances} utterances"
            for it in self.probes
        ]
        if (words := self.words) is not None and words.student.utterances:
            lines.append(
                f"word error rate: {words.student.rate:.3f}, model {words.teacher.rate:.3f}"
                f"{_interval(words.difference)}; {len(words.student.utterances)} utterances, "
                f"{sum(words.student.words)} words"
            )
        if words is not None:
            lines.append(
                f"words that differ from the model's transcripts: {words.words_changed:.3f}, "
                f"{len(words.transcripts)} utterances; loops {words.loops['student']}, model {words.loops['teacher']}"
            )
        return "\n".join(lines)


@dataclass
class WordTest:
    """Transcripts of a Whisper, decoded by PyTorch from the hidden states of the file and of the model.

    Attributes:
        loaded: the model with its decoder.
        corpus: name of the corpus.
        utterances: what is transcribed.
        length: what the encoder hears.
        language: language of the speech.
        progress: show progress bars.
    """

    loaded: TrainedModel
    corpus: str
    utterances: list[Utterance]
    length: Length
    language: str = "en"
    progress: bool = True

    def compare(self, file: ExportedSource) -> Accuracy:
        """Return the word errors of both."""

        def encode(mel: torch.Tensor) -> torch.Tensor:
            return file.last_state(mel, torch.ones(1, mel.shape[2] // 2, dtype=torch.bool))

        with tempfile.TemporaryDirectory(prefix="inattention-export-") as folder:
            found = [
                transcripts(
                    self.loaded,
                    self.utterances,
                    self.length,
                    Path(folder, f"{who}.jsonl"),
                    title=f"transcripts of the {who}",
                    language=self.language,
                    encoder=encoder,
                    progress=self.progress,
                )
                for who, encoder in (("model", None), ("file", encode))
            ]
        texts = {it.id: it.text or "" for it in self.utterances}
        if not found[0]:
            raise ExportError(f"{self.corpus}: no utterance of the test split can be read")
        return Accuracy(self.corpus, words=compare_words(self.length, found[1], found[0], texts, self.language))


@dataclass
class ProbeTest:
    """Probes of speakers and phones, trained and scored on one hidden state.

    Attributes:
        subject: the encoder.
        corpus: the corpus.
        state: number of the hidden state.
        utterances: number of utterances of each split; 0 for all.
        progress: show progress bars.
    """

    subject: Subject
    corpus: Corpus
    state: int
    utterances: int
    progress: bool = True

    def compare(self, file: ExportedSource) -> Accuracy:
        """Return the accuracy of probes of both."""
        tasks = tasks_of(self.corpus)
        settings = ProbeConfig(tasks=tasks, layer=self.state, device="cpu", **SETTINGS)
        reports = {
            who: probe(source, self.corpus, settings, self.progress, utterances=self.utterances)
            for who, source in (("teacher", self.subject.source), ("student", file))
        }
        found = [
            compare_probes(task, self.state, {who: report[task] for who, report in reports.items()}) for task in tasks
        ]
        return Accuracy(self.corpus.name, probes=found)


def accuracy_test(
    model: str,
    subject: Subject,
    corpus: Path,
    states: Sequence[int],
    lines: int,
    *,
    language: str = "en",
    progress: bool = True,
) -> WordTest | ProbeTest:
    """Return the test of accuracy that suits an encoder, after a check that it can be made.

    Args:
        model: folder or hub name of the model.
        subject: the encoder.
        corpus: folder of a prepared corpus.
        states: numbers of the hidden states that the file returns.
        lines: number of utterances of each split; 0 for all.
        language: language of the corpus, as Whisper names it.
        progress: show progress bars.

    Raises:
        CorpusError: if there is no corpus.
        ExportError: if it holds nothing to test on.
    """
    opened = open_corpus(corpus)
    if not isinstance(subject, WhisperSubject) or not hasattr(subject.source.whole, "generate"):
        return ProbeTest(subject, opened, max(states), lines, progress)
    _check_words(states, subject.source.layers)
    spoken = corpus_utterances(opened, "test")
    spoken = [it for it in spoken if it.text] or spoken
    if not spoken:
        raise ExportError(f"--corpus {corpus}: the test split has no utterances")
    length: Length = "30" if subject.source.silence is None else "own"
    loaded = load_trained(model)
    decoder_prompt(loaded.model, loaded.tokenizer, language)  # refuses a language that the model does not know
    return WordTest(loaded, opened.name, spoken[:lines] if lines else spoken, length, language, progress)


def _check_words(states: Sequence[int], layers: int) -> None:
    from importlib.util import find_spec

    if layers not in states:
        raise ExportError("--corpus: the decoder needs the last hidden state; add -1 to --layers")
    if find_spec("jiwer") is None:
        raise ExportError(
            "--corpus: jiwer is not installed, which counts word errors: pip install 'inattention[convert]'"
        )


def _renamed(data: dict[str, Any]) -> dict[str, Any]:
    names = {"student": "file", "teacher": "model"}
    return {names.get(name, name): value for name, value in data.items()}


def _numbers(difference: Difference | None) -> list[float] | None:
    return None if difference is None else [difference.estimate, difference.low, difference.high]


def _interval(difference: Difference | None, factor: float = 1, digits: int = 3) -> str:
    if difference is None:
        return ""
    numbers = [f"{factor * it:+.{digits}f}" for it in (difference.estimate, difference.low, difference.high)]
    return f" ({numbers[0]} [{numbers[1]}, {numbers[2]}])"
