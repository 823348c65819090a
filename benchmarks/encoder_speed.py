"""Speed of encoders with input-independent, sparse and hashing attention, relative to fused query-key attention.

The encoder has the paper's size: width 768, 12 heads, 6 layers that share their weights. Rows take turns in one run;
ratios are medians over rounds. The report also has the counted operations, and the throughput of a plain float32 matrix
product in the same rounds as an upper bound.

    python benchmarks/encoder_speed.py
    python benchmarks/encoder_speed.py --rows patterned none --lengths 500 --rounds 15
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import tyro
from claims import Checked, registered, table

from inattention.files import write_json
from inattention.provenance import provenance
from inattention.timing.config import Mode, TimingConfig
from inattention.timing.measure import ratio_quartiles
from inattention.timing.report import TimingReport
from inattention.timing.run import measure_rows

# Forward time relative to `qk`'s, batch 1, by length.
BARS: tuple[tuple[tuple[str, ...], dict[int, float]], ...] = (
    (("patterned", "synthesizer-random"), {500: 0.78, 1000: 0.70, 4000: 0.62}),
    (("sparse-strided", "sparse-fixed"), {500: 1.00, 1000: 0.85, 4000: 0.65}),
    (("sign-alsh", "xbox", "xbox-qnf", "simple-lsh", "simple-alsh"), {500: 1.00, 1000: 0.85, 4000: 0.60}),
    (("synthesizer-dense",), {500: 0.85, 1000: 0.80, 4000: 0.70}),
    (("toeplitz",), {500: 0.85, 1000: 0.72, 4000: 0.52}),
)
FORWARD = {row: bars for rows, bars in BARS for row in rows}
# Lengths at which training is measured too, and the setting with a larger batch.
TRAINED = (500, 1000)
BATCHED_LENGTH, BATCH = 500, 8
BATCHED_ROWS = ("patterned", "none")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure encoders side by side, and check the claims about their speed.

    Attributes:
        rows: rows to measure in addition to qk and none.
        lengths: frames of an utterance; training is measured up to 1000 only.
        batched: measure patterned at 500 frames in batches of 8 too.
        threads: threads of PyTorch.
        rounds: how often each row is measured.
        out: JSON file of all results.
    """

    rows: tuple[str, ...] = tuple(FORWARD)
    lengths: tuple[int, ...] = (500, 1000, 4000)
    batched: bool = True
    threads: int = 2
    rounds: int = 9
    out: Path = Path("runs/benchmarks/encoder_speed.json")


def main(options: Options) -> None:
    options.out.parent.mkdir(parents=True, exist_ok=True)
    rows = registered((*options.rows, "none"))
    report = measure(rows, options)
    checked = list(claims(report, rows))
    print(report.table(), "\n\n" + table(checked, "ratio"), sep="")
    verdicts = [{**vars(it), "verdict": it.verdict} for it in checked]
    write_json(options.out, {**report.to_dict(), "claims": verdicts, "provenance": provenance()})
    print(f"written to {options.out}")


def measure(rows: tuple[str, ...], options: Options) -> TimingReport:
    """Return one report of all requested settings."""
    base = TimingConfig(
        rows=rows, exponent_lengths=(), threads=options.threads, rounds=options.rounds, seconds=0.0, lengths=()
    )
    trained = tuple(length for length in options.lengths if length in TRAINED)
    forward = tuple(length for length in options.lengths if length not in TRAINED)
    runs = [replace(base, lengths=trained), replace(base, lengths=forward, modes=("forward",))]
    if options.batched and BATCHED_LENGTH in options.lengths and "patterned" in rows:
        runs.append(replace(base, rows=BATCHED_ROWS, lengths=(BATCHED_LENGTH,), batch_sizes=(BATCH,)))
    reports = [measure_rows(run) for run in runs if run.lengths]
    return replace(
        reports[0],
        config=replace(base, lengths=options.lengths),
        rows=tuple(row for report in reports for row in report.rows),
        products=tuple(product for report in reports for product in report.products),
    )


def claims(report: TimingReport, rows: tuple[str, ...]) -> Iterator[Checked]:
    """Yield every claim about what a report measured, checked."""
    for row in rows:
        for length, at_most in FORWARD.get(row, {}).items():
            yield from check(report, row, "qk", length, 1, "forward", at_most)
    for batch in (1, BATCH):
        if batch != 1:  # for one utterance FORWARD claims more
            yield from check(report, "patterned", "qk", BATCHED_LENGTH, batch, "forward", 0.80)
        yield from check(report, "patterned", "none", BATCHED_LENGTH, batch, "forward", 1.15)
        yield from check(report, "patterned", "qk", BATCHED_LENGTH, batch, "train", 0.85)


def check(
    report: TimingReport, row: str, against: str, length: int, batch: int, mode: Mode, at_most: float
) -> Iterator[Checked]:
    """Yield the check of two rows' ratio in a setting, if both were measured."""
    one = report.find(row, length=length, batch=batch, mode=mode)
    other = report.find(against, length=length, batch=batch, mode=mode)
    if one and other:
        found = ratio_quartiles(one.round_seconds, other.round_seconds)
        yield Checked(
            f"{row} / {against}, {mode}, {length} frames, batch {batch}",
            at_most,
            found.median,
            f"{found.low:.3f}-{found.high:.3f}",
            f"{one.flops / other.flops:.3f}",
        )


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
