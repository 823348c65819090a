"""From cuts to training examples: features, crops and masks that depend on seed, pass and cut alone."""

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
from inattention.corpora.core.stored_features import read_frames
from inattention.pretraining.config import PretrainingConfig
from inattention.pretraining.masking import choose_corruption, choose_steps, corrupt, slots
from inattention.seeding import derive_seed

if TYPE_CHECKING:
    from lhotse.cut import Cut

HELD_OUT = "held-out"


class Example(NamedTuple):
    """One utterance, masked.

    Attributes:
        features: what the model sees.
        target: what it should say of the hidden steps.
        chosen: which steps are hidden.
    """

    features: Float[Tensor, "time size"]
    target: Float[Tensor, "time target_size"]
    chosen: Bool[Tensor, " time"]


class Batch(NamedTuple):
    """Utterances padded to the longest.

    Attributes:
        features: what the model sees.
        target: what it should say of the hidden steps.
        chosen: which steps are hidden.
        valid: which steps are real.
        position: the pass over the corpus and the batch within it: where to go on after this batch.
        ids: the cuts.
        skipped: cuts that could not be used, and why.
        cells: masked cells of the process's whole share of the batch, of which this may be a piece.
        piece: which piece this is, from 0.
        pieces: how many there are.
    """

    features: Float[Tensor, "batch time size"]
    target: Float[Tensor, "batch time target_size"]
    chosen: Bool[Tensor, "batch time"]
    valid: Bool[Tensor, "batch time"]
    position: tuple[int, int]
    ids: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    cells: int
    piece: int = 0
    pieces: int = 1


def split(batch: Batch, pieces: int) -> list[Batch]:
    """Cut a batch into so many pieces; where it has fewer utterances, some hold one invalid step and no more."""
    if pieces == 1:
        return [batch]
    split, first = [], 0
    for piece, rows in enumerate(torch.arange(len(batch.ids)).tensor_split(pieces)):
        ids = batch.ids[first : first + len(rows)]
        first += len(rows)
        if ids:
            steps = int(batch.valid[rows].sum(1).max())
            parts = [part[rows, :steps] for part in batch[:4]]
        else:
            parts = [torch.zeros_like(part[:1, :1]) for part in batch[:4]]
        skipped = batch.skipped if piece == pieces - 1 else ()
        split.append(Batch(*parts, batch.position, ids, skipped, batch.cells, piece, pieces))
    return split


class Frames(NamedTuple):
    """What is computed once for an utterance: log-mel frames and, for the linear target, its frames."""

    log_mel: Float[Tensor, "frames mels"]
    linear: Float[Tensor, "frames bins"] | None


def target_size(config: PretrainingConfig, features: FeatureConfig) -> int:
    """Give the dimensions of a step's target."""
    sizes = {"log-mel": features.mels, "input": features.frame_size, "linear": features.fft_size // 2 + 1}
    return sizes[config.target] * features.stack


class MaskedExamples(Dataset):
    """Turns (pass, offset, cuts) into a `Batch`.

    What is hidden, and where a long utterance is cropped, depends on the seed, the pass over the corpus and the
    cut's id: not on the batch, the device or the process that prepares it.

    Args:
        features: how a waveform becomes features.
        config: the target, and how steps are hidden.
        max_length: longer utterances are cropped at random to so many steps.
        seed: of masks and crops.
        stored: the folder of stored features to read from; None to compute them.
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
        self._kept: dict[str, Frames] = {}
        self._kept_bytes = 0

    def __getitem__(self, index: tuple[int | str, int, "Sequence[Cut]"]) -> Batch:
        """Give the batch for a pass (a number, or ``held-out`` and a draw) and its cuts."""
        which, offset, cuts = index
        examples, ids, skipped = [], [], []
        for cut in cuts:
            try:
                examples.append(self.example(cut, which, draw=offset if which == HELD_OUT else 0))
                ids.append(cut.id)
            except AudioError as error:
                skipped.append((cut.id, str(error)))
        position = (-1, offset) if isinstance(which, str) else (which, offset)
        return self._collate(examples, position, tuple(ids), tuple(skipped))

    def example(self, cut: "Cut", which: int | str, draw: int = 0) -> Example:
        """Mask one utterance. In held-out passes hidden steps always become zero.

        Raises:
            AudioError: if the cut's audio cannot be used or is too short.
        """
        config, features = self.config, self.features
        frames = self._frames(cut)
        time = len(frames.log_mel) // features.stack
        if slots(time, config.masking) < 2:
            raise AudioError(f"cut {cut.id}: {time} steps are too few to hide {config.masking.span_steps} of them")
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "mask", which, draw, cut.id))
        length = min(time, self.max_length)
        start = int(torch.randint(time - length + 1, (), generator=generator))
        chosen = torch.zeros(time, dtype=torch.bool)
        chosen[start : start + length] = choose_steps(length, config.masking, generator)
        how = choose_corruption(config.masking, generator)
        hidden, clean = corrupt(
            frames.log_mel,
            chosen,
            "zero" if which == HELD_OUT else how,
            features,
            before_deltas=config.masking.before_deltas,
            generator=generator,
        )
        window = slice(start, start + length)
        return Example(hidden[window], self._target(frames, clean)[window], chosen[window])

    def _target(self, frames: Frames, clean: Tensor) -> Tensor:
        features = self.features
        if self.config.target == "input":
            return clean
        if self.config.target == "log-mel":
            return clean.unflatten(1, (features.stack, features.frame_size))[..., : features.mels].flatten(1)
        assert frames.linear is not None
        mean, spread = statistics(frames.linear)
        return stack((frames.linear - mean) / spread, features.stack)

    def _frames(self, cut: "Cut") -> Frames:
        if cut.id in self._kept:
            return self._kept[cut.id]
        frames = self._stored(cut) or self._computed(cut)
        size = sum(tensor.nbytes for tensor in frames if tensor is not None)
        if self._kept_bytes + size <= self.config.cache_megabytes * 2**20:
            self._kept[cut.id] = frames
            self._kept_bytes += size
        return frames

    def _stored(self, cut: "Cut") -> Frames | None:
        """What was stored, where that is to be used, is there and is whole; else the audio is asked."""
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
        if not examples:  # every cut was bad: one invalid step, which no loss looks at
            nothing = torch.zeros(1, 1, dtype=torch.bool)
            features = torch.zeros(1, 1, self.features.size)
            target = torch.zeros(1, 1, target_size(self.config, self.features))
            return Batch(features, target, nothing, nothing, position, ids, skipped, 0)
        cells = sum(int(example.chosen.sum()) * example.target.shape[1] for example in examples)
        valid = [torch.ones(len(example.chosen), dtype=torch.bool) for example in examples]
        return Batch(
            pad_sequence([example.features for example in examples], batch_first=True),
            pad_sequence([example.target for example in examples], batch_first=True),
            pad_sequence([example.chosen for example in examples], batch_first=True),
            pad_sequence(valid, batch_first=True),
            position,
            ids,
            skipped,
            cells,
        )
