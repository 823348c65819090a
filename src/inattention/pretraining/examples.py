"""Training examples from cuts: features, crops and masks that depend on seed, epoch and cut alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from inattention.audio.config import FeatureConfig
from inattention.audio.frames import stack, statistics
from inattention.audio.log_mel import linear_target, log_mel
from inattention.audio.reader import AudioError, cut_waveform
from inattention.corpora.features.stored_features import read_frames
from inattention.pretraining.config import PretrainingConfig
from inattention.pretraining.masking import corrupt, draw_corruption, draw_mask, span_starts
from inattention.seeding import derive_seed

if TYPE_CHECKING:
    from lhotse.cut import Cut

HELD_OUT = "held-out"


class Example(NamedTuple):
    """One masked utterance.

    Attributes:
        features: input of the model.
        target: what it has to predict in masked frames.
        masked: True at masked frames.
    """

    features: Float[Tensor, "time size"]
    target: Float[Tensor, "time target_size"]
    masked: Bool[Tensor, " time"]


class Batch(NamedTuple):
    """Utterances padded to the longest.

    Attributes:
        features: input of the model.
        target: what it has to predict in masked frames.
        masked: True at masked frames.
        valid: padding mask, True at real frames.
        position: epoch, and offset of the batch in it.
        ids: the cuts.
        skipped: id and reason of each cut that could not be used.
        masked_bins: number of masked bins in this process's share of the batch, of which this may be a micro-batch.
        micro_batch: index of the micro-batch.
        micro_batches: number of micro-batches.
    """

    features: Float[Tensor, "batch time size"]
    target: Float[Tensor, "batch time target_size"]
    masked: Bool[Tensor, "batch time"]
    valid: Bool[Tensor, "batch time"]
    position: tuple[int, int]
    ids: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    masked_bins: int
    micro_batch: int = 0
    micro_batches: int = 1

    @property
    def is_last(self) -> bool:
        """Whether an optimizer step follows this micro-batch."""
        return self.micro_batch == self.micro_batches - 1


def split(batch: Batch, count: int) -> list[Batch]:
    """Split a batch into micro-batches; if it has fewer utterances, some hold one invalid frame only."""
    if count == 1:
        return [batch]
    micro_batches, first = [], 0
    for index, rows in enumerate(torch.arange(len(batch.ids)).tensor_split(count)):
        ids = batch.ids[first : first + len(rows)]
        first += len(rows)
        if ids:
            time = int(batch.valid[rows].sum(1).max())
            tensors = [tensor[rows, :time] for tensor in batch[:4]]
        else:
            tensors = [torch.zeros_like(tensor[:1, :1]) for tensor in batch[:4]]
        skipped = batch.skipped if index == count - 1 else ()
        micro_batches.append(Batch(*tensors, batch.position, ids, skipped, batch.masked_bins, index, count))
    return micro_batches


class Frames(NamedTuple):
    """Features that are computed once per utterance: log-mel frames and, for the target ``linear``, linear spectra."""

    log_mel: Float[Tensor, "frames mels"]
    linear: Float[Tensor, "frames bins"] | None


def target_size(config: PretrainingConfig, features: FeatureConfig) -> int:
    """Return the dimensions of a frame's target."""
    sizes = {"log-mel": features.mels, "input": features.frame_size, "linear": features.fft_size // 2 + 1}
    return sizes[config.target] * features.stack


class MaskedExamples(Dataset):
    """Maps (epoch, offset, cuts) to a `Batch`.

    Masks and crops depend on the seed, the epoch and the cut's id: not on the batch, the device or the process that
    prepares it.

    Args:
        features: how waveforms become features.
        config: the target, and how frames are masked.
        max_length: longer utterances are cropped at random to this many frames.
        seed: seed of masks and crops.
        stored: folder of stored features to read from; None computes them from audio.
    """

    def __init__(
        self,
        features: FeatureConfig,
        config: PretrainingConfig,
        *,
        max_length: int,
        seed: int,
        stored: Path | None = None,
    ) -> None:
        self.features = features
        self.config = config
        self.max_length = max_length
        self.seed = seed
        self.stored = stored
        self._cache: dict[str, Frames] = {}
        self._cache_bytes = 0

    def __getitem__(self, index: tuple[int | str, int, "Sequence[Cut]"]) -> Batch:
        """Return the batch of some cuts.

        Args:
            index: epoch, offset of the batch and cuts; or ``held-out``, number of the draw of masks and cuts.
        """
        epoch, offset, cuts = index
        examples, ids, skipped = [], [], []
        for cut in cuts:
            try:
                examples.append(self.example(cut, epoch, draw=offset if epoch == HELD_OUT else 0))
                ids.append(cut.id)
            except AudioError as error:
                skipped.append((cut.id, str(error)))
        position = (-1, offset) if isinstance(epoch, str) else (epoch, offset)
        return self._collate(examples, position, tuple(ids), tuple(skipped))

    def example(self, cut: "Cut", epoch: int | str, draw: int = 0) -> Example:
        """Mask one utterance. On held-out data, masked frames are always zero.

        Raises:
            AudioError: if the cut's audio cannot be used or is too short.
        """
        config, features = self.config, self.features
        frames = self._frames(cut)
        time = len(frames.log_mel) // features.stack
        if span_starts(time, config.masking) < 2:
            raise AudioError(f"cut {cut.id}: {time} frames are too few to mask {config.masking.span_steps} of them")
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "mask", epoch, draw, cut.id))
        length = min(time, self.max_length)
        start = int(torch.randint(time - length + 1, (), generator=generator))
        masked = torch.zeros(time, dtype=torch.bool)
        masked[start : start + length] = draw_mask(length, config.masking, generator)
        corruption = draw_corruption(config.masking, generator)
        hidden, clean = corrupt(
            frames.log_mel,
            masked,
            "zero" if epoch == HELD_OUT else corruption,
            features,
            before_deltas=config.masking.before_deltas,
            generator=generator,
        )
        window = slice(start, start + length)
        return Example(hidden[window], self._target(frames, clean)[window], masked[window])

    def _target(self, frames: Frames, clean: Float[Tensor, "time size"]) -> Float[Tensor, "time target_size"]:
        features = self.features
        if self.config.target == "input":
            return clean
        if self.config.target == "log-mel":
            return clean.unflatten(1, (features.stack, features.frame_size))[..., : features.mels].flatten(1)
        assert frames.linear is not None
        mean, deviation = statistics(frames.linear)
        return stack((frames.linear - mean) / deviation, features.stack)

    def _frames(self, cut: "Cut") -> Frames:
        if cut.id in self._cache:
            return self._cache[cut.id]
        frames = self._stored(cut) or self._computed(cut)
        size = sum(tensor.nbytes for tensor in frames if tensor is not None)
        if self._cache_bytes + size <= self.config.cache_megabytes * 2**20:
            self._cache[cut.id] = frames
            self._cache_bytes += size
        return frames

    def _stored(self, cut: "Cut") -> Frames | None:
        """Return stored features; None if they are not used, missing or damaged."""
        frames = None if self.stored is None else read_frames(self.stored, cut, self.features)
        return None if frames is None else Frames(frames, None)

    def _computed(self, cut: "Cut") -> Frames:
        waveform = cut_waveform(cut, self.features.sampling_rate)
        linear = linear_target(waveform, self.features) if self.config.target == "linear" else None
        return Frames(log_mel(waveform, self.features), linear)

    def _collate(
        self,
        examples: list[Example],
        position: tuple[int, int],
        ids: tuple[str, ...],
        skipped: tuple[tuple[str, str], ...],
    ) -> Batch:
        if not examples:  # no cut could be used: one invalid frame, which contributes nothing to the loss
            nothing = torch.zeros(1, 1, dtype=torch.bool)
            features = torch.zeros(1, 1, self.features.size)
            target = torch.zeros(1, 1, target_size(self.config, self.features))
            return Batch(features, target, nothing, nothing, position, ids, skipped, 0)
        masked_bins = sum(int(example.masked.sum()) * example.target.shape[1] for example in examples)
        valid = [torch.ones(len(example.masked), dtype=torch.bool) for example in examples]
        return Batch(
            pad_sequence([example.features for example in examples], batch_first=True),
            pad_sequence([example.target for example in examples], batch_first=True),
            pad_sequence([example.masked for example in examples], batch_first=True),
            pad_sequence(valid, batch_first=True),
            position,
            ids,
            skipped,
            masked_bins,
        )
