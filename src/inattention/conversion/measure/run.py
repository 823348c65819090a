"""Measurement of a converted encoder against its teacher: word errors, hidden states, probes, times.

measurements.json                     all numbers, with settings and versions
transcripts-*.jsonl                   transcripts, from which a stopped measurement resumes
transcripts-differing.json            the transcripts that differ most, with their audio
conversion.html                       the page of the conversion with these numbers
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from inattention.conversion.measure.config import MeasureConfig
from inattention.conversion.measure.differing import most_different
from inattention.conversion.measure.probes import SETTINGS, LayerProbe, encoder_probes
from inattention.conversion.measure.times import EncoderTime, encoder_times
from inattention.conversion.measure.transcripts import DECODING
from inattention.conversion.measure.words import WordComparison, word_comparisons
from inattention.conversion.page.page import write_page
from inattention.conversion.page.sources import DIFFERING, MEASUREMENTS, RECORD
from inattention.conversion.trained.config import TrainedConversionConfig
from inattention.conversion.trained.saving import make_folder, saving
from inattention.conversion.trained.setup import task_of
from inattention.conversion.trained.speech import Examples, Utterance
from inattention.conversion.trained.task import RelativeError
from inattention.corpora.core.corpus import Corpus
from inattention.devices import usable_device
from inattention.encoders.trained import TrainedModel, load_trained, weights_digest
from inattention.files import write_json
from inattention.probing.features import ProbeError
from inattention.provenance import provenance


@dataclass(frozen=True)
class Measurements:
    """All that was measured.

    Attributes:
        words: comparisons of word errors; none for encoders without a decoder.
        relative_error: of each layer's hidden states; the last layer is the encoder's output.
        examples: number of examples that the relative error rests on.
        times: times of both encoders.
        probes: probes of each layer of both encoders.
        notes: what was not measured, and why.
        record: names, digests, settings and versions.
    """

    words: list[WordComparison]
    relative_error: list[float]
    examples: int
    times: list[EncoderTime]
    probes: list[LayerProbe] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            **self.record,
            "decoding": DECODING if self.words else None,
            "words": [it.to_dict() for it in self.words],
            "relative_error": {"layers": self.relative_error, "examples": self.examples},
            "probes": [it.to_dict() for it in self.probes],
            "times": [it.to_dict() for it in self.times],
            "notes": self.notes,
        }

    def summary(self) -> str:
        """Return the measurements as text."""
        lines = [it.summary() for it in self.words]
        if self.words:
            lines.append(f"decoding of both: {DECODING}")
        layers = ", ".join(f"{it:.3f}" for it in self.relative_error)
        lines.append(f"relative error of hidden states by layer, {self.examples} examples: {layers}")
        for it in self.probes:
            d = it.difference
            interval = f" ({100 * d.estimate:+.1f} [{100 * d.low:+.1f}, {100 * d.high:+.1f}])" if d else ""
            lines.append(
                f"{it.task}, layer {it.layer}: {100 * it.student.accuracy:.1f} %, teacher "
                f"{100 * it.teacher.accuracy:.1f} %{interval}"
            )
        for it in self.times:
            ratio = it.ratio
            lines.append(
                f"{it.model} on {it.speech_seconds:>2} s: {1000 * it.seconds:8.1f} ms, "
                f"{ratio.ratio:.3f} [{ratio.low:.3f}, {ratio.high:.3f}] of the teacher as it is used; "
                f"{it.bytes / 2**20:.0f} MiB"
            )
        return "\n".join([*lines, *self.notes])


def measure(
    model: str,
    teacher: str,
    utterances: list[Utterance],
    out: Path,
    config: MeasureConfig,
    *,
    corpus: Corpus | None = None,
    speech: dict[str, str] | None = None,
    device: str = "auto",
    progress: bool = True,
) -> Measurements:
    """Measure a converted model against its teacher; transcripts that are there already are not made again.

    Args:
        model: folder or hub name of the converted model.
        teacher: folder or hub name of the model that it was converted from.
        utterances: held-out speech, with texts for word error rates.
        out: folder of ``measurements.json``, the transcripts, and the page if the model has a record of its conversion.
        config: the settings.
        corpus: corpus of the probes; without one there are none.
        speech: name, key and split of the speech, for the record.
        device: ``cpu``, ``cuda``, or ``auto`` for a GPU if there is one.
        progress: show progress bars.

    Raises:
        RunError: if the output folder cannot be written.
        ValueError: if a model cannot be loaded, or there is no speech.
    """
    place: Any = usable_device(device)
    student, trained = load_trained(model), load_trained(teacher)
    for loaded in (student, trained):
        loaded.model.to(place)
    if not utterances:
        raise ValueError("there is no speech to measure on")
    make_folder(out)
    chosen = utterances[: config.utterances] if config.utterances else utterances
    if trained.is_whisper and config.texts_only:
        chosen = [it for it in chosen if it.text] or chosen
    record = _record(student, trained, config, {**(speech or {}), "utterances": len(chosen)})
    with saving(out):
        words = []
        if trained.is_whisper:
            key = (speech or {}).get("key", "")
            words = word_comparisons(student, trained, chosen, out, config, speech_key=key, progress=progress)
        error = _relative_error(student, trained, chosen, config)
        probes, notes = _probes(student, trained, corpus, config, progress)
        times = encoder_times(student, trained, rounds=config.rounds, threads=config.threads) if config.rounds else []
        found = Measurements(words, error.layers, config.examples, times, probes, notes, record)
        differing = most_different(words[0], chosen) if words else []
        write_json(out / DIFFERING, {"digest": record["model"]["digest"], "utterances": differing})
        write_json(out / MEASUREMENTS, found.to_dict())
        if (student.folder / RECORD).is_file():
            write_page(student.folder, out)
    return found


def _record(
    student: TrainedModel, teacher: TrainedModel, config: MeasureConfig, speech: dict[str, Any]
) -> dict[str, Any]:
    """Return names, digests, settings and versions."""
    models = {"model": student, "teacher": teacher}
    return {
        **{key: {"name": it.label, "digest": weights_digest(it.folder)} for key, it in models.items()},
        "speech": speech,
        "config": asdict(config),
        "probe_config": SETTINGS if config.probes else None,
        "device": student.model.device.type,
        "provenance": provenance(),
    }


def _probes(
    student: TrainedModel, teacher: TrainedModel, corpus: Corpus | None, config: MeasureConfig, progress: bool
) -> tuple[list[LayerProbe], list[str]]:
    """Return the probes, or why there are none."""
    if not config.probes:
        return [], []
    if corpus is None:
        return [], ["no probes: recordings have no speakers and phones, a prepared corpus may have"]
    try:
        return encoder_probes(student, teacher, corpus, config, progress=progress), []
    except ProbeError as error:
        return [], [f"no probes: {error}"]


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
        error.add(task.hidden(student.model, example, outputs.frames).cpu(), outputs.hidden)
    return error
