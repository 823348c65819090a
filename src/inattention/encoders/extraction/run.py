"""Features of every recording in a folder, with their times: batched by length, resumable, past any bad file.

Recordings are read ahead by threads while the encoder works. A window of them is sorted by length, so that those in
a batch are of like lengths; the window, and so memory, is the same for ten files and for a million.
"""

import hashlib
import json
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from inattention.audio.config import FeatureConfig
from inattention.audio.reader import AudioError, audio_files
from inattention.encoders.extraction.config import ExtractionConfig
from inattention.encoders.extraction.folder import ExtractionError, ExtractionFolder, NameRefused, Recording, Settings
from inattention.model.chunks import encode
from inattention.model.transformer import AudioTransformer, Extracted, features_of_file
from inattention.provenance import provenance

# Batches whose recordings are sorted by length together.
WINDOW_BATCHES = 8


class _Read(NamedTuple):
    """A recording as the model's input."""

    recording: Recording
    steps: Tensor


def extract_folder(
    model: str,
    folder: str | Path,
    out: str | Path,
    *,
    layer: int = -1,
    format: Literal["safetensors", "npy"] = "safetensors",
    batch_seconds: float = 120.0,
    device: str = "auto",
    overwrite: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Extract the features of every audio file below a folder.

    Started again, it goes on with what is not done or was changed. A file that cannot be used is reported on stderr
    with the reason, skipped and counted.

    Args:
        model: a model's folder or hub name.
        folder: where the recordings are; links to folders are not followed.
        out: where the features go, under the names of the recordings with their suffixes and one more.
        layer: which hidden state: 0 is the embedded input, 1 the first layer, -1 the last.
        format: ``safetensors`` (tensors ``features`` of (time, width) and ``times`` in seconds, with metadata), or
            ``npy`` (two files, the times in ``NAME.times.npy``).
        batch_seconds: seconds of audio that go through the encoder at once.
        device: where the model runs; ``auto`` takes a GPU if there is one.
        overwrite: extract everything anew, whatever stands in ``out``.
        progress: show a bar on stderr.

    Returns:
        How many ``files`` were found, ``extracted`` now, ``done_before`` and ``bad``; ``bad_files``, reasons by name;
        ``audio_seconds`` and ``wall_seconds`` of those extracted now, ``audio_hours``, and
        ``audio_seconds_per_second``; and ``out``.

    Raises:
        ExtractionError: if there is nothing to extract, ``out`` holds something else (another model's features, say)
            or cannot be written, or the device cannot be used.
        ModelFolderError: if the model cannot be loaded.
        ValueError: for an option that cannot be, such as a layer that the model does not have.
    """
    ExtractionConfig(layer=layer, format=format, batch_seconds=batch_seconds, device=device, overwrite=overwrite)
    paths = audio_files(folder)
    if not paths:
        raise ExtractionError(f"{folder}: holds no audio files")
    encoder = _on_device(AudioTransformer.from_pretrained(model), device)
    config = encoder.config
    if not -config.layers - 1 <= layer <= config.layers:
        raise ValueError(f"there is no layer {layer}: {model} has hidden states 0 to {config.layers}, -1 is the last")
    settings = Settings(
        model=fingerprint(encoder),
        layer=layer % (config.layers + 1),
        format=format,
        input=os.path.realpath(folder),
    )
    about = {
        "model_name": printable(model),
        "step_seconds": config.features.step_seconds,
        "first_center_seconds": config.features.first_center_seconds,
        "made_with": provenance(),
    }
    with ExtractionFolder(Path(out), settings, about, overwrite=overwrite) as output:
        return _Run(encoder, printable(model), Path(folder), output, batch_seconds, progress).run(paths)


def fingerprint(model: AudioTransformer) -> str:
    """Give a digest of a model's settings and weights: another model has another one, wherever it is kept."""
    digest = hashlib.blake2b(json.dumps(model.config.to_dict(), sort_keys=True).encode(), digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def printable(text: str) -> str:
    r"""Escape what would break a line, a terminal or an encoding.

    >>> printable("a\nb ü") == r"a\nb ü"
    True
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class _Run:
    """One pass over the files that are left to do."""

    def __init__(
        self,
        model: AudioTransformer,
        model_name: str,
        folder: Path,
        output: ExtractionFolder,
        batch_seconds: float,
        progress: bool,
    ) -> None:
        self.model, self.model_name, self.folder, self.output = model, model_name, folder, output
        self.progress = progress
        features = model.config.features
        self.budget = max(1, int(batch_seconds / features.step_seconds))
        self.steps = self.extracted = 0
        self.bad: dict[str, str] = {}

    def run(self, paths: list[Path]) -> dict[str, Any]:
        began = perf_counter()
        todo = list(self._left(paths))
        done_before = len(paths) - len(todo) - len(self.bad)
        hidden = not (self.progress and todo)
        with tqdm(total=len(todo), desc="extract", unit="file", disable=hidden, file=sys.stderr) as bar:
            for window in self._windows(todo, bar):
                for batch in _batches(window, self.budget):
                    self._encode(batch)
                    bar.update(len(batch))
                    bar.set_postfix_str(f"{self._seconds / (perf_counter() - began):.0f} s of audio a second")
        wall = perf_counter() - began
        return {
            "files": len(paths),
            "extracted": self.extracted,
            "done_before": done_before,
            "bad": len(self.bad),
            "bad_files": self.bad,
            "audio_seconds": self._seconds,
            "audio_hours": self._seconds / 3600,
            "wall_seconds": wall,
            "audio_seconds_per_second": self._seconds / wall,
            "out": str(self.output.folder),
        }

    @property
    def _seconds(self) -> float:
        return self.steps * self.model.config.features.step_seconds

    def _left(self, paths: Iterable[Path]) -> Iterator[Recording]:
        for path in paths:
            name = path.relative_to(self.folder).as_posix()
            try:
                state = path.stat()
            except OSError as error:  # it was there a moment ago
                self._refuse(name, f"{path}: cannot be read ({error.strerror})")
                continue
            recording = Recording(name, path, state.st_size, state.st_mtime_ns)
            if not self.output.has(recording):
                yield recording

    def _windows(self, todo: Iterable[Recording], bar: tqdm) -> Iterator[list[_Read]]:
        """Read recordings, some minutes at a time, each window sorted by length."""
        window: list[_Read] = []
        steps = 0
        for recording, future in _read_ahead(todo, self.model.config.features):
            try:
                window.append(_Read(recording, future.result()))
            except AudioError as error:
                self._refuse(recording.name, str(error))
                bar.update()
                continue
            steps += len(window[-1].steps)
            if steps >= WINDOW_BATCHES * self.budget:
                yield sorted(window, key=lambda read: len(read.steps))
                window, steps = [], 0
        if window:
            yield sorted(window, key=lambda read: len(read.steps))

    def _encode(self, batch: list[_Read]) -> None:
        """Encode recordings of like lengths, and write their features."""
        config = self.model.config
        chunk = min(max(len(read.steps) for read in batch), config.max_length)
        values = encode(
            self.model.encoder,
            [read.steps for read in batch],
            layer=self.output.settings.layer,
            batch_size=max(1, self.budget // chunk),
        )
        for read, hidden in zip(batch, values, strict=True):
            name = read.recording.name
            if not bool(hidden.isfinite().all()):
                self._refuse(name, f"{read.recording.path}: the model makes NaN or infinite features of it")
                continue
            features = config.features
            made = Extracted(hidden.float().cpu(), features.step_seconds, features.first_center_seconds)
            metadata = {
                "step_seconds": repr(features.step_seconds),
                "first_center_seconds": repr(features.first_center_seconds),
                "layer": str(self.output.settings.layer),
                "model": self.model_name,
                "model_fingerprint": self.output.settings.model,
                "source": printable(name),
            }
            try:
                self.output.write(read.recording, made.values.numpy(), made.times.numpy(), metadata)
            except NameRefused as error:
                self._refuse(name, str(error))
                continue
            self.extracted += 1
            self.steps += len(hidden)

    def _refuse(self, name: str, reason: str) -> None:
        self.bad[name] = printable(reason)
        self.output.refuse(name, self.bad[name])
        tqdm.write(f"skipped {self.bad[name]}", file=sys.stderr)


def _read_ahead(todo: Iterable[Recording], config: FeatureConfig) -> Iterator[tuple[Recording, Future[Tensor]]]:
    """Read recordings on threads, in order, a few ahead of the one that is asked for."""
    threads = max(1, min(4, (os.cpu_count() or 1) // 2))
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[Recording, Future[Tensor]]] = deque()
        for recording in todo:
            waiting.append((recording, pool.submit(_read, recording, config)))
            if len(waiting) > threads:
                yield waiting.popleft()
        yield from waiting


def _read(recording: Recording, config: FeatureConfig) -> Tensor:
    try:
        return features_of_file(recording.path, config)
    except AudioError:
        raise
    except (RuntimeError, MemoryError, OSError) as error:  # a recording too long for this machine's memory, say
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise AudioError(f"{recording.path}: cannot be read ({reason})") from error


def _batches(window: list[_Read], budget: int) -> Iterator[list[_Read]]:
    """Cut a window, sorted by length, into batches of at most so many steps with padding."""
    batch: list[_Read] = []
    for read in window:
        if batch and (len(batch) + 1) * len(read.steps) > budget:
            yield batch
            batch = []
        batch.append(read)
    if batch:
        yield batch


def _on_device(model: AudioTransformer, device: str) -> AudioTransformer:
    name = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return model.to(name)
    except (RuntimeError, AssertionError) as error:  # PyTorch's ways to say that there is no such device
        raise ExtractionError(f"device {name!r} cannot be used ({str(error).splitlines()[0]})") from error
