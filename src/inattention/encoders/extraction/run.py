"""Extraction of features from every recording in a folder: batched by length, resumable, tolerant of bad files.

Threads read recordings ahead while the encoder works. A window of them is sorted by length, so that the recordings of a
batch have similar lengths; memory is bounded by the window, not by the number of files. Long recordings are read,
encoded and written piece by piece, so that it is not bounded by their length either.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from inattention.audio.limits import Truncated
from inattention.audio.listing import Listing, list_audio
from inattention.audio.reader import AudioError
from inattention.encoders.extraction.config import ExtractionConfig
from inattention.encoders.extraction.encoders import CHUNKS, BlockSettings, Extractor, extractor_of
from inattention.encoders.extraction.folder import ExtractionError, ExtractionFolder, NameRefused, Recording, Settings
from inattention.encoders.open import open_features
from inattention.model.reach import UnlimitedReach
from inattention.model.recording import Extracted
from inattention.progress import Bar, message
from inattention.progress import bar as progress_bar
from inattention.provenance import provenance
from inattention.text import printable

# Number of batches whose recordings are sorted by length together.
WINDOW_BATCHES = 8


@dataclass(frozen=True)
class ExtractionSummary:
    """Outcome of an extraction.

    Attributes:
        files: number of audio files found, with those that are no plain files or whose link leads nowhere.
        extracted: number of files extracted by this call.
        done_before: number of files that an earlier call had extracted.
        bad_files: reason by name of each file that could not be used.
        ignored: number of files that are no audio that can be decoded, by a description of them.
        audio_seconds: duration of the audio extracted by this call.
        wall_seconds: time that it took.
        out: the output folder.
        reach: audio that a frame depends on and what is left out of it, in words; empty without blocks.
    """

    files: int
    extracted: int
    done_before: int
    bad_files: Mapping[str, str]
    ignored: Mapping[str, int]
    audio_seconds: float
    wall_seconds: float
    out: Path
    reach: str = ""

    @property
    def bad(self) -> int:
        """Number of files that could not be used."""
        return len(self.bad_files)

    @property
    def audio_hours(self) -> float:
        """Duration of the audio extracted by this call, in hours."""
        return self.audio_seconds / 3600

    @property
    def audio_seconds_per_second(self) -> float:
        """Seconds of audio extracted per second."""
        return self.audio_seconds / self.wall_seconds


def extract_folder(
    model: str,
    folder: str | Path,
    out: str | Path,
    *,
    layer: int = -1,
    format: Literal["safetensors", "npy"] = "safetensors",
    batch_seconds: float = 120.0,
    block: float | None = None,
    bound: float = 0.0,
    device: str = "auto",
    overwrite: bool = False,
    truncated: Truncated = "skip",
    progress: bool = True,
) -> ExtractionSummary:
    """Extract the features of every audio file below a folder, or of a single file.

    A second call continues with files that are new, changed or missing. A file that cannot be used is reported on
    stderr with the reason, skipped and counted.

    Args:
        model: a model's folder or hub name.
        folder: folder of recordings, recognised by their content, or a single one; links to folders are not followed.
        out: output folder; features are named after their recordings, suffix included, with a further suffix.
        layer: hidden state to extract: 0 is the embedded input, 1 the first layer, -1 the last.
        format: ``safetensors`` (tensors ``features`` of (time, width) and ``times`` in seconds, with metadata), or
            ``npy`` (two files).
        batch_seconds: seconds of audio encoded at once.
        block: seconds of a block, for features of one pass over each whole recording; see `ExtractionConfig`.
        bound: greatest part of a row of weights that Toeplitz tables may leave out, with ``block``.
        device: device of the model; ``auto`` selects a GPU if there is one.
        overwrite: extract everything again and replace the contents of ``out``.
        truncated: ``skip`` files that end before their header says, or ``keep`` what is there of them.
        progress: show a bar on stderr.

    Raises:
        ExtractionError: if there is nothing to extract, ``out`` contains something else (another model's features,
            for example) or cannot be written, or the device cannot be used.
        ModelFolderError: if the model cannot be loaded.
        ValueError: for an option that does not suit the model: no such layer, ``block`` without a limited reach.
    """
    ExtractionConfig(layer=layer, format=format, batch_seconds=batch_seconds, block=block, bound=bound, device=device)
    listing = list_audio(folder)
    if not listing.files:
        beside = "".join(f"\n  {count} x {what}" for what, count in sorted(listing.ignored.items()))
        beside += "".join(f"\n  {printable(str(path))}: {reason}" for path, reason in listing.bad.items())
        raise ExtractionError(f"{folder}: contains no audio files{beside}")
    encoder = _opened(model, BlockSettings(block, bound))
    _move(encoder.model, device)
    settings = Settings(
        layer=_number_of(layer, encoder.layers, model),
        model=encoder.fingerprint(),
        format=format,
        input=os.path.realpath(folder),
        encoding=encoder.encoding,
    )
    with ExtractionFolder(Path(out), settings, _about(encoder, model), overwrite=overwrite) as output:
        root = Path(folder) if Path(folder).is_dir() else Path(folder).parent
        extraction = _Extraction(encoder, printable(model), root, output, batch_seconds, truncated, progress)
        return extraction.run(listing)


class _Read(NamedTuple):
    """A recording as the encoder's input, and its number of frames."""

    recording: Recording
    input: Tensor
    frames: int


class _Extraction:
    """One pass over the files that are not finished."""

    def __init__(
        self,
        encoder: Extractor,
        model_name: str,
        folder: Path,
        output: ExtractionFolder,
        batch_seconds: float,
        truncated: Truncated,
        progress: bool,
    ) -> None:
        self.encoder, self.model_name, self.folder, self.output = encoder, model_name, folder, output
        self.truncated, self.progress = truncated, progress
        self.budget = max(1, int(batch_seconds / encoder.step_seconds))  # frames of a batch, padding included
        self.steps = self.extracted = 0
        self.bad: dict[str, str] = {}

    def run(self, listing: Listing) -> ExtractionSummary:
        began, paths = perf_counter(), listing.files
        for path, reason in listing.bad.items():
            self._refuse(path.relative_to(self.folder).as_posix(), f"{path}: {reason}")
        unreadable = len(self.bad)
        todo = list(self._unfinished(paths))
        done_before = len(paths) + unreadable - len(todo) - len(self.bad)
        hidden = not (self.progress and todo)
        with progress_bar(total=len(todo), desc="extract", unit="file", show=not hidden) as bar:
            for window in self._windows(todo, bar):
                for batch in _batches(window, self.budget):
                    self._encode(batch)
                    bar.update(len(batch))
                    bar.set_postfix_str(f"{self._seconds / (perf_counter() - began):.0f} s of audio a second")
        return ExtractionSummary(
            files=len(paths) + unreadable,
            extracted=self.extracted,
            done_before=done_before,
            bad_files=self.bad,
            ignored=listing.ignored,
            audio_seconds=self._seconds,
            wall_seconds=perf_counter() - began,
            out=self.output.folder,
            reach=self.encoder.reach,
        )

    @property
    def _seconds(self) -> float:
        return self.steps * self.encoder.step_seconds

    def _unfinished(self, paths: Iterable[Path]) -> Iterator[Recording]:
        for path in paths:
            name = path.relative_to(self.folder).as_posix()
            try:
                state = path.stat()
            except OSError as error:  # deleted since the folder was listed
                self._refuse(name, f"{path}: cannot be read ({error.strerror})")
                continue
            recording = Recording(name, path, state.st_size, state.st_mtime_ns)
            if not self.output.has(recording):
                yield recording

    def _windows(self, todo: Iterable[Recording], bar: Bar) -> Iterator[list[_Read]]:
        """Yield recordings in windows of some minutes, each sorted by length."""
        window: list[_Read] = []
        steps = 0
        for recording, future in _read_ahead(todo, self.encoder, self.truncated):
            try:
                read = future.result()
                if read is None:
                    self._long(recording, bar)
                    continue
                window.append(_Read(recording, read, self.encoder.frames(read)))
            except AudioError as error:
                self._refuse(recording.name, str(error))
                bar.update()
                continue
            steps += window[-1].frames
            if steps >= WINDOW_BATCHES * self.budget:
                yield sorted(window, key=_frames)
                window, steps = [], 0
        if window:
            yield sorted(window, key=_frames)

    def _encode(self, batch: list[_Read]) -> None:
        """Encode recordings of similar lengths and write their features."""
        values = self.encoder.encode([read.input for read in batch], self.output.settings.layer, self.budget)
        for read, hidden in zip(batch, values, strict=True):
            if not bool(hidden.isfinite().all()):
                reason = f"{read.recording.path}: the model's features of it are NaN or infinite"
                self._refuse(read.recording.name, reason)
                continue
            try:
                self._write(read.recording, hidden)
            except NameRefused as error:
                self._refuse(read.recording.name, str(error))
                continue
            self.extracted += 1
            self.steps += len(hidden)

    def _long(self, recording: Recording, bar: Bar) -> None:
        """Read, encode and write a recording piece by piece."""
        done, encoder = 0, self.encoder
        try:
            found = encoder.long(recording.path, self.output.settings.layer, truncated=self.truncated)
            times = encoder.first_center_seconds + np.arange(found.frames, dtype=np.float64) * encoder.step_seconds
            with self.output.writing(recording, times, encoder.width, self._metadata(recording)) as write:
                for piece in found.pieces:
                    if not bool(piece.isfinite().all()):
                        raise AudioError(f"{recording.path}: the model's features of it are NaN or infinite")
                    write(piece.float().cpu().numpy())
                    done += len(piece)
                    bar.set_postfix_str(f"{done * encoder.step_seconds / 60:.0f} min of {printable(recording.name)}")
        except ExtractionError:
            raise
        except (ValueError, RuntimeError, MemoryError, OSError) as error:  # NameRefused and AudioError among them
            named = isinstance(error, NameRefused | AudioError)
            reason = str(error) if named else f"{recording.path}: cannot be read ({_first_line(error)})"
            self._refuse(recording.name, reason)
        else:
            self.extracted += 1
            self.steps += done
        bar.update()

    def _write(self, recording: Recording, hidden: Float[Tensor, "time width"]) -> None:
        encoder = self.encoder
        extracted = Extracted(hidden.float().cpu(), encoder.step_seconds, encoder.first_center_seconds)
        self.output.write(recording, extracted.values.numpy(), extracted.times.numpy(), self._metadata(recording))

    def _metadata(self, recording: Recording) -> dict[str, str]:
        """Return the metadata of a recording's features."""
        encoder, settings = self.encoder, self.output.settings
        metadata = {
            "step_seconds": repr(encoder.step_seconds),
            "first_center_seconds": repr(encoder.first_center_seconds),
            "layer": str(settings.layer),
            "model": self.model_name,
            "model_fingerprint": settings.model,
            "source": printable(recording.name),
        }
        return metadata if settings.encoding == CHUNKS else {**metadata, "encoding": settings.encoding}

    def _refuse(self, name: str, reason: str) -> None:
        self.bad[name] = printable(reason)
        self.output.refuse(name, self.bad[name])
        message(f"skipped {self.bad[name]}")


def _frames(read: _Read) -> int:
    return read.frames


def _read_ahead(
    todo: Iterable[Recording], encoder: Extractor, truncated: Truncated
) -> Iterator[tuple[Recording, Future[Tensor | None]]]:
    """Read recordings on threads, in order, a few ahead of the one that is needed."""
    threads = max(1, min(4, (os.cpu_count() or 1) // 2))
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[Recording, Future[Tensor | None]]] = deque()
        for recording in todo:
            waiting.append((recording, pool.submit(_read, recording, encoder, truncated)))
            if len(waiting) > threads:
                yield waiting.popleft()
        yield from waiting


def _read(recording: Recording, encoder: Extractor, truncated: Truncated) -> Tensor | None:
    """Return a recording as the encoder's input; None if it is encoded piece by piece."""
    try:
        return encoder.read(recording.path, truncated=truncated)
    except AudioError:
        raise
    except (RuntimeError, MemoryError, OSError) as error:  # such as a recording too long for the memory
        raise AudioError(f"{recording.path}: cannot be read ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _opened(model: str, settings: BlockSettings) -> Extractor:
    """Open an encoder; the error of one that cannot be encoded in blocks names it and what can be done."""
    source = open_features(model)
    try:
        return extractor_of(source, settings)
    except UnlimitedReach as error:
        raise UnlimitedReach(f"{model}: {error}; leave out --block to encode it in overlapping chunks") from error


def _batches(window: list[_Read], budget: int) -> Iterator[list[_Read]]:
    """Split a window, sorted by length, into batches of at most this many frames, padding included."""
    batch: list[_Read] = []
    for read in window:
        if batch and (len(batch) + 1) * read.frames > budget:
            yield batch
            batch = []
        batch.append(read)
    if batch:
        yield batch


def _number_of(layer: int, layers: int, model: str) -> int:
    """Return the number of a hidden state, counted from 0."""
    if not -layers - 1 <= layer <= layers:
        raise ValueError(f"there is no layer {layer}: {model} has hidden states 0 to {layers}, -1 is the last")
    return layer % (layers + 1)


def _about(encoder: Extractor, model: str) -> dict[str, object]:
    """Return what the index records about the model."""
    return {
        "model_name": printable(model),
        "step_seconds": encoder.step_seconds,
        "first_center_seconds": encoder.first_center_seconds,
        "made_with": provenance(),
    }


def _move(model: nn.Module, device: str) -> None:
    """Move a model to a device; raise ExtractionError if there is no such device."""
    name = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    try:
        model.to(name)
    except (RuntimeError, AssertionError) as error:  # PyTorch raises either if there is no such device
        raise ExtractionError(f"device {name!r} cannot be used ({str(error).splitlines()[0]})") from error
