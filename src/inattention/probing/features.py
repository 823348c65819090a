"""Features of a whole split, computed once and stored in a file, so that memory does not grow with the corpus.

The frames of all utterances are in one array without padding: utterance u has the rows ``offsets[u]:offsets[u + 1]``.
Recordings that cannot be used are skipped, with the reason.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from inattention.audio.reader import cut_waveform
from inattention.encoders.base import FeatureSource
from inattention.progress import bar as progress_bar

if TYPE_CHECKING:
    from lhotse.cut import Cut

# Waveforms passed to the source at once, which sorts them by length into batches of its own.
POOL_SECONDS = 300.0


class ProbeError(ValueError):
    """Features cannot be probed; the message names the cause, the place and a remedy."""


@dataclass(frozen=True)
class Skip:
    """A skipped utterance and the reason."""

    utterance: str
    reason: str


@dataclass(frozen=True)
class SplitFeatures:
    """Features of the usable utterances of a split, in the corpus's order.

    Attributes:
        split: name of the split.
        ids: ids of the utterances.
        offsets: first row of each utterance, and the number of rows at the end.
        values: one row per frame, with one layer or all; mapped from a file.
        skipped: utterances that cannot be used.
    """

    split: str
    ids: tuple[str, ...]
    offsets: Int[np.ndarray, " utterances_and_one"]
    values: Float[Tensor, "frames layers width"]
    skipped: tuple[Skip, ...]


def extract(
    source: FeatureSource,
    cuts: Iterable["Cut"],
    *,
    split: str,
    folder: Path,
    layer: Literal["last", "weighted"] | int = "last",
    total: int | None = None,
    progress: bool = True,
) -> SplitFeatures:
    """Compute the features of a split.

    Args:
        source: encoder or input features.
        cuts: utterances of the split, read once and lazily.
        split: name of the split, and of the file in ``folder``.
        folder: where the features are stored; the file must exist as long as the result is used.
        layer: hidden state to store; `weighted` for all of them.
        total: number of cuts, for the progress bar.
        progress: show a progress bar on stderr if it takes long.

    Raises:
        ProbeError: if the features cannot be written.
    """
    layers = source.layers + 1 if layer == "weighted" else 1
    options: dict[str, Any] = {"layer": layer} if isinstance(layer, int) else {"all_layers": layer == "weighted"}
    path = folder / f"{split}.float32"
    ids: list[str] = []
    lengths: list[int] = []
    skipped: list[Skip] = []
    bar = progress_bar(cuts, desc=f"{source.name}: features of {split}", total=total, unit="utterance", show=progress)
    with path.open("wb", buffering=0) as file:
        for pool in _pools(bar, source.sampling_rate, skipped):
            for name, features in _features_of(source, pool, options, skipped):
                _append(features, file)
                ids.append(name)
                lengths.append(len(features))
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
    values = _map(path, (int(offsets[-1]), layers, source.width))
    return SplitFeatures(split, tuple(ids), offsets, values, tuple(skipped))


def utterance_means(features: SplitFeatures) -> Float[Tensor, "utterances 1 layers width"]:
    """Return the mean over each utterance's frames, as utterances of one frame."""
    means = torch.empty(len(features.ids), 1, *features.values.shape[1:])
    for u, (start, end) in enumerate(zip(features.offsets[:-1], features.offsets[1:], strict=True)):
        means[u, 0] = features.values[start:end].mean(0)
    return means


def _pools(cuts: Iterable["Cut"], sampling_rate: int, skipped: list[Skip]) -> Iterable[list[tuple[str, Tensor]]]:
    """Yield waveforms, some minutes at a time; cuts that cannot be read are added to `skipped`."""
    seen: set[str] = set()
    pool: list[tuple[str, Tensor]] = []
    seconds = 0.0
    for cut in cuts:
        if cut.id in seen:
            skipped.append(Skip(cut.id, "an earlier utterance has the same id"))
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
    source: FeatureSource, pool: list[tuple[str, Tensor]], options: dict[str, Any], skipped: list[Skip]
) -> Iterable[tuple[str, np.ndarray]]:
    """Yield the features of a pool; if the source refuses it, halve it until the refused utterance is alone."""
    try:
        batch = source.features([waveform for _, waveform in pool], **options)
    except ValueError as error:
        if len(pool) == 1:
            skipped.append(Skip(pool[0][0], str(error)))
            return
        half = len(pool) // 2
        yield from _features_of(source, pool[:half], options, skipped)
        yield from _features_of(source, pool[half:], options, skipped)
        return
    for (name, _), features in zip(pool, batch, strict=True):
        if not len(features):
            skipped.append(Skip(name, f"{source.name} gives no frame for it"))
        elif not bool(features.isfinite().all()):
            skipped.append(Skip(name, f"{source.name} gives features with NaN or infinity"))
        else:
            yield name, features.reshape(len(features), -1, source.width).numpy(force=True)


def _append(features: np.ndarray, file: FileIO) -> None:
    """Append features to a file; with plain writes a full disk raises, where a writable map would kill the process."""
    remaining = np.ascontiguousarray(features, dtype=np.float32).data.cast("B")
    try:
        while remaining:
            remaining = remaining[file.write(remaining) :]
    except OSError as error:
        raise ProbeError(
            f"features cannot be stored in {file.name} ({error.strerror}): set the environment variable TMPDIR to "
            "another folder"
        ) from error


def _map(path: Path, shape: tuple[int, int, int]) -> Float[Tensor, "frames layers width"]:
    """Return a memory-mapped tensor."""
    if not shape[0]:
        return torch.empty(shape)
    # "r+" although nothing is written: PyTorch warns about read-only arrays.
    return torch.from_numpy(np.memmap(path, dtype=np.float32, mode="r+", shape=shape))
