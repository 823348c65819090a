"""Run one job of a study: its result is returned as a record, and kept in the job's folder meanwhile."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from inattention import attention
from inattention.files import write_bytes, write_json
from inattention.model.transformer import AudioTransformer
from inattention.pretraining.config import snapshot_path
from inattention.pretraining.linear_baseline import measure_linear_baseline
from inattention.pretraining.manifest import MANIFEST, Run, RunManifest
from inattention.pretraining.run import OUTCOME, forget, pretrain
from inattention.study.planning.plan import MAPS, MODEL, Job
from inattention.study.records import RECORDS, PretrainingRecord, Record, TimingRecord

LENGTH_DRAWN = 128  # frames up to which maps are kept for drawing
CURVE = "curve.jsonl"


def run_job(job: Job, study: Path, model: str | None = None) -> Record:
    """Run a job, or return its result where its folder already has it: of a study that was killed meanwhile.

    Args:
        job: any but timing, which takes all rows together (`measure_times`).
        study: the study's folder.
        model: folder of the pre-trained model that it needs, relative to the study's.
    """
    folder = study / job.id.folder
    if job.id.kind == "pretrain":
        return _pretrain(job, folder)
    kept = folder / OUTCOME
    if not kept.is_file():
        outcome = _baseline(job) if job.id.kind == "baseline" else _probe(job, study / model if model else None)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(kept, outcome)
    line = {"outcome": json.loads(kept.read_text(encoding="utf-8"))}
    return RECORDS[job.id.kind].from_dict(line, Record.common(job))


def measure_times(jobs: list[Job], *, progress: bool) -> list[TimingRecord]:
    """Time rows side by side in one run, together with query-key attention.

    Args:
        jobs: the timing jobs of a study, which share their settings.
        progress: show a progress bar.
    """
    from inattention.timing.run import measure_rows

    rows = tuple(job.row.variant for job in jobs if job.row)
    timing, own_size = jobs[0].timing, jobs[0].own_size
    assert timing is not None
    report = measure_rows(replace(timing, rows=rows), progress=progress)
    own = measure_rows(replace(own_size, rows=rows), progress=progress).rows if own_size else ()
    return [
        TimingRecord(
            **Record.common(job),
            timed=tuple(it for it in report.rows if it.row == row),
            exponent=next((it for it in report.exponents if it.row == row), None),
            products=report.products,
            machine=report.machine,
            versions=report.versions,
            config=report.config,
            own=next((it for it in own if it.row == row), None),
        )
        for job, row in zip(jobs, rows, strict=True)
    ]


def keep_maps(run: Run, folder: Path) -> None:
    """Save the learned maps of an input-independent mechanism before and after training, to be drawn."""
    before = run.fresh_model().encoder
    learned = any(p.requires_grad for p in before.encoder.mechanisms.parameters())
    card = attention.card(run.model.attention)
    if learned and card.input_independent and card.linear_map:
        maps = {"before": _maps(before), "after": _maps(AudioTransformer.from_pretrained(folder))}
        write_bytes(folder / MAPS, save(maps))


def _pretrain(job: Job, folder: Path) -> PretrainingRecord:
    assert job.run is not None
    if (folder / OUTCOME).is_file() and not (folder / MODEL).is_file():
        # Its model was removed, and is needed now: it is trained again, to the same bits on the same machine.
        for name in (OUTCOME, CURVE, MANIFEST):
            (folder / name).unlink(missing_ok=True)
    outcome = pretrain(job.run, folder, progress=False)
    if any(not (folder / snapshot_path(step)).is_dir() for step in job.run.training.snapshots_at):
        # They were not asked for when it was trained, or were removed: it is trained again, likewise.
        forget(folder)
        outcome = pretrain(job.run, folder, progress=False)
    assert outcome is not None  # None in further processes of one run only
    keep_maps(job.run, folder)
    curve = folder / CURVE
    lines = curve.read_text(encoding="utf-8").splitlines() if curve.is_file() else []
    line = {
        "outcome": outcome.to_dict(),
        "curve": [json.loads(text) for text in lines],
        "maps": f"{job.id.folder}/{MAPS}" if (folder / MAPS).is_file() else None,
        "learning_rate": job.run.training.learning_rate,
        "precision": job.run.training.precision,
        "provenance": RunManifest.read(folder).provenance or {},
    }
    return PretrainingRecord.from_dict(line, Record.common(job))


def _baseline(job: Job) -> dict[str, Any]:
    assert job.run is not None
    return measure_linear_baseline(job.run).to_dict()


def _probe(job: Job, model: Path | None) -> dict[str, Any]:
    from inattention.encoders.mel import MelSource
    from inattention.encoders.ours import EncoderSource
    from inattention.probing.run import probe
    from inattention.probing.training import device_of

    assert job.probes is not None
    assert job.corpus is not None
    if job.features is not None:
        source = MelSource(job.features)
    else:
        assert model is not None
        source = EncoderSource(AudioTransformer.from_pretrained(model).to(device_of(job.probes)), job.id.row)
    return probe(source, job.corpus, job.probes, progress=False).to_dict()


def _maps(model: AudioTransformer) -> Tensor:
    """Return the weights of each head, (heads, time, time) or, with maps per layer, (layers, heads, time, time)."""
    time = min(model.config.max_length, LENGTH_DRAWN)
    hidden = torch.zeros(1, time, model.config.width)
    valid = torch.ones(1, time, dtype=torch.bool)
    with torch.no_grad():
        mechanisms = dict.fromkeys(mechanism for _, mechanism in model.encoder.depth())
        maps = [mechanism.weights(hidden, valid)[0].half() for mechanism in mechanisms]
    return maps[0] if len(maps) == 1 else torch.stack(maps)
