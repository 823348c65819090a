"""Results of a timing run, as plain data for JSON and as tables."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from inattention.text import aligned, within
from inattention.timing.config import TimingConfig
from inattention.timing.exponents import MixingExponent


@dataclass(frozen=True)
class TimedRow:
    """Cost of one row in one setting. Low and high are quartiles over rounds.

    Attributes:
        row: the row.
        length: number of frames of an utterance.
        batch: number of utterances at once.
        mode: ``forward`` or ``train``.
        seconds: median time of one forward pass or training step.
        seconds_low: its lower quartile.
        seconds_high: its upper quartile.
        ratio: median over rounds of the time relative to that of ``qk`` in the same round.
        ratio_low: its lower quartile.
        ratio_high: its upper quartile.
        flops: operations counted in one pass or step.
        peak_bytes: peak memory of the first pass or step, above weights and input; includes what is cached for later
            ones (maps, optimizer state).
        weight_bytes: size of parameters and buffers.
        round_seconds: time in each round; rows of one setting share their rounds.
    """

    row: str
    length: int
    batch: int
    mode: str
    seconds: float
    seconds_low: float
    seconds_high: float
    ratio: float
    ratio_low: float
    ratio_high: float
    flops: int
    peak_bytes: int
    weight_bytes: int
    round_seconds: tuple[float, ...]


@dataclass(frozen=True)
class Product:
    """A plain float32 matrix product of the layer's shape, measured in the rounds of one setting.

    Attributes:
        length: number of frames of an utterance in that setting.
        batch: number of utterances at once in that setting.
        mode: ``forward`` or ``train``.
        shape: (rows, inner, columns): all frames, into the feed-forward width.
        gflops_per_second: rate it reached, about the largest that a row can reach.
    """

    length: int
    batch: int
    mode: str
    shape: tuple[int, int, int]
    gflops_per_second: float


@dataclass(frozen=True)
class TimingReport:
    """Results of a timing run.

    Attributes:
        config: the settings.
        machine: description of the machine.
        versions: versions of Python and packages.
        rows: every row in every setting.
        products: the reference product of every setting.
        exponents: growth of the mixing time of every row.
    """

    config: TimingConfig
    machine: dict[str, str | int]
    versions: dict[str, str]
    rows: tuple[TimedRow, ...]
    products: tuple[Product, ...]
    exponents: tuple[MixingExponent, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)

    def find(self, row: str, *, length: int, batch: int = 1, mode: str = "forward") -> TimedRow | None:
        """Return one row in one setting; None if it was not measured."""
        setting = (row, length, batch, mode)
        return next((r for r in self.rows if (r.row, r.length, r.batch, r.mode) == setting), None)

    def table(self, width: int | None = None) -> str:
        """Return text: a table for each setting, then the exponents.

        Args:
            width: most characters of a line; no limit by default.
        """
        parts = ["   ".join(f"{name}: {value}" for name, value in {**self.machine, **self.versions}.items())]
        parts += [_setting_table(product, self.rows, width) for product in self.products]
        if self.exponents:
            parts.append(exponent_table(self.exponents, width))
        return "\n\n".join(parts if width is None else [within(part, width) for part in parts])


def _setting_table(product: Product, rows: Iterable[TimedRow], width: int | None) -> str:
    setting = (product.length, product.batch, product.mode)
    here = [row for row in rows if (row.length, row.batch, row.mode) == setting]
    reference = next(row for row in here if row.row == "qk")
    cells = [
        ["row", "ms", "quartiles", "x qk", "quartiles", "GFLOP", "x qk", "of product's rate", "peak MB", "weights MB"]
    ]
    for row in sorted(here, key=lambda row: row.ratio):
        reached = row.flops / row.seconds / (product.gflops_per_second * 1e9)
        cells.append(
            [
                row.row,
                f"{1e3 * row.seconds:.1f}",
                f"{1e3 * row.seconds_low:.1f}-{1e3 * row.seconds_high:.1f}",
                f"{row.ratio:.3f}",
                f"{row.ratio_low:.3f}-{row.ratio_high:.3f}",
                f"{row.flops / 1e9:.1f}",
                f"{row.flops / reference.flops:.3f}",
                f"{reached:.0%}",
                f"{row.peak_bytes / 1e6:.1f}",
                f"{row.weight_bytes / 1e6:.1f}",
            ]
        )
    rounds = len(reference.round_seconds)
    head = (
        f"{product.mode}, {product.length} frames, batch {product.batch}, {rounds} rounds; "
        f"a plain product of {'x'.join(map(str, product.shape))}: {product.gflops_per_second:.1f} GFLOP/s"
    )
    return f"{head}\n{aligned(cells, width)}"


def exponent_table(exponents: Iterable[MixingExponent], width: int | None = None) -> str:
    """Return fitted exponents as text, the slowest growth first."""
    cells = [["row", "exponent", "quartiles", "by operations", "cost (card)", "ms at frames"]]
    for it in sorted(exponents, key=lambda it: it.exponent):
        times = ", ".join(f"{1e3 * s:.1f} at {t}" for t, s in zip(it.lengths, it.seconds, strict=True))
        theory = "-" if it.theory is None else f"{it.theory:.2f}"
        quartiles = f"{it.exponent_low:.2f}-{it.exponent_high:.2f}"
        cells.append([it.row, f"{it.exponent:.2f}", quartiles, theory, it.cost, times])
    return f"time of the mixing alone, without projections, as a power of length\n{aligned(cells, width)}"
