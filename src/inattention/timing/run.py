"""The timing run: encoders that differ in their mechanism alone, side by side in every setting."""

import itertools
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

from inattention import attention
from inattention.attention.rows import Row, parse_row
from inattention.model.config import AudioTransformerConfig
from inattention.model.transformer import AudioTransformer
from inattention.timing.config import Mode, TimingConfig
from inattention.timing.exponents import MixingExponent, measure_exponent
from inattention.timing.flops import counted_flops
from inattention.timing.machine import machine, versions
from inattention.timing.measure import Task, ratio, spread, take_turns
from inattention.timing.memory import peak_bytes
from inattention.timing.report import Product, TimedRow, TimingReport

REFERENCE = "qk"
_PRODUCT = "a plain matrix product"


def measure_rows(config: TimingConfig, progress: bool = True) -> TimingReport:
    """Measure rows in every setting (a length, batch size and mode), and fit the exponents of their mixing.

    Args:
        config: what to measure.
        progress: whether a progress bar is shown.

    Raises:
        ValueError: for a row that does not exist or cannot be built at these sizes.
    """
    rows = rows_of(config)
    settings = list(itertools.product(config.lengths, config.batch_sizes, config.modes))
    timed: list[TimedRow] = []
    products: list[Product] = []
    exponents: list[MixingExponent] = []
    steps = len(settings) + (len(rows) if config.exponent_lengths else 0)
    with _threads(config.threads), tqdm(total=steps, disable=not progress, unit="setting") as bar:
        for length, batch, mode in settings:
            bar.set_description(f"{mode}, {length} steps, batch {batch}")
            found, product = measure_setting(
                rows, length, batch, mode, config, lambda done: bar.set_postfix(round=done)
            )
            timed += found
            products.append(product)
            bar.update()
        for row in rows if config.exponent_lengths else ():
            bar.set_description(f"mixing of {row.name}")
            exponent = measure_exponent(row, config, lambda done: bar.set_postfix(round=done))
            exponents += [exponent] if exponent else []
            bar.update()
    return TimingReport(
        config,
        machine(config.device, config.threads),
        versions(),
        tuple(timed),
        tuple(products),
        tuple(exponents),
    )


def rows_of(config: TimingConfig) -> list[Row]:
    """Give the rows to measure, ``qk`` first, each once.

    Raises:
        ValueError: for a row that does not exist.
    """
    rows = [parse_row(text) for text in (REFERENCE, *(config.rows or attention.mechanisms()))]
    return list({row.name: row for row in rows}.values())


def measure_setting(
    rows: Sequence[Row],
    length: int,
    batch: int,
    mode: Mode,
    config: TimingConfig,
    after_round: Callable[[int], None] | None = None,
) -> tuple[list[TimedRow], Product]:
    """Measure rows side by side at one length and batch size, in one mode; ``qk`` must be one of them."""
    prepared = {row.name: _prepare(row, length, batch, mode, config) for row in rows}
    shape = (length * batch, config.width, config.feed_forward)
    product_flops, product = _plain_product(shape, config.device)
    taken = take_turns(
        {**{name: it.task for name, it in prepared.items()}, _PRODUCT: product},
        rounds=config.rounds,
        seconds=config.seconds,
        threads=config.threads,
        seed=config.seed,
        after_round=after_round,
    )
    timed = []
    for name, it in prepared.items():
        seconds, relative = spread(taken[name]), ratio(taken[name], taken[REFERENCE])
        costs = (it.flops, it.peak_bytes, it.weight_bytes)
        timed.append(TimedRow(name, length, batch, mode, *seconds, *relative, *costs, tuple(taken[name])))
    rate = product_flops / spread(taken[_PRODUCT]).median / 1e9
    return timed, Product(length, batch, mode, shape, rate)


@dataclass(frozen=True)
class _Prepared:
    """A row's task, and what its first runs told."""

    task: Task
    flops: int
    peak_bytes: int
    weight_bytes: int


def _prepare(row: Row, length: int, batch: int, mode: Mode, config: TimingConfig) -> _Prepared:
    model = encoder(row, length, config)
    task = (forward_task if mode == "forward" else training_task)(model, length, batch, config)
    # Memory first: what the first pass keeps for later ones counts. Operations are those of any later pass.
    peak = peak_bytes(task, config.device)
    return _Prepared(task, counted_flops(task), peak, weight_bytes(model))


def encoder(row: Row, length: int, config: TimingConfig) -> AudioTransformer:
    """Build a row's encoder for inputs of just this length."""
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        model = AudioTransformer(
            AudioTransformerConfig(
                attention=row.mechanism,
                attention_options=dict(row.options),
                width=config.width,
                heads=config.heads,
                layers=config.layers,
                feed_forward=config.feed_forward,
                max_length=length,
            )
        )
    return model.to(config.device)


def forward_task(model: AudioTransformer, length: int, batch: int, config: TimingConfig) -> Task:
    """Make a call of one forward pass in evaluation; every step is valid."""
    features, valid = _inputs(model, length, batch, config)
    model.eval()

    def task() -> Tensor:
        with torch.inference_mode():
            return model(features, valid).last_hidden_state

    return task


def training_task(model: AudioTransformer, length: int, batch: int, config: TimingConfig) -> Task:
    """Make a call of one training step: forward, an L1 loss against fixed noise, backward, and AdamW."""
    features, valid = _inputs(model, length, batch, config)
    target = torch.randn(batch, length, config.width, generator=torch.Generator().manual_seed(config.seed + 1)).to(
        config.device
    )
    model.train()
    # The fused step is the fastest that PyTorch has, and the same for all rows.
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def task() -> None:
        loss = nn.functional.l1_loss(model(features, valid).last_hidden_state, target)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return task


def weight_bytes(model: nn.Module) -> int:
    """Give the bytes of parameters and buffers."""
    return sum(t.numel() * t.element_size() for t in itertools.chain(model.parameters(), model.buffers()))


def _inputs(model: AudioTransformer, length: int, batch: int, config: TimingConfig) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(config.seed)
    features = torch.randn(batch, length, model.config.input_size, generator=generator).to(config.device)
    return features, torch.ones(batch, length, dtype=torch.bool, device=config.device)


def _plain_product(shape: tuple[int, int, int], device: str) -> tuple[int, Task]:
    rows, inner, columns = shape
    one, other = torch.ones(rows, inner, device=device), torch.ones(inner, columns, device=device)
    return 2 * rows * inner * columns, lambda: one @ other


@contextmanager
def _threads(count: int) -> Generator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
