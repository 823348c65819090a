"""Features of every recording in a folder: resumable, and no bad file ends the work."""

import json
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO

import numpy as np

from inattention_runtime.encoder import Encoder
from inattention_runtime.reader import AudioError, Truncated, list_audio, printable

INDEX = "index.json"
_INDEX_SECONDS = 10.0  # between two times that the index is written


class FolderError(ValueError):
    """An output folder that cannot be used."""


@dataclass
class Summary:
    """Outcome of an extraction.

    Attributes:
        files: number of audio files found.
        extracted: number of files extracted by this call.
        done_before: number of files that an earlier call had extracted.
        bad: reason by name of each file that could not be used.
        ignored: number of files that are no audio that can be decoded, by a description of them.
        audio_seconds: duration of the audio extracted by this call.
        wall_seconds: time that it took.
    """

    files: int = 0
    extracted: int = 0
    done_before: int = 0
    bad: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, int] = field(default_factory=dict)
    audio_seconds: float = 0.0
    wall_seconds: float = 0.0


def extract_folder(
    encoder: Encoder,
    folder: Path,
    out: Path,
    *,
    layer: int = -1,
    truncated: Truncated = "skip",
    block_seconds: float | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Summary:
    """Write the features of every recording below a folder, or of a single file, as ``NAME.npy``.

    The centres of the frames in seconds are in ``NAME.times.npy``. A second call continues with files that are new,
    changed or missing. A file that cannot be used is reported on stderr with the reason, skipped and counted.

    Args:
        encoder: the encoder.
        folder: folder of recordings, which are recognised by their content, or a single one.
        out: output folder.
        layer: which hidden state, as for `Encoder.extract`.
        truncated: as for `Encoder.extract`.
        block_seconds: as for `Encoder.extract`.
        overwrite: extract everything again.
        progress: show the number of files that are done on stderr.

    Raises:
        FolderError: if there is nothing to extract, or the output folder holds something else or cannot be written.
        ValueError: if the encoder has no such layer, or cannot be run in blocks.
    """
    settings = {"encoder": encoder.digest, "output": encoder.output_of(layer), "input": os.path.realpath(folder)}
    if block_seconds is not None:
        settings["encoding"] = encoder.encoding(block_seconds)
    options = {"layer": layer, "truncated": truncated, "block_seconds": block_seconds}
    listing = list_audio(folder)
    if not listing.files:
        raise FolderError(f"{folder}: contains no audio files")
    root = folder if folder.is_dir() else folder.parent
    output = _Output(out, settings, overwrite)
    began = monotonic()
    summary = Summary(files=len(listing.files) + len(listing.bad), ignored=dict(listing.ignored))
    for path, reason in listing.bad.items():
        _refuse(summary, output, path.relative_to(root).as_posix(), f"{path}: {reason}")
    try:
        for count, path in enumerate(listing.files):
            _progress(progress, count, len(listing.files))
            _one(encoder, path, path.relative_to(root).as_posix(), options, output, summary)
        _progress(progress, len(listing.files), len(listing.files))
    finally:
        output.write_index()
    summary.wall_seconds = monotonic() - began
    return summary


def _one(encoder: Encoder, path: Path, name: str, options: dict[str, Any], output: "_Output", summary: Summary) -> None:
    """Extract one file, unless that was done before."""
    try:
        state = path.stat()
        facts = {"size": state.st_size, "modified": state.st_mtime_ns}
        if output.has(name, facts):
            summary.done_before += 1
            return
        frames, pieces = encoder.extract_blocks(path, **options)
        about = encoder.about
        times = about.first_center_seconds + np.arange(frames) * about.step_seconds
        output.write(name, times, _finite(pieces, path), about.width, facts)
    except AudioError as error:
        _refuse(summary, output, name, str(error))
    except (MemoryError, OSError) as error:
        if isinstance(error, OSError) and not path.is_file() and path.exists():
            raise
        _refuse(summary, output, name, f"{path}: cannot be read ({error})")
    else:
        summary.extracted += 1
        summary.audio_seconds += frames * about.step_seconds


def _finite(pieces: Iterator[np.ndarray], path: Path) -> Iterator[np.ndarray]:
    for piece in pieces:
        if not np.isfinite(piece).all():
            raise AudioError(f"{path}: the encoder's features of it are NaN or infinite")
        yield piece


def _refuse(summary: Summary, output: "_Output", name: str, reason: str) -> None:
    summary.bad[name] = output.bad[name] = printable(reason)
    output.done.pop(name, None)
    print(f"skipped {printable(reason)}", file=sys.stderr)


def _progress(shown: bool, done: int, total: int) -> None:
    if shown and sys.stderr.isatty():
        print(f"\r{done} of {total} files", end="\n" if done == total else "", file=sys.stderr, flush=True)


class _Output:
    """The output folder: features beside an index of what is done."""

    def __init__(self, folder: Path, settings: dict[str, str], overwrite: bool) -> None:
        self.folder, self.settings = folder, settings
        self.done: dict[str, Any] = {}
        self.bad: dict[str, str] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not overwrite:
                self._read()
            self.write_index()
        except OSError as error:
            raise FolderError(f"{folder}: cannot be written to ({error.strerror})") from error

    def has(self, name: str, facts: dict[str, int]) -> bool:
        """Return whether a recording's features exist and the recording has not changed since."""
        return self.done.get(name) == facts and all(os.path.isfile(it) for it in self._places(name))

    def write(
        self, name: str, times: np.ndarray, pieces: Iterator[np.ndarray], width: int, facts: dict[str, int]
    ) -> None:
        """Write the features of a recording piece by piece, each file whole or not at all; the last completes them."""
        of_times, of_values = self._places(name)
        root, count = os.path.realpath(self.folder), 0
        if os.path.commonpath([root, os.path.realpath(of_values.parent)]) != root:
            raise AudioError(f"{name}: a link in {self.folder} leads out of it")
        head = {"descr": "<f4", "fortran_order": False, "shape": (len(times), width)}
        with _replacing(of_values) as values_file:
            np.lib.format.write_array_header_1_0(values_file, head)
            for piece in pieces:
                count += len(piece)
                values_file.write(np.ascontiguousarray(piece, "<f4").data)
            if count != len(times):
                raise AudioError(f"{name}: has changed while it was read")
            with _replacing(of_times) as times_file:
                np.save(times_file, times, allow_pickle=False)
        self.done[name] = facts
        self.bad.pop(name, None)
        if monotonic() > self._next_index:
            self.write_index()

    def write_index(self) -> None:
        """Write the index, whole or not at all."""
        data = {"settings": self.settings, "files": self.done, "bad_files": self.bad}
        temporary = self.folder / f".{os.getpid()}.index.writing"
        try:
            temporary.write_text(json.dumps(data, indent=1) + "\n", encoding="ascii")
            os.replace(temporary, self.folder / INDEX)
        finally:
            with suppress(OSError):
                temporary.unlink()
        self._next_index = monotonic() + _INDEX_SECONDS

    def _places(self, name: str) -> tuple[Path, Path]:
        return self.folder / f"{name}.times.npy", self.folder / f"{name}.npy"

    def _read(self) -> None:
        """Read what an earlier call has done."""
        index = self.folder / INDEX
        if not index.exists():
            if any(not it.name.endswith(".writing") for it in self.folder.iterdir()):
                raise FolderError(
                    f"{self.folder}: contains files that are no extraction; choose another folder, or --overwrite"
                )
            return
        try:
            data = json.loads(index.read_text(encoding="utf-8"))
            settings, self.done = dict(data["settings"]), dict(data["files"])
        except (ValueError, TypeError, KeyError, RecursionError, OSError) as error:
            raise FolderError(f"{index}: cannot be read ({error}); choose another folder, or --overwrite") from error
        if settings != self.settings:
            keys = {*settings, *self.settings}
            different = sorted(key for key in keys if settings.get(key) != self.settings.get(key))
            raise FolderError(
                f"{self.folder}: contains features of another {' and '.join(different)}; choose another folder, or "
                "--overwrite"
            )


@contextmanager
def _replacing(place: Path) -> Generator[BinaryIO]:
    """Open a file that takes a place at the end of the `with` block, unless that raises.

    Raises:
        FolderError: if it cannot be written.
    """
    temporary = place.with_name(f".{os.getpid()}{''.join(place.suffixes[-2:])}.writing")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            yield file
        os.replace(temporary, place)
    except OSError as error:
        raise FolderError(
            f"{place}: cannot be written ({error.strerror}); finished files are kept, and the same command continues "
            "from there"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()
