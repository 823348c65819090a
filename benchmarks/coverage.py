"""Coverage of the 95 % intervals of `inattention.comparison`, in simulated studies whose true differences are known."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from inattention.comparison import PairedBootstrap, time_ratio
from inattention.comparison.simulation import TASK, Simulation

FRAMES = Simulation(accuracies=(0.5, 0.52, 0.5, 0.48, 0.5, 0.5), seed_deviation=0.025, difficulty=0.2, items=40)
UNSTABLE = 0.1
# Pairs of rows by their numbers of seeds, for `Simulation.seeds`.
PAIRS = {"3 and 3": (0, 1), "2 and 2": (2, 3), "1 and 1": (4, 5), "3 and 1": (0, 4)}
SETTINGS = {
    "frames": FRAMES,
    "speakers": replace(FRAMES, speakers=6, difficulty=0.15, seed_deviation=0.035),
    "400 utterances": replace(FRAMES, utterances=400),
    "40 speakers, 400 utterances": replace(FRAMES, speakers=40, utterances=400, items=1, difficulty=0.15),
    "no variance between seeds": replace(FRAMES, seed_deviation=0.0),
    "large variance between seeds": replace(FRAMES, seed_deviation=0.06, difficulty=0.1),
    "seeds of rows correlated (0.5)": replace(FRAMES, correlation=0.5),
    "second row 5 times as unstable": replace(FRAMES, seed_deviation=(0.02, UNSTABLE, 0.02, 0.02, 0.02, 0.02)),
    "last row 5 times as unstable": replace(FRAMES, seed_deviation=(0.02, 0.02, 0.02, 0.02, 0.02, UNSTABLE)),
    "deviations 0.01 to 0.06": replace(FRAMES, seed_deviation=(0.01, 0.02, 0.06, 0.02, 0.04, 0.01)),
}
# Rows with two seeds, whose variance the last two rows borrow: they have one.
SETTINGS |= {
    f"pool of {name}": replace(
        FRAMES, seeds=(2,) * rows + (1, 1), accuracies=(0.5,) * (rows + 2), seed_deviation=0.02, scatter=0.5
    )
    for rows, name in {1: "one row", 2: "two rows", 5: "five rows"}.items()
}


def pairs_of(simulation: Simulation) -> dict[str, tuple[int, int]]:
    """Return the pairs of rows to compare."""
    return PAIRS if len(simulation.names) == len(FRAMES.names) else {"1 and 1": (-2, -1)}


def coverage(
    simulation: Simulation, studies: int, *, draws: int = 200, seed: int = 20
) -> dict[str, tuple[float, float]]:
    """Return, for each pair of rows, the share of intervals that cover the truth and their mean half-width."""
    rng = np.random.default_rng(seed)
    pairs = pairs_of(simulation)
    found: dict[str, list[tuple[bool, float]]] = {pair: [] for pair in pairs}
    for _ in range(studies):
        compare = PairedBootstrap(simulation.study(rng), draws=draws)
        for pair, (one, other) in pairs.items():
            it = compare.difference([simulation.names[one]], [simulation.names[other]], [TASK])
            if it is not None:
                truth = simulation.accuracies[one] - simulation.accuracies[other]
                found[pair].append((it.low <= truth <= it.high, (it.high - it.low) / 2))
    shares = {pair: np.mean(its, axis=0) for pair, its in found.items()}
    return {pair: (float(share), float(half)) for pair, (share, half) in shares.items()}


def timing_coverage(rounds: int, studies: int, *, slowed: float, seed: int = 20) -> float:
    """Return the share of intervals that cover a ratio of 1, where a share of measurements is slowed."""
    rng = np.random.default_rng(seed)
    covered = 0
    for _ in range(studies):
        seconds = rng.lognormal(0, 0.03, (2, rounds))
        seconds *= np.where(rng.random((2, rounds)) < slowed, 1 + rng.exponential(0.3, (2, rounds)), 1)
        found = time_ratio(*seconds.tolist())
        covered += found.low <= 1 <= found.high
    return covered / studies


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=2000, help="simulated studies for each setting")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS), help="which to simulate")
    parser.add_argument("--json", action="store_true", help="print shares by setting and pair as JSON; no timing")
    asked = parser.parse_args(arguments)
    if asked.json:
        print(json.dumps({name: coverage(SETTINGS[name], asked.studies) for name in asked.settings}))
        return
    print(f"{'coverage in % (mean half-width in points), seeds:':50}" + "".join(f"{pair:>15}" for pair in PAIRS))
    for name in asked.settings:
        found = coverage(SETTINGS[name], asked.studies)
        cells = {pair: f"{100 * share:.1f} ({100 * half:4.1f})" for pair, (share, half) in found.items()}
        print(f"{name:50}" + "".join(f"{cells.get(pair, ''):>15}" for pair in PAIRS))
    for rounds in (3, 5, 10, 20):
        shares = [100 * timing_coverage(rounds, asked.studies, slowed=slowed) for slowed in (0, 0.1)]
        print(f"{f'ratio of times, {rounds} rounds; 10 % of them slowed':50}{shares[0]:>8.1f}{shares[1]:>15.1f}")


if __name__ == "__main__":
    main()
