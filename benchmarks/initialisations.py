"""What the start of input-independent attention is worth: held-out masked L1 after some hundred steps.

Maps derived from a trained query-key encoder are held against the hand-made maps as log-weights, the same as logits,
and random maps, with several seeds each. The encoder that maps are derived from is either given, or pre-trained here
first. Runs are kept, and a stopped benchmark goes on with the same command.

    python benchmarks/initialisations.py --corpus corpora/espeak --teacher runs/laptop/qk-0
    python benchmarks/initialisations.py --corpus corpora/espeak --steps 100 --width 96 --seeds 0 1
"""

import json
import math
import multiprocessing
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from scipy.stats import t as student_t
from tqdm import tqdm

from inattention.attention.rows import parse_row
from inattention.conversion.derive import derive_maps, write_maps
from inattention.corpora.core.corpus import Corpus, open_corpus
from inattention.files import write_json
from inattention.model.config import AudioTransformerConfig
from inattention.model.transformer import AudioTransformer
from inattention.pretraining.config import PretrainingConfig
from inattention.pretraining.manifest import Run
from inattention.pretraining.run import pretrain
from inattention.provenance import provenance
from inattention.timing.report import aligned

STARTS = {"log-weights": "patterned", "logits": "patterned@logits", "random": "synthesizer-random"}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Compare ways to start input-independent attention.

    Attributes:
        corpus: the folder of a prepared corpus.
        teacher: an encoder that maps are derived from; if left out, `teacher_row` is pre-trained first.
        teacher_row: what is pre-trained to derive maps from.
        teacher_steps: of its pre-training.
        per_layer: each layer has maps of its own; else all layers share them, and derived maps are averaged.
        steps: of pre-training from each start.
        seeds: of each start.
        width: of the encoder, if no teacher is given; its feed-forward part is four times as wide.
        max_length: steps of the longest input, if no teacher is given.
        batch_size: utterances a step.
        learning_rate: at its highest.
        clip: largest norm of the gradient.
        stored_features: read what ``inattention corpus features`` has stored; the numbers are the same.
        jobs: runs at once, a thread each.
        out: where runs and the results go.
    """

    corpus: Path
    teacher: Path | None = None
    teacher_row: str = "qk@identity"
    teacher_steps: int = 2000
    per_layer: bool = False
    steps: int = 500
    seeds: tuple[int, ...] = (0, 1, 2)
    width: int = 192
    max_length: int = 160
    batch_size: int = 24
    learning_rate: float = 1e-3
    clip: float = 1.0
    stored_features: bool = False
    jobs: int = 2
    out: Path = Path("runs/benchmarks/initialisations")


def main(options: Options) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    corpus = open_corpus(options.corpus)
    teacher, derived = maps_of_teacher(options, corpus)
    rows = {"derived": f"patterned@init={options.out / 'maps.safetensors'}", **STARTS}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=spawn, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        todo = {
            (name, seed): pool.submit(held_out, options, teacher.config, name, row, seed)
            for seed in options.seeds
            for name, row in rows.items()
        }
        done = tqdm(todo.items(), desc="initialisations", unit="run")
        losses = {(name, seed): future.result() for (name, seed), future in done}
    found = {name: [losses[name, seed] for seed in options.seeds] for name in rows}
    print(derived["table"])
    print(f"\nheld-out masked L1 after {options.steps} steps, {len(options.seeds)} seeds, 95 % t-interval\n")
    print(aligned(table(found)))
    settings = json.loads(json.dumps(vars(options), default=str))
    result = {"options": settings, "held_out_l1": found, "derived": derived, "provenance": provenance()}
    write_json(options.out / "initialisations.json", result)
    print(f"\nwritten to {options.out / 'initialisations.json'}")


def maps_of_teacher(options: Options, corpus: Corpus) -> tuple[AudioTransformer, dict[str, Any]]:
    """Give the encoder that maps are derived from, and what the maps cost; they are derived once."""
    folder = options.teacher or options.out / "teacher"
    if options.teacher is None:
        model = AudioTransformerConfig(
            width=options.width, feed_forward=4 * options.width, max_length=options.max_length
        )
        pretrain(run_of(options, corpus, model, options.teacher_row, 0, options.teacher_steps), folder)
    teacher = AudioTransformer.from_pretrained(folder)
    account = options.out / "maps.json"
    if not account.exists():
        derived = derive_maps(teacher, corpus, progress=True)
        write_maps(derived, options.out / "maps.safetensors")
        write_json(account, {**derived.account(), "table": derived.table()})
    return teacher, json.loads(account.read_text(encoding="utf-8"))


def run_of(options: Options, corpus: Corpus, model: AudioTransformerConfig, row: str, seed: int, steps: int) -> Run:
    """Make a pre-training run of a row; all else is the same for all."""
    parsed = parse_row(row)
    training = PretrainingConfig(
        steps=steps,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        clip=options.clip,
        validate_every=max(1, steps // 5),
        stored_features=options.stored_features,
    )
    maps = "per-layer" if options.per_layer else "shared"
    model = replace(model, attention=parsed.mechanism, attention_options=dict(parsed.options), maps=maps)
    return Run(model, training, corpus, seed)


def held_out(options: Options, model: AudioTransformerConfig, name: str, row: str, seed: int) -> float:
    """Pre-train from a start, and give the held-out loss; a run that is done is not done again."""
    run = run_of(options, open_corpus(options.corpus), model, row, seed, options.steps)
    outcome = pretrain(run, options.out / f"{name}-{seed}", progress=False)
    assert outcome is not None  # one process
    return outcome.held_out_l1


def table(found: dict[str, list[float]]) -> list[list[str]]:
    """Lay means and intervals out."""
    cells = [["start", "mean", "95 % interval", "seeds"]]
    for name, losses in found.items():
        low, high = interval(losses)
        spread = "-" if math.isnan(low) else f"[{low:.4f}, {high:.4f}]"
        cells.append([name, f"{statistics.fmean(losses):.4f}", spread, " ".join(f"{loss:.4f}" for loss in losses)])
    return cells


def interval(losses: Sequence[float]) -> tuple[float, float]:
    """Give the seeds' t-interval, or NaN for one seed."""
    if len(losses) < 2:
        return math.nan, math.nan
    half = student_t.ppf(0.975, len(losses) - 1) * statistics.stdev(losses) / math.sqrt(len(losses))
    return statistics.fmean(losses) - half, statistics.fmean(losses) + half


if __name__ == "__main__":
    main(tyro.cli(Options))
