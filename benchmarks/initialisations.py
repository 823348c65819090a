"""Initialisations of input-independent attention, compared by held-out masked L1 after some hundred steps.

Maps derived from a trained query-key encoder are compared with hand-made maps as log-weights, the same maps as logits,
and random maps, with several seeds each. The encoder that maps are derived from is either an option, or pre-trained
first. The same command resumes a stopped benchmark.

    python benchmarks/initialisations.py --corpus corpora/espeak --teacher runs/laptop/qk-0
    python benchmarks/initialisations.py --corpus corpora/espeak --steps 100 --width 96 --seeds 0 1
"""

import json
import multiprocessing
import statistics
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from tqdm import tqdm

from inattention.attention.rows import parse_row
from inattention.comparison import Difference, loss_prior, seed_difference
from inattention.conversion.derive import derive_maps, write_maps
from inattention.corpora.core.corpus import Corpus, open_corpus
from inattention.files import write_json
from inattention.model.config import AudioTransformerConfig
from inattention.model.transformer import AudioTransformer
from inattention.pretraining.config import PretrainingConfig
from inattention.pretraining.manifest import Run
from inattention.pretraining.run import pretrain
from inattention.provenance import provenance
from inattention.text import aligned

Losses = Mapping[int, float]  # held-out loss by seed

DERIVED = "derived"
STARTS = {"log-weights": "patterned", "logits": "patterned@logits", "random": "synthesizer-random"}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Compare initialisations of input-independent attention.

    Attributes:
        corpus: folder of a prepared corpus.
        teacher: encoder that maps are derived from; by default, `teacher_row` is pre-trained first.
        teacher_row: row that is pre-trained to derive maps from.
        teacher_steps: number of steps of its pre-training.
        per_layer: each layer has its own maps; else all layers share them, and derived maps are averaged.
        steps: number of steps of pre-training from each initialisation.
        seeds: of each initialisation.
        width: width of the encoder without a teacher; its feed-forward part is four times as wide.
        max_length: number of frames of the longest input, without a teacher.
        batch_size: number of utterances per step.
        learning_rate: peak learning rate.
        clip: largest norm of the gradient.
        stored_features: read features stored by ``inattention corpus features``; the numbers are the same.
        jobs: number of runs at once, with one thread each.
        out: folder of runs and results.
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
    rows = {DERIVED: f"patterned@init={options.out / 'maps.safetensors'}", **STARTS}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=spawn, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        todo = {
            (name, seed): pool.submit(held_out, options, teacher.config, name, row, seed)
            for seed in options.seeds
            for name, row in rows.items()
        }
        done = tqdm(todo.items(), desc="initialisations", unit="run")
        losses = {(name, seed): future.result() for (name, seed), future in done}
    found = {name: {seed: losses[name, seed] for seed in options.seeds} for name in rows}
    print(derived["table"])
    print(f"\nheld-out masked L1 after {options.steps} steps, {len(options.seeds)} seeds, with 95 % intervals\n")
    print(aligned(table(found)))
    settings = json.loads(json.dumps(vars(options), default=str))
    by_name = {name: list(of_seeds.values()) for name, of_seeds in found.items()}
    result = {"options": settings, "held_out_l1": by_name, "derived": derived, "provenance": provenance()}
    write_json(options.out / "initialisations.json", result)
    print(f"\nwritten to {options.out / 'initialisations.json'}")


def maps_of_teacher(options: Options, corpus: Corpus) -> tuple[AudioTransformer, dict[str, Any]]:
    """Return the encoder that maps are derived from and the errors of the maps, which are derived once."""
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
        write_json(account, {**derived.record().to_dict(), "table": derived.table()})
    return teacher, json.loads(account.read_text(encoding="utf-8"))


def run_of(options: Options, corpus: Corpus, model: AudioTransformerConfig, row: str, seed: int, steps: int) -> Run:
    """Return the pre-training run of a row; everything else is the same for all."""
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
    """Return the held-out loss after pre-training from an initialisation; finished runs are not repeated."""
    run = run_of(options, open_corpus(options.corpus), model, row, seed, options.steps)
    outcome = pretrain(run, options.out / f"{name}-{seed}", progress=False)
    assert outcome is not None  # one process
    return outcome.held_out_l1


def table(found: Mapping[str, Losses]) -> list[list[str]]:
    """Return means and differences from the derived maps as a table."""
    prior = loss_prior(found.values())
    cells = [["start", "mean", "95 % interval", "above derived", "95 % interval", "seeds"]]
    for name, losses in found.items():
        mean = statistics.fmean(losses.values())
        above = None if name == DERIVED else seed_difference(losses, found[DERIVED], prior)
        cells.append(
            [
                name,
                f"{mean:.4f}",
                interval(seed_difference(losses, 0.0, prior)),
                f"{above.estimate:+.4f}" if above else "-",
                interval(above),
                " ".join(f"{loss:.4f}" for loss in losses.values()),
            ]
        )
    return cells


def interval(of: Difference | None) -> str:
    return f"[{of.low:.4f}, {of.high:.4f}]" if of else "-"


if __name__ == "__main__":
    main(tyro.cli(Options))
