"""A study's folder with results that look real and are made up, from a seed."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from scipy.special import ndtr, ndtri

from inattention.attention.mechanisms.patterned import hand_made_map, patterns_for
from inattention.comparison import UtteranceCounts
from inattention.probing.config import TASKS, Task
from inattention.probing.results import ProbeReport, TaskResult
from inattention.study.header import CorpusInfo, Provenance, StudyHeader
from inattention.study.planning.config import StudyConfig
from inattention.study.planning.fingerprint import fingerprint
from inattention.study.planning.plan import JobId, Kind, kind_named
from inattention.study.planning.presets import preset
from inattention.study.planning.rows import StudyRow, recorded_row
from inattention.study.records import (
    BaselineRecord,
    CurvePoint,
    CurveRecord,
    Failure,
    PretrainingRecord,
    ProbeRecord,
    Record,
    TimingRecord,
)
from inattention.study.reporting.paper_results import PAPER
from inattention.timing.exponents import MixingExponent
from inattention.timing.report import Product, TimedRow

ROWS = (
    "mel", "mel-no-cmvn", "qk", "qk@identity", "shared-qk", "sparse-strided", "sparse-fixed", "sign-alsh", "xbox",
    "xbox-qnf", "simple-lsh", "simple-alsh", "synthesizer-random", "patterned", "patterned@logits", "uniform", "none",
    "patterned@untrained",
)  # fmt: skip
# Where made-up results lie: masked L1, and how well the features do between chance (0) and the best (1).
QUALITY = {
    "mel": (None, 0.45), "mel-no-cmvn": (None, 0.5), "qk": (0.60, 0.55), "qk@identity": (0.46, 0.75),
    "shared-qk": (0.795, 0.0), "synthesizer-random": (0.52, 0.6), "patterned": (0.43, 0.8),
    "patterned@logits": (0.50, 0.68), "uniform": (0.66, 0.4), "none": (0.65, 0.5), "patterned@untrained": (0.83, 0.38),
}  # fmt: skip
BEST = {"speaker-utterance": 0.98, "speaker-frame": 0.55, "phone-1-hidden": 0.72, "phone-2-hidden": 0.75}
CLASSES = {"speaker-utterance": 16, "speaker-frame": 16, "phone-1-hidden": 41, "phone-2-hidden": 41}
CHANCE = {"speaker-utterance": 0.0625, "speaker-frame": 0.07, "phone-1-hidden": 0.12, "phone-2-hidden": 0.12}
TEST_UTTERANCES = 60


# Standard deviation between test utterances, which are as hard for every row and seed, in probits.
COMMON_TO_ROWS, OWN = 0.7, 0.25


def fake_study(
    folder: Path,
    *,
    rows: Sequence[str] = ROWS,
    seeds: Sequence[int] = (0,),
    leave_out: Callable[[dict[str, Any]], bool] = lambda line: False,
    failures: Sequence[dict[str, str]] = (),
    lengths: Sequence[int] = (500, 1000),
    repeated: Sequence[str] = (),
    curve_rows: Sequence[str] = (),
    corpus: dict[str, Any] | None = None,
    change_head: Callable[[dict[str, Any]], None] = lambda line: None,
) -> Path:
    """Write a made-up study.

    Args:
        folder: where.
        rows: its rows.
        seeds: its seeds.
        leave_out: which lines are not written, as if their jobs had not been run; it may also change them.
        failures: jobs that have failed: ``step`` is a title such as ``probe qk-0``.
        lengths: at which times are made up.
        repeated: rows that have all seeds, the others the first alone; all rows if empty.
        curve_rows: rows that are probed during training, too.
        corpus: what the corpus says of itself, where it differs.
        change_head: changes the header's line.
    """
    config = replace(preset("smoke"), rows=tuple(rows), seeds=tuple(seeds), repeated=tuple(repeated))
    config = replace(config, curve_rows=tuple(curve_rows), curve_steps=(10, 30) if curve_rows else ())
    records = _records(folder, [recorded_row(name) for name in rows], config, lengths)
    failed = [_failure(it["step"], it["error"], records) for it in failures]
    header = StudyHeader(
        preset="smoke",
        rows=tuple(recorded_row(name) for name in rows),
        seeds=tuple(seeds),
        config=config,
        corpus=CorpusInfo.from_dict(_corpus() | (corpus or {})),
        provenance=Provenance(
            packages={"inattention": "0.1.0", "torch": "2.13.0", "lightning": "2.6.6", "scipy": None},
            python="3.11.2", platform="Linux, made up", machine="x86_64", commit="0" * 40, modified=True,
        ),
        jobs=tuple(dict.fromkeys([*(it.job for it in records), *(it.job for it in failed)])),
    )  # fmt: skip
    head = header.to_dict()
    folder.mkdir(parents=True, exist_ok=True)
    change_head(head)
    lines = [json.loads(json.dumps(it.to_dict())) for it in [*records, *failed]]
    kept = [head, *(line for line in lines if line["kind"] == "failure" or not leave_out(line))]
    (folder / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
    return folder


def _records(folder: Path, rows: Sequence[StudyRow], config: StudyConfig, lengths: Sequence[int]) -> list[Record]:
    records: list[Record] = []
    for seed in config.seeds:
        print_ = _job("baseline", "", seed).fingerprint
        records.append(BaselineRecord(seed=seed, fingerprint=print_, neighbour_l1=0.531))
        for row in (it for it in rows if not config.repeated or it.name in config.repeated or seed == config.seeds[0]):
            rng = np.random.default_rng([seed, sum(map(ord, row.name))])
            if not row.is_features:
                records.append(_pretraining(folder, row, seed, rng))
            records.append(_probes(row, seed, rng))
            steps = config.curve_steps if row.name in config.curve_rows else ()
            records += [_curve(row, seed, step, rng) for step in steps]
    timed = [row for row in rows if row.is_timed and not row.untrained]
    return records + [_timing(row, lengths, np.random.default_rng(sum(map(ord, row.name)))) for row in timed]


def _job(kind: Kind, row: str, seed: int | None, step: int | None = None) -> JobId:
    meaning = {"row": row, "seed": seed} | ({} if step is None else {"step": step})
    return JobId(kind, row, seed, fingerprint(kind, meaning), step)


def _failure(title: str, error: str, records: Sequence[Record]) -> Failure:
    known = {record.job.title: record.job for record in records}
    kind, _, row = title.partition(" ")
    return Failure(known.get(title) or _job(kind_named(kind), row, None), error)


def _corpus() -> dict[str, Any]:
    return {
        "name": "made-up",
        "caveat": "MADE UP: these numbers come from a random generator, for a test of the report, and mean nothing.",
        "splits": {
            "train": {"cuts": 180, "hours": 0.2, "speakers": 16},
            "dev": {"cuts": 20, "hours": 0.025, "speakers": 16},
            "test": {"cuts": 60, "hours": 0.025, "speakers": 16},
        },
        "phones": [f"p{i}" for i in range(41)],
        "speakers": [f"voice-{i}" for i in range(16)],
        "bad_items": {"count": 1, "items": [["voice-3-0007", "is silent"]]},
        "config": {"hours": 0.25, "voices": 16},
    }


def _quality(row: str) -> tuple[float | None, float]:
    if row in QUALITY:
        return QUALITY[row]
    spread = np.random.default_rng(sum(map(ord, row))).uniform(0, 1)
    return 0.55 + 0.1 * spread, 0.6 - 0.2 * spread


def _pretraining(folder: Path, row: StudyRow, seed: int, rng: np.random.Generator) -> PretrainingRecord:
    end, _ = _quality(row.name)
    assert end is not None
    steps = 0 if row.untrained else preset("smoke").training.steps
    pace = _ratio(row.name) * 0.11
    end = end + float(rng.normal(0, 0.008))
    curve = []
    for step in range(15, steps + 1, 15):
        loss = end + (0.84 - end) * float(np.exp(-step / (30 + 40 * end))) + float(rng.normal(0, 0.003))
        curve.append(CurvePoint(step, loss, pace * step, pace * step * 0.98))
    learned = row.mechanism in ("synthesizer-random", "patterned")
    job = _job("pretrain", row.name, seed)
    if learned and steps:
        (folder / job.folder).mkdir(parents=True, exist_ok=True)
        save_file(_maps(row.name, seed), folder / job.folder / "maps.safetensors")
    return PretrainingRecord(
        row=row,
        seed=seed,
        fingerprint=job.fingerprint,
        folder=job.folder,
        steps=steps,
        parameters=1_234_567,
        attention_parameters=196_608 if learned else 0 if row.name in ("none", "uniform") else 18_624,
        held_out_l1=curve[-1].held_out_l1 if curve else end,
        mean_l1=0.8,
        held_out_cells=100_000,
        seconds=pace * steps,
        cpu_seconds=pace * steps,
        skipped={"voice-3-0007": "is silent"},
        curve=tuple(curve),
        maps=Path(job.folder) / "maps.safetensors" if learned and steps else None,
    )


def _maps(row: str, seed: int, heads: int = 12, length: int = 128) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(heads, length, length, generator=generator)
    for head, pattern in enumerate(patterns_for(heads)):
        if row.startswith("patterned") and pattern != "random":
            made = hand_made_map(pattern, length)
            logits[head] = made if "logits" in row else (made + 1e-3 / length).log()
    offsets = torch.arange(length)[None] - torch.arange(length)[:, None]
    learned = torch.stack([torch.exp(-((offsets - head % 5 + 2) ** 2) / (1 + head)) for head in range(heads)])
    after = logits + 2 * learned + 0.3 * torch.randn(heads, length, length, generator=generator)
    return {"before": logits.softmax(-1).half(), "after": after.softmax(-1).half()}


def _counts(task: Task, accuracy: float, rng: np.random.Generator) -> UtteranceCounts:
    """Make up counts with that accuracy, up to chance; utterances are as hard for all rows, and a little for each."""
    of_each = 1 if task == "speaker-utterance" else 80
    common = np.random.default_rng(sum(map(ord, task))).normal(0, COMMON_TO_ROWS, TEST_UTTERANCES)
    hardness = common + rng.normal(0, OWN, TEST_UTTERANCES)
    middle = ndtri(np.clip(accuracy, 1e-3, 1 - 1e-3)) * np.sqrt(1 + COMMON_TO_ROWS**2 + OWN**2)
    return UtteranceCounts(
        utterances=tuple(f"voice-{number:04}" for number in range(TEST_UTTERANCES)),
        correct=tuple(rng.binomial(of_each, ndtr(middle + hardness)).tolist()),
        items=(of_each,) * TEST_UTTERANCES,
    )


def _probes(row: StudyRow, seed: int, rng: np.random.Generator) -> ProbeRecord:
    job = _job("probe", row.name, seed)
    report = _report(row, rng, _quality(row.name)[1])
    return ProbeRecord(row=row, seed=seed, fingerprint=job.fingerprint, folder=job.folder, report=report)


def _curve(row: StudyRow, seed: int, step: int, rng: np.random.Generator) -> CurveRecord:
    job = _job("curve", row.name, seed, step)
    report = _report(row, rng, _quality(row.name)[1] * step / 100)
    return CurveRecord(row=row, seed=seed, step=step, fingerprint=job.fingerprint, folder=job.folder, report=report)


def _report(row: StudyRow, rng: np.random.Generator, quality: float) -> ProbeReport:
    tasks = []
    for task in TASKS:
        chance = CHANCE[task]
        accuracy = chance + (BEST[task] - chance) * quality
        if row.name == "mel" and task.startswith("speaker"):
            accuracy = chance
        counts = _counts(task, accuracy + float(rng.normal(0, 0.01)), rng)
        items = sum(counts.items)
        accuracy = sum(counts.correct) / items
        shares = np.array(counts.correct) / np.array(counts.items)
        half = 1.96 * float(shares.std()) / np.sqrt(TEST_UTTERANCES)
        tasks.append(
            TaskResult(
                task=task, accuracy=accuracy, low=max(accuracy - half, 0.0), high=min(accuracy + half, 1.0),
                chance=chance, dev_accuracy=accuracy, best_epoch=9, epochs=12, classes=CLASSES[task],
                items={"train": 9 * items, "dev": items, "test": items},
                utterances={"train": 180, "dev": 20, "test": TEST_UTTERANCES},
                unlabelled={"train": 0, "dev": 0, "test": 0}, skipped={"train": (), "dev": (), "test": ()},
                layer_weights=None, counts=counts,
            )
        )  # fmt: skip
    return ProbeReport(
        source=row.name, step_seconds=0.0375, width=96, layer="last", utterances={"train": 180, "dev": 20, "test": 60},
        steps={"train": 16_000, "dev": 1_700, "test": 4_800}, skipped={"train": (), "dev": (), "test": ()},
        unlabelled={"train": 0, "dev": 0, "test": 0}, tasks=tuple(tasks),
    )  # fmt: skip


def put_accuracy(
    line: dict[str, Any], accuracy: Callable[[str], float], *, utterances: int = 200, spread: float = 0.0
) -> None:
    """Put the probes of a results line at accuracies of our choice.

    Args:
        line: of any kind; only probes change.
        accuracy: by task.
        utterances: number of test utterances. The first of them are right, as many as the accuracy says.
        spread: standard deviation of the accuracy between utterances, drawn for each row on its own.
    """
    for task in line["outcome"]["tasks"] if line["kind"] == "probe" else ():
        items = 1 if task["task"] == "speaker-utterance" else 100
        middle = accuracy(task["task"])
        rng = np.random.default_rng([sum(map(ord, line["row"] + task["task"])), line["seed"]])
        by_utterance = np.clip(middle + spread * rng.normal(size=utterances), 0, 1)
        if items == 1:
            by_utterance = (rng.random(utterances) if spread else np.arange(utterances) / utterances) < by_utterance
        correct = [round(float(it) * items) for it in by_utterance]
        task["counts"] = {
            "utterances": [f"utterance-{number:04}" for number in range(utterances)],
            "correct": correct,
            "items": [items] * utterances,
            "classes": None,
        }
        task |= {"accuracy": middle, "low": middle - 0.05, "high": middle + 0.05}


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Change each line of a study's results."""
    path = folder / "results.jsonl"
    lines = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        change(line)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder


def _ratio(row: str) -> float:
    paper = PAPER.get(row)
    usual = {"none": 0.68, "uniform": 0.7, "patterned": 0.79, "qk@identity": 1.0, "patterned@untrained": 0.79}
    return (paper.ratio if paper else None) or usual.get(row, 0.9)


def _timing(row: StudyRow, lengths: Sequence[int], rng: np.random.Generator) -> TimingRecord:
    timed, products = [], []
    for length in lengths:
        for mode in ("forward", "train"):
            base = (0.31 if mode == "forward" else 0.98) * (length / 500) ** 1.2
            reference = base * np.random.default_rng(length).normal(1, 0.02, 5)
            rounds = reference * (1.0 if row.name == "qk" else _ratio(row.name) * rng.normal(1, 0.01, 5))
            seconds, ratio = float(np.median(rounds)), float(np.median(rounds / reference))
            timed.append(
                TimedRow(
                    row=row.name, length=length, batch=1, mode=mode, seconds=seconds, seconds_low=seconds * 0.98,
                    seconds_high=seconds * 1.03, ratio=ratio, ratio_low=ratio * 0.985, ratio_high=ratio * 1.02,
                    flops=int(4.3e10 * ratio * length / 500), peak_bytes=int(2.4e7 * (1 + ratio) * length / 500),
                    weight_bytes=31_000_000, round_seconds=tuple(rounds.tolist()),
                )
            )  # fmt: skip
            products.append(Product(length, 1, mode, (length, 768, 3072), 142.0))
    exponent = MixingExponent(
        row=row.name, lengths=(1000, 2000, 4000), seconds=(0.01, 0.03, 0.09), exponent=float(rng.uniform(1, 2)),
        exponent_low=1.0, exponent_high=2.05, theory=None if row.name == "none" else 2.0, cost="O(T² d H)",
        projections=2,
    )  # fmt: skip
    job = _job("time", row.name, None)
    return TimingRecord(
        row=row,
        fingerprint=job.fingerprint,
        folder=job.folder,
        timed=tuple(timed),
        exponent=exponent,
        products=tuple(products),
        machine={"cpu": "made-up CPU", "cores": 2, "threads": 2, "instructions": "AVX2", "system": "Linux"},
        versions={"python": "3.11.2", "torch": "2.13.0", "inattention": "0.1.0"},
        config=replace(preset("smoke").timing, lengths=tuple(lengths)),
    )
