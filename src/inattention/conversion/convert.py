"""A trained encoder made input-independent: derived maps in place of queries and keys, then a short distillation.

maps.safetensors                 the derived maps, which `patterned` starts from
config.json, model.safetensors   the converted encoder, after distillation
conversion.json                  errors of the maps, probes before and after, time saved
probes-*.json, distillation/     what was done on the way, and from what; the same command goes on from it

An encoder that is input-independent already has nothing to convert: it is saved as it is.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from inattention.conversion.config import ConversionConfig
from inattention.conversion.derive import derive_maps, write_maps
from inattention.conversion.distillation import Distillation, distillation_run
from inattention.corpora.core.corpus import Corpus
from inattention.encoders.extraction.run import fingerprint
from inattention.files import folder_lock, write_json
from inattention.model.transformer import AudioTransformer
from inattention.pretraining.held_out import measure_held_out
from inattention.pretraining.manifest import claim
from inattention.pretraining.training import fit
from inattention.provenance import provenance
from inattention.seeding import derive_seed
from inattention.timing.config import TimingConfig
from inattention.timing.machine import machine
from inattention.timing.measure import ratio, spread, take_turns
from inattention.timing.run import forward_task, weight_bytes

MAPS, ERRORS, RECORD = "maps.safetensors", "maps.json", "conversion.json"
DISTILLATION = "distillation"
PROBED = ("untrained", "teacher", "converted", "distilled")


def convert(
    teacher: AudioTransformer, corpus: Corpus, out: Path, config: ConversionConfig, *, progress: bool = True
) -> dict[str, Any]:
    """Convert an encoder, or go on where an earlier call stopped; what is done is not done again.

    Args:
        teacher: the trained encoder.
        corpus: unlabelled for maps and distillation; its labels serve the probes.
        out: the folder that everything goes to.
        config: the settings.
        progress: show progress bars.

    Returns:
        What ``conversion.json`` holds.

    Raises:
        RunError: if the folder holds another conversion, or another process is at work in it.
        RunStopped: if SIGTERM or SIGINT asked for an end of the distillation, after a checkpoint.
        ValueError: if maps cannot be derived or probes not trained on this corpus.
    """
    out.mkdir(parents=True, exist_ok=True)
    account = {
        "converted": fingerprint(teacher),
        "corpus": {"name": corpus.name, "key": corpus.key},
        "conversion": config.to_dict(),
    }
    with folder_lock(out):
        (out / DISTILLATION).mkdir(exist_ok=True)
        claim(out / DISTILLATION, account)
        return _once(out / RECORD, lambda: _convert(teacher, corpus, out, config, progress))


def looks_at_input(model: AudioTransformer) -> bool:
    """Say whether any layer's attention differs from one input to another.

    It is tried, as a card speaks of a mechanism's defaults: query-key heads among fixed patterns are an option.
    """
    config = model.config
    generator = torch.Generator().manual_seed(0)
    weight = next(model.parameters())
    hidden = torch.randn(2, min(16, config.max_length), config.width, generator=generator).to(weight)
    valid = torch.ones(hidden.shape[:2], dtype=torch.bool, device=weight.device)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        weights = [mechanism.weights(hidden, valid) for _, mechanism in model.encoder.depth()]
    return not all(torch.equal(one[0], one[1]) for one in weights)


def student_of(teacher: AudioTransformer, maps: Path, kind: str) -> AudioTransformer:
    """Give the teacher with input-independent attention that starts from a file's maps; all else is the teacher's.

    Raises:
        ValueError: if the file's maps do not fit the teacher.
    """
    config = replace(
        teacher.config,
        attention="patterned",
        attention_options={"init": str(maps)},
        maps=kind,
    )
    with torch.random.fork_rng(devices=[]):
        student = AudioTransformer(config)
    kept = {name: tensor for name, tensor in teacher.state_dict().items() if not _is_attention(name)}
    missing, unknown = student.load_state_dict(kept, strict=False)
    assert not unknown
    assert all(_is_attention(name) for name in missing)
    # The file stands beside the model that was started from it.
    student.config = student.encoder.config = replace(config, attention_options={"init": maps.name})
    return student.eval()


def _is_attention(name: str) -> bool:
    return name.startswith("encoder.mechanisms.")


def _convert(
    teacher: AudioTransformer, corpus: Corpus, out: Path, config: ConversionConfig, progress: bool
) -> dict[str, Any]:
    if not looks_at_input(teacher):
        teacher.save_pretrained(out)
        return {"input_independent_already": True, "provenance": provenance()}
    errors = _derived(teacher, corpus, out, config, progress)
    converted = student_of(teacher, out / MAPS, config.maps)
    distilled, held_out = _distilled(teacher, corpus, out, config, progress)
    probes = None
    if config.probed:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(config.seed, "untrained"))
            untrained = AudioTransformer(teacher.config)
        encoders = dict(zip(PROBED, (untrained, teacher, converted, distilled), strict=True))
        probes = {
            name: _once(out / f"probes-{name}.json", lambda n=name, m=model: _probed(n, m, corpus, config, progress))
            for name, model in encoders.items()
        }
    return {
        "input_independent_already": False,
        "maps": errors,
        "hidden_state_error": held_out,
        "probes": probes,
        "kept": _kept(probes) if probes else None,
        "time": measure_time(teacher, distilled, config),
        "parameters": {name: _parameters(model) for name, model in (("before", teacher), ("after", distilled))},
        "provenance": provenance(),
    }


def _derived(
    teacher: AudioTransformer, corpus: Corpus, out: Path, config: ConversionConfig, progress: bool
) -> dict[str, Any]:
    """Derive the maps, and keep them."""

    def derive() -> dict[str, Any]:
        derived = derive_maps(
            teacher,
            corpus,
            utterances=config.utterances,
            held_out=config.held_out,
            crop_steps=config.crop_steps,
            seed=config.seed,
            progress=progress,
        )
        write_maps(derived, out / MAPS)
        return derived.account()

    return _once(out / ERRORS, derive)


def _distilled(
    teacher: AudioTransformer, corpus: Corpus, out: Path, config: ConversionConfig, progress: bool
) -> tuple[AudioTransformer, dict[str, float]]:
    """Distil the converted encoder, and save it; also tell the hidden states' error before and after."""
    folder = out / DISTILLATION
    student = student_of(teacher, out / MAPS, config.maps)
    run = distillation_run(
        student,
        corpus,
        steps=config.steps,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        seed=config.seed,
    )
    model = Distillation(teacher, student)

    def distil() -> dict[str, float]:
        before = measure_held_out(run, model).l1
        if config.steps:
            fit(run, model.train(), folder, progress=progress, title="distilling")
        student.eval().save_pretrained(out)
        return {"before": before, "after": measure_held_out(run, model).l1}

    errors = _once(folder / "outcome.json", distil)
    return AudioTransformer.from_pretrained(out), errors


def _probed(
    name: str, model: AudioTransformer, corpus: Corpus, config: ConversionConfig, progress: bool
) -> dict[str, Any]:
    from inattention.encoders.ours import EncoderSource
    from inattention.probing.run import probe
    from inattention.probing.training import device_of

    settings = replace(config.probes, seed=config.seed)
    return probe(
        EncoderSource(model.eval().to(device_of(settings)), name), corpus, settings, progress=progress
    ).to_dict()


def _kept(probes: dict[str, Any]) -> dict[str, dict[str, float | None]]:
    """Give the share of what training gave the teacher that is left, by task; None where it gave nothing."""
    accuracy = {name: {task["task"]: task["accuracy"] for task in report["tasks"]} for name, report in probes.items()}
    kept: dict[str, dict[str, float | None]] = {"converted": {}, "distilled": {}}
    for task, teacher in accuracy["teacher"].items():
        untrained = accuracy["untrained"][task]
        for name, shares in kept.items():
            gained = teacher - untrained
            shares[task] = (accuracy[name][task] - untrained) / gained if gained > 0 else None
    return kept


def measure_time(teacher: AudioTransformer, student: AudioTransformer, config: ConversionConfig) -> dict[str, Any]:
    """Time forward passes of both side by side, on inputs of the longest length; the ratio is student to teacher."""
    length = teacher.config.max_length
    settings = TimingConfig(threads=config.threads, seed=config.seed)
    models = {"before": teacher.cpu(), "after": student.cpu()}
    tasks = {name: forward_task(model, length, 1, settings) for name, model in models.items()}
    taken = take_turns(tasks, rounds=config.timing_rounds, threads=config.threads, seed=config.seed)
    return {
        "steps": length,
        "seconds": {name: spread(seconds)._asdict() for name, seconds in taken.items()},
        "ratio": ratio(taken["after"], taken["before"])._asdict(),
        "weight_bytes": {name: weight_bytes(model) for name, model in models.items()},
        "machine": machine("cpu", config.threads),
    }


def _parameters(model: AudioTransformer) -> dict[str, int]:
    return {
        "all": sum(p.numel() for p in model.parameters()),
        "attention": sum(p.numel() for p in model.encoder.mechanisms.parameters()),
    }


def _once(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Read what was made before, or make it and keep it."""
    if not path.exists():
        write_json(path, make())
    return json.loads(path.read_text(encoding="utf-8"))


def summary(record: dict[str, Any]) -> str:
    """Say what came of a conversion, for a terminal."""
    if record["input_independent_already"]:
        return "its attention does not look at its input already: nothing was converted, and no output changes"
    maps, error, time = record["maps"], record["hidden_state_error"], record["time"]
    lines = [
        f"maps of {maps['steps']} steps from {maps['utterances']['fit']} utterances; error on held-out ones, "
        f"as a share of the values' spread: mean map {maps['mean_error']['mean']:.4f}, "
        f"least squares {maps['mean_error']['least-squares']:.4f} (better in "
        f"{maps['heads_where_least_squares_is_better']} of {maps['heads']} heads), uniform "
        f"{maps['mean_error']['uniform']:.4f}",
        f"hidden states: mean absolute difference {error['before']:.4f} right after conversion, {error['after']:.4f} "
        "after distillation",
    ]
    if record["probes"]:
        lines += ["", *_probe_table(record)]
    lines.append(
        f"\nforward pass of {time['steps']} steps: {1e3 * time['seconds']['before']['median']:.2f} ms before, "
        f"{1e3 * time['seconds']['after']['median']:.2f} ms after (ratio {time['ratio']['median']:.2f}, quartiles "
        f"{time['ratio']['low']:.2f} to {time['ratio']['high']:.2f})"
    )
    return "\n".join(lines)


def _probe_table(record: dict[str, Any]) -> list[str]:
    columns = ("task", *PROBED, "kept at once", "kept after")
    lines = ["  ".join(f"{column:>17}" for column in columns)]
    for place, task in enumerate(task["task"] for task in record["probes"]["teacher"]["tasks"]):
        accuracies = [f"{record['probes'][name]['tasks'][place]['accuracy']:.4f}" for name in PROBED]
        shares = [record["kept"][name][task] for name in ("converted", "distilled")]
        said = ["-" if share is None else f"{share:.2f}" for share in shares]
        lines.append("  ".join(f"{cell:>17}" for cell in (task, *accuracies, *said)))
    lines.append("kept: the share of what training gave (before - untrained); - where it gave nothing")
    return lines
