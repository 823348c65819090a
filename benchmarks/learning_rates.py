"""Which learning rate suits a mechanism: held-out masked L1 on dev after a short run at each, the same for all.

    python benchmarks/learning_rates.py --corpus corpora/queen
    python benchmarks/learning_rates.py --corpus corpora/queen --rows qk --rates 1e-3 --preset laptop --steps 50

Model and training are the preset's, but for the steps. Runs are kept in the output folder; a stopped benchmark goes on
with the same command. The study's own probes play no part: dev decides.
"""

import math
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
import tyro

from inattention.corpora.core.corpus import open_corpus
from inattention.files import write_json
from inattention.pretraining.run import pretrain
from inattention.provenance import provenance
from inattention.study.planning.plan import Step, run_of
from inattention.study.planning.presets import preset
from inattention.study.planning.rows import read_rows
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
    """Compare learning rates at equal small budget.

    Attributes:
        corpus: the folder of a prepared corpus.
        rows: a representative of each family, and of each start.
        rates: to choose from.
        steps: of each run; the rate rises over the first tenth and falls to zero over the rest.
        seed: of all runs.
        preset: of the study that rates are chosen for.
        jobs: runs at once, a thread each.
        out: where runs and results go.
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
    rows = read_rows(options.rows)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=spawn, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        todo = {(row, rate): pool.submit(held_out, options, row, rate) for row, rate in product(rows, options.rates)}
        found = {}
        for (row, rate), future in todo.items():
            found[row, rate] = future.result()
            print(f"{row} at {rate:g}: {found[row, rate]['held_out_l1']:.4f}", flush=True)
    losses = {row: {f"{rate:g}": found[row, rate]["held_out_l1"] for rate in options.rates} for row in rows}
    chosen = {row: min(options.rates, key=lambda rate: _order(found[row, rate]["held_out_l1"])) for row in rows}
    cells = [["row", *(f"{rate:g}" for rate in options.rates), "chosen"]]
    cells += [[row, *(f"{loss:.4f}" for loss in losses[row].values()), f"{chosen[row]:g}"] for row in rows]
    mean = next(iter(found.values()))["mean_l1"]
    print(f"\nheld-out masked L1 after {options.steps} steps; predicting the mean {mean:.4f}\n{aligned(cells)}")
    result = {
        "options": {**vars(options), "corpus": open_corpus(options.corpus).info["name"], "out": None},
        "held_out_l1": losses,
        "mean_l1": mean,
        "chosen": chosen,
        "seconds": {f"{row} {rate:g}": it["cpu_seconds"] for (row, rate), it in found.items()},
        "provenance": provenance(),
    }
    write_json(options.out / "learning_rates.json", result)


def held_out(options: Options, row: str, rate: float) -> dict[str, Any]:
    """Pre-train a row at a rate; a run that is done is not done again."""
    config = preset(options.preset)
    training = replace(config.training, steps=options.steps, validate_every=options.steps)
    config = replace(config, training=training)
    named = f"{row}@training.learning_rate={rate:g}"
    run = run_of(named, options.seed, config, open_corpus(options.corpus))
    return pretrain(run, options.out / Step("pretrain", named, options.seed, "").run_name, progress=False)


def _order(loss: float) -> float:
    return math.inf if math.isnan(loss) else loss


if __name__ == "__main__":
    main(tyro.cli(Options))
