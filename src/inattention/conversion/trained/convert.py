"""Conversion of a trained encoder: replace its attention, start from the teacher's, distil, save.

config.json, model.safetensors, ...   the converted model as a Hugging Face folder, with the teacher's tokenizer
conversion.json                       what was replaced, data, seeds, versions, errors
distillation/                         manifest, plan, curve and checkpoint, from which the same command resumes
"""

import json
import math
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from inattention.attention.rows import parse_row
from inattention.conversion.trained.config import TrainedConversionConfig
from inattention.conversion.trained.distillation import PLAN, Distillation, Plan, planned
from inattention.conversion.trained.speech import LONGEST_SECONDS, SAMPLING_RATE, Example, Examples, Utterance
from inattention.conversion.trained.starts import capture, needs_dense, start
from inattention.conversion.trained.task import Task
from inattention.conversion.trained.teacher import TeacherStore
from inattention.conversion.trained.waveform import WaveformTask
from inattention.conversion.trained.whisper import WhisperTask
from inattention.encoders.converted import (
    ConvertedModel,
    TrainedModel,
    attention_places,
    converted_copy,
    ensure_convertible,
    load_trained,
    weights_digest,
)
from inattention.encoders.converted_attention import Conversion, ConvertedAttention, Replacement
from inattention.files import folder_lock, write_json
from inattention.pretraining.manifest import claim
from inattention.progress import Bar
from inattention.progress import bar as progress_bar
from inattention.provenance import provenance

RECORD = "conversion.json"
WORK = "distillation"


@dataclass(frozen=True)
class Speech:
    """Unlabelled speech for a conversion.

    Attributes:
        name: of the corpus or folder.
        key: digest of what it contains.
        train: utterances to distil on.
        held_out: utterances for the relative error.
    """

    name: str
    key: str
    train: list[Utterance]
    held_out: list[Utterance]


@dataclass(frozen=True)
class TrainedConversionReport:
    """What a conversion did, the contents of ``conversion.json``."""

    record: dict[str, Any]

    def summary(self) -> str:
        """Return the outcome in a few lines."""
        record = self.record
        layers = ", ".join(f"{it:.3f}" for it in record["relative_error"]["layers_after"])
        return (
            f"{record['converted_layers']} of {record['layers']} layers have {record['to']} attention\n"
            f"relative error of the encoder's output on {record['relative_error']['examples']} held-out examples: "
            f"{record['relative_error']['start']:.3f} at the start, {record['relative_error']['after']:.3f} after "
            f"{record['steps']} steps\nby layer: {layers}"
        )


def convert_trained(
    model: str, speech: Speech, out: Path, config: TrainedConversionConfig, *, progress: bool = True
) -> TrainedConversionReport:
    """Convert a trained encoder, or resume a conversion.

    Args:
        model: Hugging Face folder or hub name of Whisper, wav2vec 2.0, HuBERT or a similar encoder.
        speech: what to distil on.
        out: output folder.
        config: the settings.
        progress: show progress bars.

    Raises:
        RunError: if the folder contains another conversion, or another process works in it.
        RunStopped: if SIGTERM or SIGINT stopped the distillation, after a checkpoint.
        ValueError: if the encoder cannot be converted in this way.
    """
    loaded = load_trained(model)
    ensure_convertible(loaded.model)
    conversion = plan_conversion(loaded.model, config)
    out.mkdir(parents=True, exist_ok=True)
    parts = {
        "converted": weights_digest(loaded.folder),
        "speech": {"name": speech.name, "key": speech.key},
        "conversion": config.to_dict(),
    }
    with folder_lock(out):
        (out / WORK).mkdir(exist_ok=True)
        claim(out / WORK, parts)
        if not (out / RECORD).exists():
            _Conversion(loaded, speech, out, config, conversion, progress).run()
    return TrainedConversionReport(json.loads((out / RECORD).read_text(encoding="utf-8")))


def plan_conversion(model: PreTrainedModel, config: TrainedConversionConfig) -> Conversion:
    """Return the replacement of each layer.

    Raises:
        ValueError: if a layer or head does not exist, or the row cannot replace single heads.
    """
    places = attention_places(model)
    heads = config.chosen_heads(int(places[0][2].num_heads))  # ty: ignore[invalid-argument-type]
    replacement = Replacement(row=parse_row(config.row).name, heads=heads)
    chosen = set(config.chosen_layers(len(places)))
    layers = tuple(replacement if layer in chosen else None for layer in range(len(places)))
    return Conversion(layers=layers, max_length=_longest(model.config))


def _longest(config: Any) -> int:
    """Return the number of frames of the longest input: 30 s, of which an encoder of waveforms takes any part."""
    if hasattr(config, "max_source_positions"):
        return config.max_source_positions
    return math.ceil(LONGEST_SECONDS * SAMPLING_RATE / math.prod(config.conv_stride))


def task_of(teacher: TrainedModel, config: TrainedConversionConfig) -> Task:
    """Return the distillation task of a trained model's family."""
    if teacher.is_whisper:
        return WhisperTask(teacher.model, teacher.extractor, teacher.tokenizer, config)
    return WaveformTask(teacher.model, teacher.extractor)


@dataclass
class _Conversion:
    """The steps of one conversion."""

    loaded: TrainedModel
    speech: Speech
    out: Path
    config: TrainedConversionConfig
    conversion: Conversion
    progress: bool

    def run(self) -> None:
        """Start, distil, save, and write the record."""
        folder = self.out / WORK
        task = task_of(self.loaded, self.config)
        student = self._student(task)
        examples = Examples(self.speech.train, self.config.seed, self.config.lengths)
        store = TeacherStore(folder / "teacher", lambda index: task.teacher_outputs(examples[index]))
        distillation = Distillation(
            task, student, examples.__getitem__, store.__getitem__, self._held_out(task), self.config, folder
        )
        before = _once(folder / "before.json", lambda: {"layers": distillation.error().layers})
        plan = planned(folder / PLAN, distillation.plan)
        with self._bar(plan.steps, "distilling") as bar:
            distillation.run(plan, bar=bar)
        after = distillation.error().layers
        self._save(student, before["layers"], after, plan, examples.skipped)
        shutil.rmtree(store.folder, ignore_errors=True)

    def _bar(self, total: int, title: str) -> Bar:
        return progress_bar(total=total, desc=title, unit="step", show=self.progress)

    def _student(self, task: Task) -> ConvertedModel:
        """Return the student at the start of the distillation."""
        student = converted_copy(self.loaded.model, self.conversion)
        if self.config.fresh or (self.out / WORK / "checkpoint.pt").exists():
            return student
        news = [module for _, _, module in attention_places(student)]
        olds = [module for _, _, module in attention_places(self.loaded.model)]
        dense = any(isinstance(new, ConvertedAttention) and needs_dense(new.mechanism) for new in news)
        windows = Examples(self.speech.train, self.config.seed, "30")
        with self._bar(self.config.start_windows, "attention maps") as bar:

            def run(index: int) -> None:
                task.teacher_outputs(windows.window(index))
                bar.update(1)

            runs = [lambda index=index: run(index) for index in range(self.config.start_windows)]
            maps = capture(self.loaded.model, runs, longest=self.conversion.max_length, dense=dense)
        for new, old, mean in zip(news, olds, maps, strict=True):
            if isinstance(new, ConvertedAttention) and not isinstance(old, ConvertedAttention):
                start(new, old, mean)
        return student

    def _held_out(self, task: Task) -> list[tuple[Example, Any]]:
        """Return held-out examples with the teacher's outputs."""
        examples = Examples(self.speech.held_out, 0, self.config.lengths)
        store = TeacherStore(self.out / WORK / "held-out", lambda index: task.teacher_outputs(examples[index]))
        return [(examples[index], store[index]) for index in range(self.config.held_out)]

    def _save(
        self, student: ConvertedModel, before: list[float], after: list[float], plan: Plan, skipped: dict[str, str]
    ) -> None:
        student.save_pretrained(self.out)
        self.loaded.extractor.save_pretrained(self.out)
        if self.loaded.tokenizer is not None:
            self.loaded.tokenizer.save_pretrained(self.out)
        layers = self.conversion.layers
        record = {
            "to": self.config.to,
            "layers": len(layers),
            "converted_layers": sum(it is not None for it in layers),
            "conversion": self.conversion.to_dict(),
            "config": self.config.to_dict(),
            "teacher": {"name": self.loaded.name, "digest": weights_digest(self.loaded.folder)},
            "speech": {
                "name": self.speech.name,
                "key": self.speech.key,
                "train": len(self.speech.train),
                "held_out": len(self.speech.held_out),
                "skipped": skipped,
            },
            "steps": plan.steps,
            "plan": asdict(plan),
            "relative_error": {
                "start": before[-1],
                "after": after[-1],
                "layers_start": before,
                "layers_after": after,
                "examples": self.config.held_out,
            },
            "provenance": provenance(),
        }
        write_json(self.out / RECORD, record)


def _once(path: Path, make: Any) -> dict[str, Any]:
    """Return the content of a file, after writing it if it does not exist."""
    if not path.exists():
        write_json(path, make())
    return json.loads(path.read_text(encoding="utf-8"))
