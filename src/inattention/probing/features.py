"""Features of a whole split, computed once and kept in a file, so that memory does not grow with the corpus.

All steps of all utterances stand in one array without any padding: utterance u owns the rows
``offsets[u]:offsets[u + 1]``. A recording that cannot be used is left out, with the reason.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from inattention.audio.reader import cut_waveform
from inattention.encoders.ours import Source

if TYPE_CHECKING:
    from lhotse.cut import Cut

# Waveforms that go to the source at once, which sorts them by length into batches of its own.
POOL_SECONDS = 300.0
SECONDS_BEFORE_PROGRESS = 2.0


class ProbeError(ValueError):
    """Why features cannot be probed; the message says what, where, and what to do."""


@dataclass(frozen=True)
class Skip:
    """An utterance that was left out of something, and why."""

    utterance: str
    reason: str


@dataclass(frozen=True)
class SplitFeatures:
    """Features of the usable utterances of a split, in the corpus's order.

    Attributes:
        split: its name.
        ids: of the utterances.
        offsets: where each utterance's rows begin, and after them the number of rows.
        values: a row a step, with one layer or all; it stands on disk, and reads like any tensor.
        skipped: utterances that could not be used.
    """

    split: str
    ids: tuple[str, ...]
    offsets: Int[np.ndarray, " utterances_and_one"]
    values: Float[Tensor, "steps layers width"]
    skipped: tuple[Skip, ...]


def extract(
    source: Source,
    cuts: Iterable["Cut"],
    *,
    split: str,
    folder: Path,
    all_layers: bool = False,
    total: int | None = None,
    progress: bool = True,
) -> SplitFeatures:
    """Compute the features of a split.

    Args:
        source: what gives them.
        cuts: the split's utterances, read once and lazily.
        split: its name; the file in ``folder`` is called after it.
        folder: where the features are kept; they are needed for as long as the result is used.
        all_layers: keep every hidden state, and not the last alone.
        total: how many cuts there are, for the progress bar.
        progress: show a bar on stderr when it lasts.

    Raises:
        ProbeError: if the features cannot be written.
    """
    layers = source.layers if all_layers else 1
    path = folder / f"{split}.float32"
    ids: list[str] = []
    steps: list[int] = []
    skipped: list[Skip] = []
    bar = tqdm(
        cuts,
        desc=f"{source.name}: features of {split}",
        total=total,
        unit="utt",
        delay=SECONDS_BEFORE_PROGRESS,
        disable=not progress,
        file=sys.stderr,
        leave=False,
    )
    with path.open("wb", buffering=0) as file:
        for pool in _pools(bar, source.sampling_rate, skipped):
            for name, features in _features_of(source, pool, all_layers, skipped):
                _keep(features, file)
                ids.append(name)
                steps.append(len(features))
    offsets = np.concatenate([[0], np.cumsum(steps, dtype=np.int64)]).astype(np.int64)
    values = _map(path, (int(offsets[-1]), layers, source.width))
    return SplitFeatures(split, tuple(ids), offsets, values, tuple(skipped))


def utterance_means(features: SplitFeatures) -> Float[Tensor, "utterances 1 layers width"]:
    """Give the mean over each utterance's steps, as utterances of one step."""
    means = torch.empty(len(features.ids), 1, *features.values.shape[1:])
    for u, (start, end) in enumerate(zip(features.offsets[:-1], features.offsets[1:], strict=True)):
        means[u, 0] = features.values[start:end].mean(0)
    return means


def _pools(cuts: Iterable["Cut"], sampling_rate: int, skipped: list[Skip]) -> Iterable[list[tuple[str, Tensor]]]:
    """Read waveforms, some minutes at a time; what cannot be read is noted as skipped."""
    seen: set[str] = set()
    pool: list[tuple[str, Tensor]] = []
    seconds = 0.0
    for cut in cuts:
        if cut.id in seen:
            skipped.append(Skip(cut.id, "an utterance before it has the same id"))
            continue
        seen.add(cut.id)
        try:
            waveform = cut_waveform(cut, sampling_rate)
        except ValueError as error:
            skipped.append(Skip(cut.id, str(error)))
            continue
        pool.append((cut.id, waveform))
        seconds += len(waveform) / sampling_rate
        if seconds >= POOL_SECONDS:
            yield pool
            pool, seconds = [], 0.0
    if pool:
        yield pool


def _features_of(
    source: Source, pool: list[tuple[str, Tensor]], all_layers: bool, skipped: list[Skip]
) -> Iterable[tuple[str, np.ndarray]]:
    """Give the features of a pool; an utterance that the source refuses costs no other one its place."""
    try:
        batch = source.features([waveform for _, waveform in pool], all_layers=all_layers)
    except ValueError as error:
        if len(pool) == 1:
            skipped.append(Skip(pool[0][0], str(error)))
            return
        half = len(pool) // 2
        yield from _features_of(source, pool[:half], all_layers, skipped)
        yield from _features_of(source, pool[half:], all_layers, skipped)
        return
    for (name, _), features in zip(pool, batch, strict=True):
        if not len(features):
            skipped.append(Skip(name, f"{source.name} gives no step for it"))
        elif not bool(features.isfinite().all()):
            skipped.append(Skip(name, f"{source.name} gives features with NaN or infinity"))
        else:
            yield name, features.reshape(len(features), -1, source.width).numpy(force=True)


def _keep(features: np.ndarray, file: FileIO) -> None:
    """Append features to a file. Plain writes and no writable map: a full disk is then an error, not a dead process."""
    left = np.ascontiguousarray(features, dtype=np.float32).data.cast("B")
    try:
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        raise ProbeError(
            f"features cannot be kept in {file.name} ({error.strerror}): the environment variable TMPDIR chooses "
            "another place"
        ) from error


def _map(path: Path, shape: tuple[int, int, int]) -> Float[Tensor, "steps layers width"]:
    """Map a file of numbers; the system keeps in memory what fits."""
    if not shape[0]:
        return torch.empty(shape)
    # "r+" though nothing writes: PyTorch warns of arrays that it could not write to.
    return torch.from_numpy(np.memmap(path, dtype=np.float32, mode="r+", shape=shape))
