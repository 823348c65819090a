"""Timing of encoders that differ only in their mechanism, side by side in every setting."""

import itertools
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from inattention import attention
from inattention.attention.rows import Row, parse_row
from inattention.devices import usable_device
from inattention.model.config import AudioTransformerConfig
from inattention.model.transformer import AudioTransformer
from inattention.progress import bar as progress_bar
from inattention.provenance import versions
from inattention.timing.config import Mode, TimingConfig
from inattention.timing.exponents import MixingExponent, measure_exponent
from inattention.timing.flops import counted_flops
from inattention.timing.machine import machine
from inattention.timing.measure import Task, quartiles, ratio_quartiles, take_turns
from inattention.timing.memory import peak_bytes
from inattention.timing.report import Product, TimedRow, TimingReport

REFERENCE = "qk"
_PRODUCT = "a plain matrix product"


def measure_rows(config: TimingConfig, progress: bool = True) -> TimingReport:
    """Measure rows in every setting (a length, batch size and mode), and fit the exponents of their mixing.

    Args:
        config: the settings.
        progress: show a progress bar.

    Raises:
        ValueError: for a row that does not exist or cannot be built at these sizes.
    """
    rows = rows_of(config)
    usable_device(config.device)
    settings = list(itertools.product(config.lengths, config.batch_sizes, config.modes))
    timed: list[TimedRow] = []
    products: list[Product] = []
    exponents: list[MixingExponent] = []
    steps = len(settings) + (len(rows) if config.exponent_lengths else 0)
    with _threads(config.threads), progress_bar(total=steps, unit="setting", show=progress) as bar:
        for length, batch, mode in settings:
            bar.set_description(f"{mode}, {length} frames, batch {batch}")
            found, product = measure_setting(
                rows, length, batch, mode, config, lambda done: bar.set_postfix_str(f"round {done}")
            )
            timed += found
            products.append(product)
            bar.update()
        for row in rows if config.exponent_lengths else ():
            bar.set_description(f"mixing of {row.name}")
            exponent = measure_exponent(row, config, lambda done: bar.set_postfix_str(f"round {done}"))
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
    """Return the rows to measure, ``qk`` first, each once.

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
    """Measure rows side by side in one setting.

    Args:
        rows: the rows; ``qk`` must be one of them.
        length: number of frames of an utterance.
        batch: number of utterances at once.
        mode: ``forward`` or ``train``.
        config: all other settings.
        after_round: called with the number of each finished round.
    """
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
        seconds, relative = quartiles(taken[name]), ratio_quartiles(taken[name], taken[REFERENCE])
        costs = (it.flops, it.peak_bytes, it.weight_bytes)
        timed.append(TimedRow(name, length, batch, mode, *seconds, *relative, *costs, tuple(taken[name])))
    rate = product_flops / quartiles(taken[_PRODUCT]).median / 1e9
    return timed, Product(length, batch, mode, shape, rate)


@dataclass(frozen=True)
class _Prepared:
    """A row's task, and what its first runs measured."""

    task: Task
    flops: int
    peak_bytes: int
    weight_bytes: int


def _prepare(row: Row, length: int, batch: int, mode: Mode, config: TimingConfig) -> _Prepared:
    model = encoder(row, length, config)
    task = (forward_task if mode == "forward" else training_task)(model, length, batch, config)
    # Memory first: it includes what the first pass caches for later ones. Operations are those of any later pass.
    peak = peak_bytes(task, config.device)
    return _Prepared(task, counted_flops(task), peak, weight_bytes(model))


def encoder(row: Row, length: int, config: TimingConfig) -> AudioTransformer:
    """Build a row's encoder for inputs of one length."""
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
    """Return a task of one forward pass in evaluation mode, without padding."""
    features, valid = _inputs(model, length, batch, config)
    model.eval()

    def task() -> Tensor:
        with torch.inference_mode():
            return model(features, valid).last_hidden_state

    return task


def training_task(model: AudioTransformer, length: int, batch: int, config: TimingConfig) -> Task:
    """Return a task of one training step: forward, an L1 loss against fixed noise, backward, and AdamW."""
    features, valid = _inputs(model, length, batch, config)
    target = torch.randn(batch, length, config.width, generator=torch.Generator().manual_seed(config.seed + 1)).to(
        config.device
    )
    model.train()
    # The fused optimizer is the fastest of PyTorch, and the same for all rows.
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def task() -> None:
        loss = nn.functional.l1_loss(model(features, valid).last_hidden_state, target)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return task


def weight_bytes(model: nn.Module) -> int:
    """Return the size of parameters and buffers in bytes."""
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
