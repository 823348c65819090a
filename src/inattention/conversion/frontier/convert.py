"""Conversion layer by layer: each stage replaces one more layer of the student before and distils it to the teacher.

distillation/order.json               the layers in order, with what decided on it
distillation/stage-N/                 checkpoint, curve, transcripts and result of a stage
distillation/stage-N/model/           the student of the stage, as long as it may be needed

Every file is complete or absent, and each stage follows from the files before it, so that the same command resumes a
conversion that was stopped anywhere.
"""

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from inattention.conversion.frontier.stages import Stage, ended, joined_curve, kept_stage, stage_records
from inattention.conversion.frontier.words import HeldOutWords, held_out_words
from inattention.conversion.page.sources import MAPS, RECORD
from inattention.conversion.trained.config import TrainedConversionConfig
from inattention.conversion.trained.convert import TrainedConversionReport, convert_trained, distilled
from inattention.conversion.trained.distillation import CHECKPOINT, PLAN, Distillation, Plan, held_out_error
from inattention.conversion.trained.heads import TeacherHead, describe_heads, head_report
from inattention.conversion.trained.maps import save_maps
from inattention.conversion.trained.saving import save_model
from inattention.conversion.trained.setup import Setup, Speech, plan_conversion, task_of
from inattention.encoders.converted import ConvertedModel, converted_copy, from_pretrained
from inattention.encoders.converted_attention import Conversion
from inattention.files import once, write_json
from inattention.seeding import derive_seed

STAGE = "stage.json"


def convert_in_stages(
    model: str, speech: Speech, out: Path, config: TrainedConversionConfig, **options: Any
) -> TrainedConversionReport:
    """Convert a trained encoder layer by layer as far as a bound allows, or resume such a conversion.

    Args:
        model: Hugging Face folder or hub name of Whisper, wav2vec 2.0, HuBERT or a similar encoder.
        speech: what to distil on; word error rates are measured on the held-out part.
        out: output folder.
        config: the settings, with an order or a bound.
        **options: of `convert_trained`.

    Raises:
        RunError: as `convert_trained`.
        RunStopped: as `convert_trained`.
        ValueError: as `convert_trained`, or if word error rates are to be bounded and cannot be measured.
    """
    return convert_trained(model, speech, out, config, run=lambda setup: _Stages(setup).run(), **options)


@dataclass
class _Stages:
    """The stages of one conversion."""

    setup: Setup

    def __post_init__(self) -> None:
        setup = self.setup
        self.outputs = setup.outputs()
        self.task = task_of(setup.loaded, setup.config)
        self.words: HeldOutWords = held_out_words(setup)
        self.bound = setup.config.bound

    def run(self) -> None:
        """Convert layer after layer, keep the last student within the bound, and write the record."""
        self.held_out = self.setup.held_out(self.task, self.outputs)
        order = once(self.setup.work / "order.json", self._order)
        stages: list[Stage] = []
        for layer in order["layers"]:
            stages.append(self._stage(layer, stages, len(order["layers"])))
            self._tidy(stages)
            if ended(stages, self.bound):
                break
        self._finish(stages, order)

    def _order(self) -> dict[str, Any]:
        """Return the layers in the order of their replacement."""
        setup = self.setup
        layers = [layer for layer, it in enumerate(setup.conversion.layers) if it is not None]
        if setup.config.order == "least-error":
            errors = {
                layer: self._undistilled(plan_conversion(setup.loaded.model, setup.config, (layer,)))[-1]
                for layer in layers
            }
            layers.sort(key=lambda layer: (errors[layer], -layer))
            return {"layers": layers, "input_dependence": None, "error_alone": [errors[layer] for layer in layers]}
        if setup.config.order != "least-dependent":
            return {"layers": layers[::-1], "input_dependence": None}
        dependence = layer_dependence(describe_heads(setup, self.task, self.outputs), setup.conversion)
        # Layers of equal dependence, and those without maps behind all others, from the last one on.
        layers.sort(key=lambda layer: (dependence.get(layer, float("inf")), -layer))
        return {"layers": layers, "input_dependence": [dependence.get(layer) for layer in layers]}

    def _folder(self, number: int) -> Path:
        return self.setup.work / f"stage-{number}"

    def _student(self, number: int) -> ConvertedModel:
        """Return the student of a stage that is complete; the teacher's copy if the number is 0."""
        setup = self.setup
        if number:
            student: Any = from_pretrained(str(self._folder(number) / "model"))
        else:
            student = converted_copy(setup.loaded.model, plan_conversion(setup.loaded.model, setup.config, ()))
        return student.to(setup.loaded.model.device)

    def _stage(self, layer: int, before: list[Stage], count: int) -> Stage:
        """Return the result of a stage, which is computed unless it is there already."""
        number = len(before) + 1
        folder = self._folder(number)
        path = folder / STAGE
        if not path.exists():
            folder.mkdir(exist_ok=True)
            write_json(path, self._distilled(layer, number, count).to_dict())
        return Stage(**json.loads(path.read_text(encoding="utf-8")))

    def _distilled(self, layer: int, number: int, count: int) -> Stage:
        """Replace a layer of the student before, distil, and measure."""
        setup, folder = self.setup, self._folder(number)
        seed = derive_seed(setup.config.seed, "stage", number)
        config = replace(setup.config, seed=seed)
        conversion = plan_conversion(setup.loaded.model, setup.config, (layer,))
        before = setup.loaded.model if number == 1 else self._student(number - 1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # mechanisms that do not start from the attention before
            started = not (folder / CHECKPOINT).exists()
            student = setup.student(self.task, conversion, before=before, started=started)
        examples, store = setup.examples(self.task, self.outputs)
        distillation = Distillation(
            self.task, student, examples.__getitem__, store.__getitem__, self.held_out, config, folder,
            title=f"stage {number} of {count}, layer {layer}",
        )  # fmt: skip
        start = once(folder / "before.json", lambda: {"layers": distillation.error().layers})["layers"]
        whole = Plan(**once(setup.work / PLAN, lambda: asdict(distillation.plan())))
        steps = max(1, whole.steps // count) if whole.steps else 0
        curve = distillation.run(replace(whole, steps=steps), progress=setup.progress)
        (folder / "model").mkdir(exist_ok=True)
        save_model(student, setup.loaded, folder / "model", folder)
        return Stage(
            number=number,
            layer=layer,
            steps=steps,
            seconds=curve[-1]["seconds"] if curve else 0.0,
            start=start,
            after=distillation.error().layers,
            curve=curve,
            words=self.words.of(student, folder),
        )

    def _tidy(self, stages: list[Stage]) -> None:
        """Remove checkpoints, and students that are needed no longer."""
        kept = kept_stage(stages, self.bound)
        for stage in stages:
            (self._folder(stage.number) / CHECKPOINT).unlink(missing_ok=True)
            if stage not in (kept, stages[-1]):
                shutil.rmtree(self._folder(stage.number) / "model", ignore_errors=True)

    def _finish(self, stages: list[Stage], order: dict[str, Any]) -> None:
        """Write the model that is kept, and the record of all stages."""
        setup = self.setup
        kept = kept_stage(stages, self.bound)
        used = stages[: kept.number] if kept else []
        student = self._student(len(used))
        conversion = plan_conversion(setup.loaded.model, setup.config, [it.layer for it in used])
        folder, whole = setup.work, Plan(**json.loads((setup.work / PLAN).read_text(encoding="utf-8")))
        plan, count = replace(whole, steps=sum(it.steps for it in used)), len(self.held_out)
        models = {"teacher": setup.loaded.model, "student": student}
        layers = sorted(it.layer for it in used)
        save_maps(setup.out / MAPS, self.task, models, self.held_out, layers, conversion.max_length)
        heads = head_report(setup, self.task, self.outputs)
        save_model(student, setup.loaded, setup.out, folder)
        dependence, alone = (
            dict(zip(order["layers"], order.get(measure) or (), strict=False))
            for measure in ("input_dependence", "error_alone")
        )
        record = {
            **setup.record(conversion),
            **distilled(self._undistilled(conversion), self._error(student), plan, joined_curve(used), count),
            "heads": heads,
            "stages": stage_records(stages, self.bound, dependence, alone),
        }
        write_json(setup.out / RECORD, record)
        shutil.rmtree(folder / "teacher", ignore_errors=True)
        for stage in stages:
            shutil.rmtree(self._folder(stage.number) / "model", ignore_errors=True)

    def _undistilled(self, conversion: Conversion) -> list[float]:
        """Return the error of a replacement of the teacher's attention without distillation."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.setup.config.seed, "stage", 0))
            return self._error(self.setup.student(self.task, conversion))

    def _error(self, student: ConvertedModel) -> list[float]:
        return held_out_error(self.task, student, self.held_out).layers


def layer_dependence(heads: list[TeacherHead], conversion: Conversion) -> dict[int, float]:
    """Return the input dependence of each layer, the mean over the heads that are to be replaced.

    Args:
        heads: heads of the teacher.
        conversion: what is to be replaced.
    """
    found: dict[int, list[float]] = {}
    for it in heads:
        replacement = conversion.layers[it.layer]
        if replacement is not None and (replacement.heads is None or it.head in replacement.heads):
            found.setdefault(it.layer, []).append(it.input_dependence)
    return {layer: fmean(values) for layer, values in found.items()}
