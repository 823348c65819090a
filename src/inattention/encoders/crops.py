"""Crops of equal length from the utterances of a corpus, in batches.

Which utterances are chosen and where they are cropped depends on the seed and the ids of the cuts alone.
"""

import heapq
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from inattention.audio.reader import cut_waveform
from inattention.encoders.base import Crop, MapSource
from inattention.progress import bar as progress_bar
from inattention.seeding import derive_seed

if TYPE_CHECKING:
    from lhotse.cut import Cut

BATCH_BYTES = 2**26  # of attention maps in memory at once

Skipped = tuple[str, str]  # the id of a cut, and the reason


class CropError(ValueError):
    """No crops can be taken; the message states what is wrong, where, and what to do."""


@dataclass(frozen=True)
class CropBatch:
    """Crops of equal length.

    Attributes:
        ids: of the cuts.
        crops: the crops.
        inputs: their inputs, stacked.
    """

    ids: tuple[str, ...]
    crops: tuple[Crop, ...]
    inputs: Float[Tensor, "batch ..."]


def crop_batches(
    source: MapSource,
    cuts: "Iterable[Cut]",
    *,
    crop_steps: int,
    seed: int,
    skipped: list[Skipped],
    progress: bool = False,
) -> Iterator[CropBatch]:
    """Crop utterances to equal length at random places and yield them in batches.

    Args:
        source: encoder that takes the crops.
        cuts: utterances, read once.
        crop_steps: number of frames of a crop.
        seed: of the places.
        skipped: list that the ids of unusable utterances are appended to, with the reasons.
        progress: show a bar on stderr if it takes long.

    Raises:
        CropError: if crops are longer than the encoder takes, or too short for a map.
    """
    if crop_steps < source.shortest or crop_steps > (source.longest or crop_steps):
        limits = f"at least {source.shortest}" + (f" and at most {source.longest}" if source.longest else "")
        raise CropError(f"{source.name} takes crops of {limits} frames, not of {crop_steps}")
    size = max(1, BATCH_BYTES // (4 * source.layers * source.heads * crop_steps**2))
    bar = progress_bar(cuts, desc=f"{source.name}: maps", unit="utterance", show=progress)
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


def no_crops(crop_steps: int, skipped: Sequence[Skipped], where: str = "") -> CropError:
    """Return the error for a set of utterances that yielded no crop.

    Args:
        crop_steps: number of frames of a crop.
        skipped: unusable utterances, the first of which is quoted.
        where: the split, if there are several.

    >>> no_crops(400, [("a", "is silent")], "dev")
    CropError('no usable utterance of dev is as long as a crop of 400 frames; the first: a: is silent')
    """
    of = f" of {where}" if where else ""
    reason = f"; the first: {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
    return CropError(f"no usable utterance{of} is as long as a crop of {crop_steps} frames{reason}")


def common_length(source: MapSource, cuts: "Iterable[Cut]", at_most: int = 128) -> int:
    """Return a crop length that half of the utterances reach.

    Args:
        source: encoder that takes the crops; its limits are kept.
        cuts: utterances.
        at_most: number of frames that the length does not exceed.

    Returns:
        The lower median of the lengths in frames, within the limits.

    Raises:
        CropError: if there are no utterances.
    """
    lengths = [source.steps(round(cut.duration * source.sampling_rate)) for cut in cuts]
    if not lengths:
        raise CropError("there are no utterances to take maps of")
    return max(source.shortest, min(statistics.median_low(lengths), at_most, source.longest or at_most))


def choose(
    source: MapSource, cuts: "Iterable[Cut]", crop_steps: int, utterances: int | None, seed: int
) -> "Iterator[Cut]":
    """Choose utterances at random among those that are long enough by their manifest.

    Args:
        source: encoder that takes the crops.
        cuts: utterances.
        crop_steps: number of frames that they must have.
        utterances: number of utterances; None for all.
        seed: of the choice.
    """
    long_enough = (cut for cut in cuts if source.starts(round(cut.duration * source.sampling_rate), crop_steps))
    if utterances is None:
        return long_enough
    return iter(heapq.nsmallest(utterances, long_enough, key=lambda cut: derive_seed(seed, "utterance", cut.id)))


def _crop(source: MapSource, cut: "Cut", steps: int, seed: int) -> Crop:
    waveform = cut_waveform(cut, source.sampling_rate)
    starts = source.starts(len(waveform), steps)
    if not starts:
        raise ValueError(f"has {source.steps(len(waveform))} frames, fewer than the {steps} of a crop")
    generator = torch.Generator().manual_seed(derive_seed(seed, "crop", cut.id))
    return source.crop(waveform, int(torch.randint(starts, (), generator=generator)), steps)


def _batch(waiting: list[tuple[str, Crop]]) -> CropBatch:
    ids, crops = zip(*waiting, strict=True)
    return CropBatch(ids, crops, torch.stack([crop.inputs for crop in crops]))
