"""Conversion of a trained encoder: replace its attention, start from the teacher's, distil, save.

config.json, model.safetensors, ...   the converted model as a Hugging Face folder, with the teacher's tokenizer
conversion.json                       what was replaced, data, seeds, versions, errors
README.md                             model card
conversion.html                       the same as a page, with maps.safetensors, the attention maps on it
distillation/                         manifest, plan, curve and checkpoint, from which the same command resumes
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inattention.conversion.page.page import PAGE, write_page
from inattention.conversion.page.sources import MAPS, RECORD
from inattention.conversion.trained.config import TrainedConversionConfig
from inattention.conversion.trained.distillation import CHECKPOINT, PLAN, Distillation, Plan
from inattention.conversion.trained.heads import head_report
from inattention.conversion.trained.maps import save_maps
from inattention.conversion.trained.saving import make_folder, save_model, saving
from inattention.conversion.trained.setup import WORK, Setup, Speech, earlier_conversion, plan_conversion, task_of
from inattention.devices import usable_device
from inattention.encoders.converted import class_for
from inattention.encoders.trained import TrainedModel, load_trained, weights_digest
from inattention.files import folder_lock, once, remove_temporaries, write_json
from inattention.pretraining.manifest import claim
from inattention.pretraining.stopping import RunError


@dataclass(frozen=True)
class TrainedConversionReport:
    """Outcome of a conversion, the contents of ``conversion.json``."""

    record: dict[str, Any]

    def summary(self) -> str:
        """Return the outcome in a few lines."""
        record, error = self.record, self.record["relative_error"]
        layers = ", ".join(f"{it:.3f}" for it in error["layers_after"])
        count = error["examples"]
        before = f" ({record['continues']['steps']} before)" if record.get("continues") else ""
        stages = "".join(f"{line}\n" for line in stage_lines(record.get("stages", [])))
        return (
            f"{stages}{record['converted_layers']} of {record['layers']} layers have {record['to']} attention\n"
            f"relative error of the encoder's output on {count} held-out example{'' if count == 1 else 's'}: "
            f"{error['start']:.3f} at the start, {error['after']:.3f} after {record['steps']} steps{before}\n"
            f"by layer: {layers}"
        )


def stage_lines(stages: list[dict[str, Any]]) -> list[str]:
    """Return one line for each stage of a conversion layer by layer, and one for what follows from them.

    Args:
        stages: the record's stages; none of a conversion of all layers together.
    """
    lines = []
    for it in stages:
        words, error = it["words"], it["relative_error"]
        text = f"stage {it['stage']}, layer {it['layer']}: relative error {error['start']:.3f} to {error['after']:.3f}"
        if words:
            text += f", word error rate {words['student']['word_error_rate']:.3f}"
            text += f", teacher {words['teacher']['word_error_rate']:.3f}"
        if words and words["difference"]:
            text += " ({:+.3f} [{:+.3f}, {:+.3f}])".format(*words["difference"])
        lines.append(text + ("" if it["within"] else ", beyond the bound") + (", kept" if it["kept"] else ""))
    if stages and not any(it["kept"] for it in stages):
        lines.append("no stage is within the bound: no layer is replaced; more --minutes or a wider bound may help")
    return lines


def convert_trained(
    model: str,
    speech: Speech,
    out: Path,
    config: TrainedConversionConfig,
    *,
    device: str = "auto",
    teacher_cache: Path | None = None,
    continue_from: Path | None = None,
    progress: bool = True,
    run: Callable[[Setup], None] | None = None,
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
        continue_from: folder of a finished conversion of the same model with the same replacements, whose student is
            distilled further; it stays as it is.
        progress: show progress bars.
        run: makes the conversion and writes its files, the record last; by default all layers are converted together.

    Raises:
        RunError: if the folder contains another conversion, another process works in it, or it cannot be written.
        RunStopped: if SIGTERM or SIGINT stopped the distillation, after a checkpoint.
        ValueError: if the encoder cannot be converted in this way, or the cache belongs to anything else.
    """
    if config.staged and continue_from is not None:
        raise ValueError("--continue-from is for conversions of all layers together, without --order and --until")
    if config.staged and run is None:
        raise ValueError("conversions layer by layer are made by inattention.conversion.frontier.convert_in_stages")
    place = usable_device(device)
    loaded = load_trained(model)
    class_for(loaded.model)  # refuses what cannot be converted, before anything is written
    conversion = plan_conversion(loaded.model, config)
    _check_words(loaded, speech, config)
    earlier = None if continue_from is None else earlier_conversion(continue_from, loaded, conversion)
    loaded.model.to(place)
    parts = {
        "converted": weights_digest(loaded.folder),
        "speech": {"name": speech.name, "key": speech.key},
        "conversion": config.identity(decoder=loaded.is_whisper),
        **({} if earlier is None else {"continues": earlier.to_dict()}),
    }
    make_folder(out / WORK)
    with saving(out), folder_lock(out, RunError):
        claim(out / WORK, parts)
        if not (out / RECORD).exists():
            remove_temporaries(out)
            (run or run_together)(Setup(loaded, speech, out, config, conversion, progress, teacher_cache, earlier))
        if not (out / PAGE).exists():
            write_page(out)
    return TrainedConversionReport(json.loads((out / RECORD).read_text(encoding="utf-8")))


def _check_words(loaded: TrainedModel, speech: Speech, config: TrainedConversionConfig) -> None:
    """Raise if the word error rate has a bound and cannot be measured.

    Raises:
        ValueError: if there is no decoder, or no held-out speech with a text.
    """
    if config.bound is None or config.bound.measure != "wer":
        return
    if not loaded.is_whisper:
        raise ValueError(
            f"until {config.until}: {loaded.name} has no decoder, and so no word error rate; use a bound on the error "
            "of its output, such as error=0.2"
        )
    if not any(it.text for it in speech.held_out):
        raise ValueError(
            f"until {config.until}: none of {len(speech.held_out)} held-out utterances of {speech.name} has a text; "
            "use a bound on the error of the output, such as error=0.2"
        )


def run_together(setup: Setup) -> None:
    """Convert all layers together: start, distil, save, and write the record.

    The record comes last: where it exists, all else is complete.
    """
    folder, outputs, out, conversion = setup.work, setup.outputs(), setup.out, setup.conversion
    task = task_of(setup.loaded, setup.config)
    student = setup.student(task, conversion, started=not (folder / CHECKPOINT).exists())
    examples, store = setup.examples(task, outputs)
    held_out = setup.held_out(task, outputs)
    distillation = Distillation(task, student, examples.__getitem__, store.__getitem__, held_out, setup.config, folder)
    before = once(folder / "before.json", lambda: {"layers": distillation.error().layers})["layers"]
    plan = Plan(**once(folder / PLAN, lambda: asdict(distillation.plan())))
    curve = distillation.run(plan, progress=setup.progress)
    after = distillation.error().layers
    models = {"teacher": setup.loaded.model, "student": student}
    layers = [layer for layer, it in enumerate(conversion.layers) if it is not None]
    save_maps(out / MAPS, task, models, held_out, layers, conversion.max_length)
    heads = head_report(setup, task, outputs)
    save_model(student, setup.loaded, out, folder)
    record = setup.record(conversion) | distilled(before, after, plan, curve, len(held_out)) | {"heads": heads}
    write_json(out / RECORD, record)
    shutil.rmtree(folder / "teacher", ignore_errors=True)


def distilled(
    before: list[float], after: list[float], plan: Plan, curve: list[dict[str, float]], examples: int
) -> dict[str, Any]:
    """Return what ``conversion.json`` says of the distillation.

    Args:
        before: relative error of each layer without distillation.
        after: the same after it.
        plan: its length.
        curve: its course.
        examples: number of held-out examples of the errors.
    """
    return {
        "steps": plan.steps,
        "plan": asdict(plan),
        "curve": curve,
        "relative_error": {
            "start": before[-1],
            "after": after[-1],
            "layers_start": before,
            "layers_after": after,
            "examples": examples,
        },
    }
