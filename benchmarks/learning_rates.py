"""Learning rate of each mechanism: held-out masked L1 on dev after a short run at each rate.

    python benchmarks/learning_rates.py --corpus corpora/queen
    python benchmarks/learning_rates.py --corpus corpora/queen --rows qk --rates 1e-3 --preset laptop --steps 50

Model and training are the preset's, except for the steps. Runs are saved in the output folder; the same command resumes
a stopped benchmark. Rates are chosen on dev; the study's probes are not used.
"""

import math
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import torch
import tyro

from inattention.corpora.core.corpus import open_corpus
from inattention.files import write_json
from inattention.pretraining.manifest import Run
from inattention.pretraining.run import PretrainingOutcome, pretrain
from inattention.provenance import provenance
from inattention.study.planning.presets import preset
from inattention.study.planning.rows import model_of, parse_rates, parse_rows, parse_study_row, training_of
from inattention.text import aligned

REPRESENTATIVES = (
    "patterned",
    "toeplitz",
    "synthesizer-random",
    "qk",
    "qk@identity",
    "shared-qk",
    "shared-qk@identity",
    "sparse-strided",
    "xbox",
    "none",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Compare learning rates at an equal, small budget.

    Attributes:
        corpus: folder of a prepared corpus.
        rows: one row per family and per initialisation.
        rates: learning rates to choose from.
        steps: optimizer steps of each run; the rate rises over the first tenth and falls to zero over the rest.
        seed: seed of all runs.
        preset: preset of the study that rates are chosen for.
        jobs: runs at once, with one thread each.
        out: folder of runs and results.
    """

    corpus: Path
    rows: tuple[str, ...] = REPRESENTATIVES
    rates: tuple[float, ...] = (5e-4, 1e-3, 2e-3)
    steps: int = 200
    seed: int = 0
    preset: str = "laptop"
    jobs: int = 2
    out: Path = Path("runs/benchmarks/learning_rates")


def main(options: Options) -> None:
    rows = [row.name for row in parse_rows(options.rows)]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=spawn, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        futures = {
            (row, rate): pool.submit(outcome_of, options, row, rate) for row, rate in product(rows, options.rates)
        }
        outcomes: dict[tuple[str, float], PretrainingOutcome] = {}
        for (row, rate), future in futures.items():
            outcomes[row, rate] = future.result()
            print(f"{row} at {rate:g}: {outcomes[row, rate].held_out_l1:.4f}", flush=True)
    losses = {row: {f"{rate:g}": outcomes[row, rate].held_out_l1 for rate in options.rates} for row in rows}
    chosen = {row: min(options.rates, key=lambda rate: _order(outcomes[row, rate].held_out_l1)) for row in rows}
    cells = [["row", *(f"{rate:g}" for rate in options.rates), "chosen"]]
    cells += [[row, *(f"{loss:.4f}" for loss in losses[row].values()), f"{chosen[row]:g}"] for row in rows]
    mean = next(iter(outcomes.values())).mean_l1
    print(f"\nheld-out masked L1 after {options.steps} steps; predicting the mean {mean:.4f}\n{aligned(cells)}")
    result = {
        "options": {**vars(options), "corpus": open_corpus(options.corpus).info["name"], "out": None},
        "held_out_l1": losses,
        "mean_l1": mean,
        "chosen": chosen,
        "seconds": {f"{row} {rate:g}": it.cpu_seconds for (row, rate), it in outcomes.items()},
        "provenance": provenance(),
    }
    write_json(options.out / "learning_rates.json", result)


def outcome_of(options: Options, row: str, rate: float) -> PretrainingOutcome:
    """Pre-train a row at a learning rate; a finished run is not repeated."""
    config = preset(options.preset)
    training = replace(config.training, steps=options.steps, validate_every=options.steps)
    config = replace(config, training=training)
    named = parse_study_row(f"{row}@training.learning_rate={rate:g}")
    training = training_of(named, config, parse_rates(config.learning_rates))
    run = Run(model_of(named, config), training, open_corpus(options.corpus), options.seed)
    outcome = pretrain(run, options.out / f"{named.file_name}-{options.seed}", progress=False)
    assert outcome is not None  # None in further processes of one run only
    return outcome


def _order(loss: float) -> float:
    """Return the loss, infinite for a diverged run."""
    return math.inf if math.isnan(loss) else loss


if __name__ == "__main__":
    main(tyro.cli(Options))
