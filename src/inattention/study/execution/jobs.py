"""Doing one step of a study: each leaves its outcome in its folder, whole or not at all."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from inattention import attention
from inattention.corpora.core.corpus import Corpus
from inattention.files import write_bytes, write_json
from inattention.model.transformer import AudioTransformer
from inattention.pretraining.linear_baseline import measure_linear_baseline
from inattention.pretraining.manifest import Run
from inattention.pretraining.run import pretrain
from inattention.study.planning.config import MEL_ROWS, StudyConfig
from inattention.study.planning.plan import OUTCOME, Step, own_size, run_of

MAPS = "maps.safetensors"
STEPS_DRAWN = 128  # maps are kept for drawing up to this length


def perform(step: Step, config: StudyConfig, corpus: Corpus, study: Path) -> None:
    """Do a step.

    Args:
        step: any but timing, which takes all rows together (`measure_times`).
        config: the study's settings.
        corpus: the study's corpus.
        study: the study's folder.
    """
    folder = study / step.folder
    if step.kind == "pretrain":
        assert step.seed is not None
        run = run_of(step.row, step.seed, config, corpus)
        pretrain(run, folder, progress=False)
        keep_maps(run, folder)
    elif step.kind == "floor":
        assert step.seed is not None
        plain = replace(config.training, steps=0)
        _keep(folder, measure_linear_baseline(Run(config.model, plain, corpus, step.seed)).to_dict())
    elif step.kind == "probe":
        _keep(folder, _probe(step, config, corpus, study))


def measure_times(steps: list[Step], config: StudyConfig, study: Path, *, progress: bool) -> None:
    """Time rows side by side in one run, beside the baseline; each row's outcome is kept as its own."""
    from inattention.timing.run import measure_rows

    rows = tuple(step.row for step in steps)
    report = measure_rows(replace(config.timing, rows=rows), progress=progress)
    own = measure_rows(replace(own_size(config), rows=rows), progress=progress).rows if config.time_own_size else ()
    shared = {
        "machine": report.machine,
        "versions": report.versions,
        "products": [asdict(product) for product in report.products],
        "config": asdict(report.config),
    }
    for step in steps:
        exponent = next((asdict(it) for it in report.exponents if it.row == step.row), None)
        timed = [asdict(row) for row in report.rows if row.row == step.row]
        own_time = next((asdict(row) for row in own if row.row == step.row), None)
        _keep(study / step.folder, {"timed": timed, "own": own_time, "exponent": exponent, **shared})


def keep_maps(run: Run, folder: Path) -> None:
    """Keep the learned maps of an input-independent mechanism before and after training, to be drawn."""
    before = run.fresh_model().encoder
    learned = any(p.requires_grad for p in before.encoder.mechanisms.parameters())
    card = attention.card(run.model.attention)
    if learned and card.input_independent and card.linear_map:
        maps = {"before": _maps(before), "after": _maps(AudioTransformer.from_pretrained(folder))}
        write_bytes(folder / MAPS, save(maps))


def _maps(model: AudioTransformer) -> Tensor:
    """The weights of each head, (heads, time, time) or, with maps a layer, (layers, heads, time, time)."""
    time = min(model.config.max_length, STEPS_DRAWN)
    hidden = torch.zeros(1, time, model.config.width)
    valid = torch.ones(1, time, dtype=torch.bool)
    with torch.no_grad():
        mechanisms = dict.fromkeys(mechanism for _, mechanism in model.encoder.depth())
        maps = [mechanism.weights(hidden, valid)[0].half() for mechanism in mechanisms]
    return maps[0] if len(maps) == 1 else torch.stack(maps)


def _probe(step: Step, config: StudyConfig, corpus: Corpus, study: Path) -> dict[str, Any]:
    from inattention.encoders.mel import MelSource
    from inattention.encoders.ours import EncoderSource
    from inattention.probing.run import probe
    from inattention.probing.training import device_of

    assert step.seed is not None
    settings = replace(config.probes, seed=step.seed)
    if step.row in MEL_ROWS:
        features = replace(config.model.features, normalise=step.row == "mel")
        return probe(MelSource(features), corpus, settings, progress=False).to_dict()
    assert step.needs is not None
    model = AudioTransformer.from_pretrained(study / step.needs).to(device_of(settings))
    return probe(EncoderSource(model, step.row), corpus, settings, progress=False).to_dict()


def _keep(folder: Path, outcome: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / OUTCOME, outcome)
