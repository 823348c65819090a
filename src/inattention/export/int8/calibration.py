"""Recordings on which the ranges of activations are measured, as the encoder hears them."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from inattention.audio.decoding import AudioError
from inattention.audio.listing import list_audio
from inattention.audio.reader import load_audio
from inattention.export.config import ExportError
from inattention.export.int8.quantiser import Inputs
from inattention.export.lowering import INPUTS
from inattention.export.subject import Part, Subject
from inattention.progress import bar as progress_bar
from inattention.progress import message
from inattention.seeding import derive_seed
from inattention.text import printable

MOST_RECORDINGS = 64
MOST_SECONDS = 30.0  # of each recording
CHECKED_RECORDINGS = 4


@dataclass
class Calibration:
    """Inputs of an encoder from recordings of a folder, at most `MOST_RECORDINGS` of `MOST_SECONDS` each.

    Which ones follows from their names. They are encoded one by one: padding would be measured like speech. A
    recording that cannot be used is reported, and another takes its place.

    Args:
        folder: the recordings.
        subject: the encoder.
        progress: show a progress bar.

    Attributes:
        recordings: number of recordings that were used.
        seconds: their duration, as far as they were used.
        skipped: reason for each that could not be used.

    Raises:
        ExportError: if there are no recordings.
    """

    folder: Path
    subject: Subject
    progress: bool = True
    recordings: int = field(default=0, init=False)
    seconds: float = field(default=0.0, init=False)
    skipped: dict[str, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._files = calibration_files(self.folder)

    def __iter__(self) -> Iterator[Inputs]:
        """Yield the inputs.

        Raises:
            ExportError: if no recording can be used.
        """
        self.recordings, self.seconds, self.skipped = 0, 0.0, {}
        total = min(len(self._files), MOST_RECORDINGS)
        with progress_bar(total=total, desc="calibration", unit="recording", show=self.progress) as bar:
            for path in self._files:
                if self.recordings == MOST_RECORDINGS:
                    break
                yield from self._inputs(path)
                bar.update(1)
        if not self.recordings:
            name, reason = next(iter(self.skipped.items()))
            raise ExportError(
                f"--calibrate {self.folder}: none of {len(self.skipped)} recordings can be used; the first, "
                f"{printable(name)}: {printable(reason)}"
            )

    def checked(self) -> list[Tensor]:
        """Return some recordings to compare the file with the model on: of a large folder, none that were used."""
        found = []
        for path in reversed(self._files):
            with suppress(ValueError):
                found.append(self._read(path)[0])
            if len(found) == CHECKED_RECORDINGS:
                break
        return found

    def _read(self, path: Path) -> tuple[Tensor, list[Part]]:
        rate = self.subject.source.sampling_rate
        waveform = load_audio(path, rate)[: round(MOST_SECONDS * rate)]
        return waveform, self.subject.parts(waveform)

    def _inputs(self, path: Path) -> Iterator[Inputs]:
        """Yield the inputs of a recording, if it can be used."""
        rate = self.subject.source.sampling_rate
        try:
            waveform, parts = self._read(path)
        except ValueError as error:
            reason = str(error).removeprefix(f"{path}: ")
            self.skipped[str(path)] = reason
            message(f"skipped {printable(f'{path}: {reason}')}")
            return
        self.recordings += 1
        self.seconds += len(waveform) / rate
        for part in parts:
            yield dict(zip(INPUTS, (part.features.numpy(), part.valid.numpy()), strict=True))


def calibration_files(folder: Path) -> Sequence[Path]:
    """Return the audio files below a folder in an order of chance, the same for the same names.

    Raises:
        ExportError: if there are none.
    """
    try:
        files = list_audio(folder).files
    except AudioError as error:
        raise ExportError(f"--calibrate {error}") from error
    if not files:
        raise ExportError(f"--calibrate {folder}: contains no audio files")
    order = np.random.default_rng(derive_seed(0, "calibration")).permutation(len(files))
    return [files[place] for place in order]
