"""What all parts of one conversion share: teacher, speech, settings, examples, and how a student starts."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from inattention.attention.rows import parse_row
from inattention.conversion.page.sources import RECORD
from inattention.conversion.trained.cache import cache_key, claim_cache
from inattention.conversion.trained.config import TrainedConversionConfig
from inattention.conversion.trained.saving import saving
from inattention.conversion.trained.speech import LONGEST_SECONDS, SAMPLING_RATE, Example, Examples, Utterance
from inattention.conversion.trained.starts import capture, needs_dense, start
from inattention.conversion.trained.task import Task
from inattention.conversion.trained.teacher import TeacherOutputs, TeacherStore
from inattention.conversion.trained.waveform import WaveformTask
from inattention.conversion.trained.whisper import WhisperTask
from inattention.encoders.attention_handles import attention_handles
from inattention.encoders.converted import ConvertedModel, converted_copy, from_pretrained
from inattention.encoders.converted_attention import Conversion, ConvertedAttention, Replacement
from inattention.encoders.trained import TrainedModel, weights_digest
from inattention.progress import bar as progress_bar
from inattention.provenance import provenance

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


def plan_conversion(
    model: PreTrainedModel, config: TrainedConversionConfig, layers: Iterable[int] | None = None
) -> Conversion:
    """Return the replacement of each layer.

    Args:
        model: a trained model.
        config: settings of the conversion.
        layers: the layers to replace; by default those of the settings.

    Raises:
        ValueError: if a layer or head does not exist, or the row cannot replace single heads.
    """
    handles = attention_handles(model)
    heads = config.chosen_heads(handles[0].heads)
    replacement = Replacement(row=parse_row(config.row).name, heads=heads)
    chosen = set(config.chosen_layers(len(handles)) if layers is None else layers)
    replacements = tuple(replacement if layer in chosen else None for layer in range(len(handles)))
    return Conversion(layers=replacements, max_length=_longest(model.config))


def _longest(config: Any) -> int:
    """Return the number of frames of the longest input: 30 s, of which an encoder of waveforms takes any part."""
    if hasattr(config, "max_source_positions"):
        return config.max_source_positions
    return math.ceil(LONGEST_SECONDS * SAMPLING_RATE / math.prod(config.conv_stride))


def task_of(teacher: TrainedModel, config: TrainedConversionConfig) -> Task:
    """Return the distillation task of a trained model's family."""
    if teacher.is_whisper:
        return WhisperTask(teacher.model, teacher.extractor, teacher.tokenizer, config)
    return WaveformTask(teacher.model, teacher.extractor, config)


@dataclass(frozen=True)
class Earlier:
    """A finished conversion that another one goes on from.

    Attributes:
        folder: its folder.
        digest: of its weights.
        steps: its optimizer steps, with those before it.
    """

    folder: Path
    digest: str
    steps: int

    def to_dict(self) -> dict[str, Any]:
        """Return what ``conversion.json`` says of it."""
        return {"model": self.digest, "steps": self.steps}


def earlier_conversion(folder: Path, teacher: TrainedModel, conversion: Conversion) -> Earlier:
    """Return a finished conversion of the same model, with the same replacements.

    Args:
        folder: its folder.
        teacher: the model that is converted.
        conversion: what is to be replaced.

    Raises:
        ValueError: if there is none, or it is one of another model or with other replacements.
    """
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        digest, replaced = record["teacher"]["digest"], record["conversion"]
        steps = int(record["steps"]) + int((record.get("continues") or {}).get("steps", 0))
    except FileNotFoundError:
        raise ValueError(f"--continue-from {folder}: there is no finished conversion ({RECORD} is missing)") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"--continue-from: {path} cannot be read ({error})") from None
    if digest != weights_digest(teacher.folder):
        raise ValueError(f"--continue-from {folder} is a conversion of another model than {teacher.name}")
    if replaced != conversion.to_dict():
        raise ValueError(
            f"--continue-from {folder} has other replacements; --to, --layers and --heads must be the same"
        )
    return Earlier(folder, weights_digest(folder), steps)


@dataclass
class Setup:
    """A conversion: what it is made from, and where it is written.

    Attributes:
        loaded: the teacher.
        speech: what to distil on.
        out: output folder.
        config: the settings.
        conversion: the replacement of each layer that may be replaced.
        progress: show progress bars.
        teacher_cache: folder of the teacher's outputs; None if they are in the output folder and do not stay.
        earlier: conversion whose student is distilled further; None for a new student.
        skipped: reason for each utterance that could not be read.
    """

    loaded: TrainedModel
    speech: Speech
    out: Path
    config: TrainedConversionConfig
    conversion: Conversion
    progress: bool
    teacher_cache: Path | None
    earlier: Earlier | None = None
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        """Folder of the distillation."""
        return self.out / WORK

    def outputs(self) -> Path:
        """Return the folder of the teacher's outputs.

        Raises:
            ValueError: if the cache belongs to anything else.
        """
        if self.teacher_cache is None:
            return self.work
        speech, config = self.speech, self.config
        key = cache_key(
            self.loaded, speech.key, speech.train, speech.held_out,
            seed=config.seed, lengths=config.lengths, language=config.language, precision=config.precision,
        )  # fmt: skip
        with saving(self.teacher_cache):
            claim_cache(self.teacher_cache, key)
        return self.teacher_cache

    def examples(self, task: Task, outputs: Path) -> tuple[Examples, TeacherStore]:
        """Return the training examples, and the teacher's outputs for them."""
        examples = Examples(self.speech.train, self.config.seed, self.config.lengths, self.skipped)
        return examples, TeacherStore(outputs / "teacher", lambda index: task.teacher_outputs(examples[index]))

    def held_out(self, task: Task, outputs: Path) -> list[tuple[Example, TeacherOutputs]]:
        """Return held-out examples with the teacher's outputs."""
        examples = Examples(self.speech.held_out, 0, self.config.lengths, self.skipped)
        store = TeacherStore(outputs / "held-out", lambda index: task.teacher_outputs(examples[index]))
        numbers = range(self.config.held_out)
        bar = progress_bar(numbers, desc="teacher, held-out speech", unit="example", show=self.progress)
        return [(examples[index], store[index]) for index in bar]

    def student(
        self, task: Task, conversion: Conversion, *, before: PreTrainedModel | None = None, started: bool = True
    ) -> ConvertedModel:
        """Return a student whose replaced attention starts from the attention that it replaces.

        The student of an earlier conversion is returned as it is.

        Args:
            task: the family of encoders.
            conversion: what is replaced.
            before: model to replace it in; the teacher by default.
            started: start the mechanisms from its attention unless the settings ask for a fresh start. Of a student
                that gets its weights from a checkpoint, that would be for nothing.
        """
        if self.earlier is not None:
            known: Any = from_pretrained(str(self.earlier.folder))
            return known.to(self.loaded.model.device)
        model = before or self.loaded.model
        student = converted_copy(model, conversion)
        student.to(self.loaded.model.device)
        if self.config.fresh or not started:
            return student
        olds = [handle.module for handle in attention_handles(model)]
        news = {
            layer: handle.module
            for layer, handle in enumerate(attention_handles(student))
            if conversion.layers[layer] is not None and isinstance(handle.module, ConvertedAttention)
        }
        dense = any(needs_dense(new.mechanism) for new in news.values())
        windows = Examples(self.speech.train, self.config.seed, "30", self.skipped)
        longest = conversion.max_length
        numbers = progress_bar(
            range(self.config.start_windows), desc="attention maps", unit="window", show=self.progress
        )
        runs = (lambda index=index: task.hidden(model, windows.window(index), longest) for index in numbers)
        maps = capture(model, runs, layers=news, longest=longest, dense=dense)
        for layer, mean in maps.items():
            start(news[layer], olds[layer], mean)
        return student

    def record(self, conversion: Conversion) -> dict[str, Any]:
        """Return what ``conversion.json`` says of teacher, settings, speech and versions.

        Args:
            conversion: what was replaced.
        """
        layers = conversion.layers
        return {
            "to": self.config.to,
            "layers": len(layers),
            "converted_layers": sum(it is not None for it in layers),
            "conversion": conversion.to_dict(),
            "config": self.config.to_dict(),
            "teacher": {
                "name": self.loaded.label,
                "digest": weights_digest(self.loaded.folder),
                "family": self.loaded.model.config.model_type,
            },
            "model": {"digest": weights_digest(self.out)},
            "continues": None if self.earlier is None else self.earlier.to_dict(),
            "speech": {
                "name": self.speech.name,
                "key": self.speech.key,
                "train": len(self.speech.train),
                "held_out": len(self.speech.held_out),
                "skipped": self.skipped,
            },
            "device": self.loaded.model.device.type,
            "provenance": provenance(),
        }
