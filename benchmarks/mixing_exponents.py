"""Growth of the time and memory of the mixing alone with length, and the claims about it.

A mechanism of width 768 and 12 heads, without its query and key projections, is timed at several lengths that take
turns; the exponent is the slope of log time over log length. Peak memory is that of one forward pass, projections
included, and of forward and backward, relative to a float tensor of (heads, time, time).

    python benchmarks/mixing_exponents.py
    python benchmarks/mixing_exponents.py --rows xbox sparse-strided --rounds 9
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import tyro
from claims import Checked, registered, table
from tqdm import tqdm

from inattention.attention import card, mechanisms
from inattention.attention.rows import Row, parse_row
from inattention.files import write_json
from inattention.provenance import provenance
from inattention.timing.config import Mode, TimingConfig
from inattention.timing.exponents import MixingExponent, measure_exponent, mixing_task, theoretical_exponent
from inattention.timing.machine import machine
from inattention.timing.memory import peak_bytes
from inattention.timing.report import exponent_table

# Largest exponent of time over length, by family, for mechanisms with default options.
AT_MOST = {"hashing": 1.2, "sparse": 1.6}
# Largest peak memory relative to a float tensor of (heads, time, time), for mechanisms below time squared.
MEMORY_AT_MOST = 0.25
QUADRATIC = 1.9


@dataclass(frozen=True, kw_only=True)
class Options:
    """Fit the growth of mixing time with length, and measure peak memory.

    Attributes:
        rows: rows to measure; all mechanisms by default.
        lengths: frames at which the mixing is timed. Maps that do not fit into memory are skipped.
        memory_length: frames at which peak memory is measured.
        threads: threads of PyTorch.
        rounds: how often each length is measured.
        out: JSON file of all results.
    """

    rows: tuple[str, ...] = ()
    lengths: tuple[int, ...] = (1000, 2000, 4000, 8000)
    memory_length: int = 8000
    threads: int = 2
    rounds: int = 5
    out: Path = Path("runs/benchmarks/mixing_exponents.json")


def main(options: Options) -> None:
    options.out.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    config = TimingConfig(exponent_lengths=options.lengths, threads=options.threads, rounds=options.rounds, seconds=0.0)
    rows = [parse_row(name) for name in registered(options.rows or mechanisms())]
    exponents, memory = [], []
    for row in tqdm(rows, unit="row"):
        exponent = measure_exponent(row, config)
        exponents += [exponent] if exponent else []
        memory += memory_claims(row, options.memory_length, config)
    growth = exponent_claims(exponents)
    print(*(f"{name}: {value}" for name, value in machine("cpu", options.threads).items()), sep="   ")
    for text in (exponent_table(exponents), table(growth, "exponent"), table(memory, "of (H, T, T)")):
        print(f"\n{text}")
    found = {"exponents": [asdict(it) for it in exponents], "machine": machine("cpu", options.threads)}
    verdicts = [{**vars(it), "verdict": it.verdict} for it in [*growth, *memory]]
    write_json(options.out, {"config": asdict(config), **found, "claims": verdicts, "provenance": provenance()})
    print(f"written to {options.out}")


def exponent_claims(exponents: Sequence[MixingExponent]) -> list[Checked]:
    """Return the checked claims about the exponents of each family."""
    checked = []
    for it in exponents:
        row = parse_row(it.row)
        at_most = AT_MOST.get(card(row.mechanism).family)
        if at_most and not row.options:
            what = f"time of {it.row}, {it.lengths[0]} to {it.lengths[-1]} frames"
            spread = f"{it.exponent_low:.2f}-{it.exponent_high:.2f}"
            checked.append(
                Checked(what, at_most, it.exponent, spread, "-" if it.theory is None else f"{it.theory:.2f}")
            )
    return checked


def memory_claims(row: Row, length: int, config: TimingConfig) -> list[Checked]:
    """Return the checked claims about peak memory of a mechanism that grows less than time squared by its card."""
    growth = theoretical_exponent(row, (length // 2, length), config)
    if growth is not None and growth > QUADRATIC:
        return []
    whole = 4 * config.heads * length**2
    found = []
    modes: tuple[Mode, ...] = ("forward", "train")
    for mode in modes:
        task, _ = mixing_task(row, length, config, mode)
        peak = peak_bytes(task)
        found.append(
            Checked(
                f"memory of {row.name}, {mode}, {length} frames", MEMORY_AT_MOST, peak / whole, f"{peak / 1e6:.0f} MB"
            )
        )
    return found


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
