"""Attention maps of an encoder over a corpus: their mean, their spread, and a sample of single ones.

    captured = capture(model, open_corpus("corpora/espeak"), split="dev", utterances=200, crop_steps=96, seed=0)
    captured.mean.shape        # (layers, heads, 96, 96)

Utterances are cut to the same number of steps, go through the encoder batch by batch, and leave sums behind: memory
does not grow with the corpus. Which utterances, where they are cut and which single maps are kept depends on the seed
and on the cuts' ids alone, so parts of a corpus captured apart can be merged into what the whole gives.
"""

import heapq
import statistics
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from tqdm import tqdm

from inattention.analysis.measures import CATEGORIES, MEASURES, categorise, input_dependence, measure
from inattention.audio.reader import cut_waveform
from inattention.corpora.core.corpus import Corpus
from inattention.encoders.base import Crop, MapSource, as_source
from inattention.seeding import derive_seed

if TYPE_CHECKING:
    from lhotse.cut import Cut

BATCH_BYTES = 2**26  # of single maps in memory at once
SECONDS_BEFORE_PROGRESS = 2.0


class CaptureError(ValueError):
    """Why there are no maps; the message says what, where, and what to do."""


@dataclass(frozen=True)
class Single:
    """The maps of one utterance.

    Attributes:
        cut_id: which.
        start_seconds: where its crop begins.
        maps: its maps; half precision, which keeps three digits of each weight.
        log_mel: what stands at each step.
    """

    cut_id: str
    start_seconds: float
    maps: Float[np.ndarray, "layers heads time time"]
    log_mel: Float[np.ndarray, "time mels"]


@dataclass(frozen=True)
class Captured:
    """Attention maps over many utterances.

    Attributes:
        name: of the encoder.
        step_seconds: time from one step to the next; None if steps are not one after the other in time.
        seed: of the choice of crops and single maps.
        count: utterances.
        mean: of each weight over utterances.
        squares: of each weight, the summed squared distance from its mean.
        measures: the mean of each measure over single maps, (layers, heads) each.
        categories: how many single maps are of each of `CATEGORIES`.
        singles: a sample, the same whatever the order of utterances.
        kept: how many singles are kept at most.
        skipped: ids of utterances that could not be used, and why.
    """

    name: str
    step_seconds: float | None
    seed: int
    count: int
    mean: Float[np.ndarray, "layers heads time time"]
    squares: Float[np.ndarray, "layers heads time time"]
    measures: dict[str, Float[np.ndarray, "layers heads"]]
    categories: Int[np.ndarray, "layers heads categories"]
    singles: tuple[Single, ...]
    kept: int
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def steps(self) -> int:
        """Queries and keys of each map."""
        return self.mean.shape[-1]

    @property
    def variance(self) -> Float[np.ndarray, "layers heads time time"]:
        """Of each weight over utterances, with count - 1 in its denominator; not a number for one utterance."""
        return self.squares / (self.count - 1) if self.count > 1 else np.full_like(self.squares, np.nan)

    @property
    def input_dependence(self) -> Float[np.ndarray, "layers heads"]:
        """The share of maps' spread that their mean does not explain."""
        return input_dependence(self.mean, self.variance, self.count)


@dataclass(frozen=True)
class CropBatch:
    """Crops of equal length, ready for an encoder.

    Attributes:
        ids: the cuts'.
        crops: what was cut.
        inputs: the encoder's input.
    """

    ids: tuple[str, ...]
    crops: tuple[Crop, ...]
    inputs: Float[Tensor, "batch ..."]


def capture(
    model: "MapSource | nn.Module",
    corpus: Corpus,
    *,
    split: str = "dev",
    utterances: int | None = 200,
    crop_steps: int | None = None,
    seed: int = 0,
    singles: int = 32,
    progress: bool = False,
) -> Captured:
    """Capture an encoder's attention maps over a corpus.

    Args:
        model: one of our encoders, a Hugging Face audio encoder, or any `MapSource`.
        corpus: a prepared corpus.
        split: of the corpus.
        utterances: a seeded choice of so many among those that are long enough; None for all.
        crop_steps: steps that each is cut to; `common_length` if left out.
        seed: of the choices of utterances, crops and single maps.
        singles: single maps that are kept.
        progress: show a bar on stderr when it lasts.

    Raises:
        CaptureError: if no utterance can be used, or crops are longer than the encoder takes.
    """
    source = as_source(model)
    steps = crop_steps or common_length(source, corpus.cuts(split))
    cuts = choose(source, corpus.cuts(split), steps, utterances, seed)
    return capture_cuts(source, cuts, crop_steps=steps, seed=seed, singles=singles, progress=progress)


def capture_cuts(
    source: MapSource,
    cuts: "Iterable[Cut]",
    *,
    crop_steps: int,
    seed: int = 0,
    singles: int = 32,
    progress: bool = False,
) -> Captured:
    """Capture the maps of given utterances; those that cannot be used are noted and left out.

    Raises:
        CaptureError: if none can be used, or crops are longer than the encoder takes.
    """
    skipped: list[tuple[str, str]] = []
    so_far: Captured | None = None
    for batch in crop_batches(source, cuts, crop_steps=crop_steps, seed=seed, skipped=skipped, progress=progress):
        found = _capture_batch(source, batch, seed, singles)
        so_far = found if so_far is None else merge(so_far, found)
    if so_far is None:
        reason = f"; the first: {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
        raise CaptureError(f"no utterance has the {crop_steps} steps of a crop and can be used{reason}")
    return _with_skipped(so_far, skipped)


def crop_batches(
    source: MapSource,
    cuts: "Iterable[Cut]",
    *,
    crop_steps: int,
    seed: int,
    skipped: list[tuple[str, str]],
    progress: bool = False,
) -> Iterator[CropBatch]:
    """Cut utterances to equal length at seeded places, some at a time.

    Args:
        source: whose input they become.
        cuts: utterances, read once.
        crop_steps: steps of a crop.
        seed: of the places.
        skipped: what cannot be used is added to it, with the reason.
        progress: show a bar on stderr when it lasts.

    Raises:
        CaptureError: if crops are longer than the encoder takes, or too short for a map.
    """
    if crop_steps < source.shortest or crop_steps > (source.longest or crop_steps):
        limits = f"at least {source.shortest}" + (f" and at most {source.longest}" if source.longest else "")
        raise CaptureError(f"{source.name} takes crops of {limits} steps, not of {crop_steps}")
    size = max(1, BATCH_BYTES // (4 * source.layers * source.heads * crop_steps**2))
    bar = tqdm(
        cuts,
        desc=f"{source.name}: maps",
        unit="utt",
        delay=SECONDS_BEFORE_PROGRESS,
        disable=not progress,
        file=sys.stderr,
        leave=False,
    )
    waiting: list[tuple[str, Crop]] = []
    for cut in bar:
        try:
            waiting.append((cut.id, _crop(source, cut, crop_steps, seed)))
        except ValueError as error:
            skipped.append((cut.id, str(error)))
        if len(waiting) == size:
            yield _batch(waiting)
            waiting = []
    if waiting:
        yield _batch(waiting)


def common_length(source: MapSource, cuts: "Iterable[Cut]", at_most: int = 128) -> int:
    """Give a length in steps that half of the utterances reach: the lower median, or `at_most`, or the longest allowed.

    Raises:
        CaptureError: if there are no utterances.
    """
    lengths = [source.steps(round(cut.duration * source.sampling_rate)) for cut in cuts]
    if not lengths:
        raise CaptureError("there are no utterances to take maps of")
    return max(source.shortest, min(statistics.median_low(lengths), at_most, source.longest or at_most))


def choose(
    source: MapSource, cuts: "Iterable[Cut]", crop_steps: int, utterances: int | None, seed: int
) -> "Iterator[Cut]":
    """Choose utterances that are long enough by their manifest; the choice depends on their ids and the seed."""
    long_enough = (cut for cut in cuts if source.starts(round(cut.duration * source.sampling_rate), crop_steps))
    if utterances is None:
        return long_enough
    return iter(heapq.nsmallest(utterances, long_enough, key=lambda cut: derive_seed(seed, "utterance", cut.id)))


def merge(first: Captured, second: Captured) -> Captured:
    """Give what the utterances of both would have given together (Chan, Golub and LeVeque 1979).

    Raises:
        CaptureError: if they are of different encoders, lengths or seeds.
    """
    same = ("name", "step_seconds", "seed", "kept")
    if first.mean.shape != second.mean.shape or any(getattr(first, it) != getattr(second, it) for it in same):
        raise CaptureError("maps of different encoders, lengths or seeds cannot be merged")
    count = first.count + second.count
    share = second.count / count
    apart = second.mean - first.mean
    return Captured(
        **{name: getattr(first, name) for name in same},
        count=count,
        mean=first.mean + apart * share,
        squares=first.squares + second.squares + np.square(apart) * (first.count * share),
        measures={name: value + (second.measures[name] - value) * share for name, value in first.measures.items()},
        categories=first.categories + second.categories,
        singles=_sample([*first.singles, *second.singles], first.seed, first.kept),
        skipped=(*first.skipped, *second.skipped),
    )


def _capture_batch(source: MapSource, batch: CropBatch, seed: int, singles: int) -> Captured:
    with torch.random.fork_rng(devices=[]):  # some mechanisms draw random numbers
        torch.manual_seed(derive_seed(seed, "maps", *batch.ids))
        maps = source.maps(batch.inputs).float().numpy().swapaxes(1, 2)  # layers heads batch time time
    mean = maps.mean(2, dtype=np.float64)
    measures = measure(maps)
    found = categorise(measures)
    kept = _sample(
        [
            Single(name, crop.start_seconds, maps[:, :, i].astype(np.float16), crop.log_mel.numpy())
            for i, (name, crop) in enumerate(zip(batch.ids, batch.crops, strict=True))
        ],
        seed,
        singles,
    )
    return Captured(
        name=source.name,
        step_seconds=source.step_seconds,
        seed=seed,
        count=len(batch.ids),
        mean=mean,
        squares=np.square(maps - mean[:, :, None]).sum(2),
        measures={name: measures[name].mean(2) for name in MEASURES},
        categories=np.stack([(found == place).sum(2) for place in range(len(CATEGORIES))], axis=-1),
        singles=kept,
        kept=singles,
    )


def _sample(of: list[Single], seed: int, count: int) -> tuple[Single, ...]:
    """Choose singles by a number that their id has for life: the same from any order and any parts."""
    return tuple(heapq.nsmallest(count, of, key=lambda one: derive_seed(seed, "single", one.cut_id)))


def _crop(source: MapSource, cut: "Cut", steps: int, seed: int) -> Crop:
    waveform = cut_waveform(cut, source.sampling_rate)
    starts = source.starts(len(waveform), steps)
    if not starts:
        raise ValueError(f"has {source.steps(len(waveform))} steps, a crop {steps}")
    generator = torch.Generator().manual_seed(derive_seed(seed, "crop", cut.id))
    return source.crop(waveform, int(torch.randint(starts, (), generator=generator)), steps)


def _batch(waiting: list[tuple[str, Crop]]) -> CropBatch:
    ids, crops = zip(*waiting, strict=True)
    return CropBatch(ids, crops, torch.stack([crop.inputs for crop in crops]))


def _with_skipped(captured: Captured, skipped: list[tuple[str, str]]) -> Captured:
    return replace(captured, skipped=(*captured.skipped, *skipped))
