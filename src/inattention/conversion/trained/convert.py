"""Conversion of a trained encoder: replace its attention, start from the teacher's, distil, save.

config.json, model.safetensors, ...   the converted model as a Hugging Face folder, with the teacher's tokenizer
conversion.json                       what was replaced, data, seeds, versions, errors
conversion.html                       the same as a page, with maps.safetensors, the attention maps on it
distillation/                         manifest, plan, curve and checkpoint, from which the same command resumes
"""

import json
import math
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from inattention.attention.rows import parse_row
from inattention.conversion.page.page import PAGE, write_page
from inattention.conversion.page.sources import MAPS, RECORD
from inattention.conversion.trained.cache import cache_key, claim_cache
from inattention.conversion.trained.config import TrainedConversionConfig
from inattention.conversion.trained.distillation import CHECKPOINT, PLAN, Distillation, Plan
from inattention.conversion.trained.maps import save_maps
from inattention.conversion.trained.saving import make_folder, save_model, saving
from inattention.conversion.trained.speech import LONGEST_SECONDS, SAMPLING_RATE, Example, Examples, Utterance
from inattention.conversion.trained.starts import capture, needs_dense, start
from inattention.conversion.trained.task import Task
from inattention.conversion.trained.teacher import TeacherOutputs, TeacherStore
from inattention.conversion.trained.waveform import WaveformTask
from inattention.conversion.trained.whisper import WhisperTask
from inattention.devices import usable_device
from inattention.encoders.attention_handles import attention_handles
from inattention.encoders.converted import ConvertedModel, class_for, converted_copy
from inattention.encoders.converted_attention import Conversion, ConvertedAttention, Replacement
from inattention.encoders.trained import TrainedModel, load_trained, weights_digest
from inattention.files import folder_lock, once, remove_temporaries, write_json
from inattention.pretraining.manifest import claim
from inattention.pretraining.stopping import RunError
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


@dataclass(frozen=True)
class TrainedConversionReport:
    """Outcome of a conversion, the contents of ``conversion.json``."""

    record: dict[str, Any]

    def summary(self) -> str:
        """Return the outcome in a few lines."""
        record, error = self.record, self.record["relative_error"]
        layers = ", ".join(f"{it:.3f}" for it in error["layers_after"])
        count = error["examples"]
        return (
            f"{record['converted_layers']} of {record['layers']} layers have {record['to']} attention\n"
            f"relative error of the encoder's output on {count} held-out example{'' if count == 1 else 's'}: "
            f"{error['start']:.3f} at the start, {error['after']:.3f} after {record['steps']} steps\n"
            f"by layer: {layers}"
        )


def convert_trained(
    model: str,
    speech: Speech,
    out: Path,
    config: TrainedConversionConfig,
    *,
    device: str = "auto",
    teacher_cache: Path | None = None,
    progress: bool = True,
) -> TrainedConversionReport:
    """Convert a trained encoder, or resume a conversion.

    Args:
        model: Hugging Face folder or hub name of Whisper, wav2vec 2.0, HuBERT or a similar encoder.
        speech: what to distil on.
        out: output folder.
        config: the settings.
        device: ``cpu``, ``cuda``, or ``auto`` for a GPU if there is one.
        teacher_cache: folder of the teacher's outputs, which conversions of one teacher on the same speech, seed and
            lengths share, and which stays; by default they are in the output folder and removed at the end.
        progress: show progress bars.

    Raises:
        RunError: if the folder contains another conversion, another process works in it, or it cannot be written.
        RunStopped: if SIGTERM or SIGINT stopped the distillation, after a checkpoint.
        ValueError: if the encoder cannot be converted in this way, or the cache belongs to anything else.
    """
    place = usable_device(device)
    loaded = load_trained(model)
    class_for(loaded.model)  # refuses what cannot be converted, before anything is written
    conversion = plan_conversion(loaded.model, config)
    loaded.model.to(place)
    parts = {
        "converted": weights_digest(loaded.folder),
        "speech": {"name": speech.name, "key": speech.key},
        "conversion": config.to_dict(),
    }
    make_folder(out / WORK)
    with saving(out), folder_lock(out, RunError):
        claim(out / WORK, parts)
        if not (out / RECORD).exists():
            remove_temporaries(out)
            _Conversion(loaded, speech, out, config, conversion, progress, teacher_cache).run()
        if not (out / PAGE).exists():
            write_page(out)
    return TrainedConversionReport(json.loads((out / RECORD).read_text(encoding="utf-8")))


def plan_conversion(model: PreTrainedModel, config: TrainedConversionConfig) -> Conversion:
    """Return the replacement of each layer.

    Raises:
        ValueError: if a layer or head does not exist, or the row cannot replace single heads.
    """
    handles = attention_handles(model)
    heads = config.chosen_heads(handles[0].heads)
    replacement = Replacement(row=parse_row(config.row).name, heads=heads)
    chosen = set(config.chosen_layers(len(handles)))
    layers = tuple(replacement if layer in chosen else None for layer in range(len(handles)))
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
    teacher_cache: Path | None
    skipped: dict[str, str] = field(default_factory=dict)

    def run(self) -> None:
        """Start, distil, save, and write the record.

        The record comes last: where it exists, all else is complete.
        """
        folder, outputs = self.out / WORK, self._outputs()
        task = task_of(self.loaded, self.config)
        student = self._student(task)
        examples = Examples(self.speech.train, self.config.seed, self.config.lengths, self.skipped)
        store = TeacherStore(outputs / "teacher", lambda index: task.teacher_outputs(examples[index]))
        held_out = self._held_out(task, outputs / "held-out")
        distillation = Distillation(
            task, student, examples.__getitem__, store.__getitem__, held_out, self.config, folder
        )
        before = once(folder / "before.json", lambda: {"layers": distillation.error().layers})["layers"]
        plan = Plan(**once(folder / PLAN, lambda: asdict(distillation.plan())))
        curve = distillation.run(plan, progress=self.progress)
        after = distillation.error().layers
        models = {"teacher": self.loaded.model, "student": student}
        layers = [layer for layer, it in enumerate(self.conversion.layers) if it is not None]
        save_maps(self.out / MAPS, task, models, held_out, layers, self.conversion.max_length)
        save_model(student, self.loaded, self.out, folder)
        write_json(self.out / RECORD, self._record(before, after, plan, curve))
        shutil.rmtree(folder / "teacher", ignore_errors=True)

    def _outputs(self) -> Path:
        """Return the folder of the teacher's outputs."""
        if self.teacher_cache is None:
            return self.out / WORK
        speech, config = self.speech, self.config
        key = cache_key(
            self.loaded, speech.key, speech.train, speech.held_out,
            seed=config.seed, lengths=config.lengths, language=config.language,
        )  # fmt: skip
        with saving(self.teacher_cache):
            claim_cache(self.teacher_cache, key)
        return self.teacher_cache

    def _student(self, task: Task) -> ConvertedModel:
        """Return the student at the start of the distillation."""
        student = converted_copy(self.loaded.model, self.conversion)
        student.to(self.loaded.model.device)
        if self.config.fresh or (self.out / WORK / CHECKPOINT).exists():
            return student
        news = [handle.module for handle in attention_handles(student)]
        olds = [handle.module for handle in attention_handles(self.loaded.model)]
        dense = any(isinstance(new, ConvertedAttention) and needs_dense(new.mechanism) for new in news)
        windows = Examples(self.speech.train, self.config.seed, "30", self.skipped)
        with progress_bar(
            total=self.config.start_windows, desc="attention maps", unit="window", show=self.progress
        ) as bar:

            def run(index: int) -> None:
                task.teacher_outputs(windows.window(index))
                bar.update(1)

            runs = [lambda index=index: run(index) for index in range(self.config.start_windows)]
            maps = capture(self.loaded.model, runs, longest=self.conversion.max_length, dense=dense)
        for new, old, mean, replacement in zip(news, olds, maps, self.conversion.layers, strict=True):
            if isinstance(new, ConvertedAttention) and replacement is not None:
                start(new, old, mean)
        return student

    def _held_out(self, task: Task, folder: Path) -> list[tuple[Example, TeacherOutputs]]:
        """Return held-out examples with the teacher's outputs."""
        examples = Examples(self.speech.held_out, 0, self.config.lengths, self.skipped)
        store = TeacherStore(folder, lambda index: task.teacher_outputs(examples[index]))
        numbers = range(self.config.held_out)
        bar = progress_bar(numbers, desc="teacher, held-out speech", unit="example", show=self.progress)
        return [(examples[index], store[index]) for index in bar]

    def _record(
        self, before: list[float], after: list[float], plan: Plan, curve: list[dict[str, float]]
    ) -> dict[str, Any]:
        layers = self.conversion.layers
        return {
            "to": self.config.to,
            "layers": len(layers),
            "converted_layers": sum(it is not None for it in layers),
            "conversion": self.conversion.to_dict(),
            "config": self.config.to_dict(),
            "teacher": {
                "name": self.loaded.name,
                "digest": weights_digest(self.loaded.folder),
                "family": self.loaded.model.config.model_type,
            },
            "model": {"digest": weights_digest(self.out)},
            "speech": {
                "name": self.speech.name,
                "key": self.speech.key,
                "train": len(self.speech.train),
                "held_out": len(self.speech.held_out),
                "skipped": self.skipped,
            },
            "steps": plan.steps,
            "plan": asdict(plan),
            "curve": curve,
            "relative_error": {
                "start": before[-1],
                "after": after[-1],
                "layers_start": before,
                "layers_after": after,
                "examples": self.config.held_out,
            },
            "device": self.loaded.model.device.type,
            "provenance": provenance(),
        }
