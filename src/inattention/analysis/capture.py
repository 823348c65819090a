"""Attention maps of an encoder over a corpus: their mean, their variance, and a sample of single maps.

    captured = capture(model, open_corpus("corpora/espeak"), split="dev", utterances=200, crop_steps=96, seed=0)
    captured.mean.shape        # (layers, heads, 96, 96)

Utterances are cropped to the same number of frames and encoded batch by batch; only sums are kept, so memory does not
grow with the corpus. The choice of utterances, crops and single maps depends on the seed and on the ids of the cuts
alone, so that captures of parts of a corpus can be merged into the capture of the whole.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from inattention.analysis.measures import CATEGORIES, MEASURES, categorise, input_dependence, measure
from inattention.corpora.core.corpus import Corpus
from inattention.encoders.base import MapSource
from inattention.encoders.crops import CropBatch, Skipped, choose, common_length, crop_batches, no_crops
from inattention.encoders.open import as_source
from inattention.seeding import derive_seed

if TYPE_CHECKING:
    from lhotse.cut import Cut


@dataclass(frozen=True)
class Single:
    """Attention maps of one utterance.

    Attributes:
        cut_id: id of the cut.
        start_seconds: start of the crop in the utterance.
        maps: its maps in half precision, which keeps three digits of each weight.
        log_mel: log-mel spectrum at each frame.
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
        step_seconds: frame shift in seconds; None if frames do not follow each other in time.
        seed: of the choice of crops and single maps.
        count: number of utterances.
        mean: mean of each weight over utterances.
        squares: summed squared deviation of each weight from its mean.
        measures: mean of each measure over single maps, (layers, heads) each.
        categories: number of single maps of each of `CATEGORIES`.
        singles: a random sample, independent of the order of utterances.
        kept: largest number of single maps in the sample.
        skipped: ids of utterances that could not be used, with the reasons.
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
    skipped: tuple[Skipped, ...] = ()

    @property
    def steps(self) -> int:
        """Number of queries and of keys of a map."""
        return self.mean.shape[-1]

    @property
    def variance(self) -> Float[np.ndarray, "layers heads time time"]:
        """Unbiased variance of each weight over utterances; NaN for a single utterance."""
        return self.squares / (self.count - 1) if self.count > 1 else np.full_like(self.squares, np.nan)

    @property
    def input_dependence(self) -> Float[np.ndarray, "layers heads"]:
        """Share of the variation of a head's maps that their mean does not explain."""
        return input_dependence(self.mean, self.variance, self.count)


def capture(
    model: MapSource | nn.Module,
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
        utterances: number of utterances, chosen at random among those that are long enough; None for all.
        crop_steps: number of frames of a crop; defaults to `common_length`.
        seed: of the choices of utterances, crops and single maps.
        singles: number of single maps in the sample.
        progress: show a bar on stderr if it takes long.

    Raises:
        CropError: if no utterance can be used, or crops are longer than the encoder takes.
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
    """Capture the maps of given utterances; those that cannot be used are skipped and recorded.

    Args:
        source: the encoder.
        cuts: utterances, read once.
        crop_steps: number of frames of a crop.
        seed: of the choices of crops and single maps.
        singles: number of single maps in the sample.
        progress: show a bar on stderr if it takes long.

    Raises:
        CropError: if no utterance can be used, or crops are longer than the encoder takes.
    """
    skipped: list[Skipped] = []
    so_far: Captured | None = None
    for batch in crop_batches(source, cuts, crop_steps=crop_steps, seed=seed, skipped=skipped, progress=progress):
        found = _capture_batch(source, batch, seed, singles)
        so_far = found if so_far is None else merge(so_far, found)
    if so_far is None:
        raise no_crops(crop_steps, skipped)
    return replace(so_far, skipped=(*so_far.skipped, *skipped))


def merge(first: Captured, second: Captured) -> Captured:
    """Return the capture of the utterances of both (Chan, Golub and LeVeque 1979).

    Raises:
        ValueError: if they are of different encoders, lengths or seeds.
    """
    same = ("name", "step_seconds", "seed", "kept")
    if first.mean.shape != second.mean.shape or any(getattr(first, it) != getattr(second, it) for it in same):
        raise ValueError("maps of different encoders, lengths or seeds cannot be merged")
    count = first.count + second.count
    share = second.count / count  # of the second capture
    difference = second.mean - first.mean
    return Captured(
        **{name: getattr(first, name) for name in same},
        count=count,
        mean=first.mean + difference * share,
        squares=first.squares + second.squares + np.square(difference) * (first.count * share),
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


def _sample(singles: list[Single], seed: int, count: int) -> tuple[Single, ...]:
    """Sample single maps by a random number derived from their id, independent of order and of merging."""
    return tuple(heapq.nsmallest(count, singles, key=lambda one: derive_seed(seed, "single", one.cut_id)))
