"""The output folder of an extraction: file names, the index of finished recordings, and atomic writes.

The output mirrors the tree of the input. The name of a recording is kept with its suffix, so that `a.wav` and `a.flac`
have features of their own. An index beside them (`extraction.json`) records model, settings and finished recordings.
"""

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import BinaryIO, Literal

import numpy as np
from jaxtyping import Float

from inattention.audio.decoding import AudioError
from inattention.encoders.extraction.file_formats import npy, npy_head, safetensors_head

INDEX_FILE = "extraction.json"

# Shortest time between two writes of the index, and the largest share of the time that writing it takes.
INDEX_SECONDS, INDEX_SHARE = 5.0, 0.05

# Errors of the file system that concern one name and not the next.
BAD_NAME = {errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.EILSEQ, errno.EINVAL, errno.ELOOP}


class ExtractionError(ValueError):
    """No features can be extracted; the message states what is wrong, where, and what to do."""


class NameRefused(ValueError):
    """The features of a recording cannot be stored under its name."""


@dataclass(frozen=True)
class Recording:
    """A file of the input.

    Attributes:
        name: path below the input folder, with slashes.
        path: full path.
        size: in bytes.
        modified: time of the last change, in nanoseconds.
    """

    name: str
    path: Path
    size: int
    modified: int


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings that all features of a folder share; an extraction with others must not continue in it.

    Attributes:
        model: fingerprint of the model's config and weights.
        layer: hidden state, from 0.
        format: file format of the features.
        input: the folder of recordings.
        encoding: how long recordings are encoded.
    """

    model: str
    layer: int
    format: Literal["safetensors", "npy"]
    input: str
    encoding: str = "chunks"

    def differences(self, other: "Settings", model_name: str) -> list[str]:
        """Return in words where another extraction differs from this one.

        Args:
            other: the settings that a folder was begun with.
            model_name: name of its model.
        """
        words = {
            "model": f"another model ({model_name})",
            "layer": f"layer {other.layer}, not {self.layer}",
            "format": f"the format {other.format}, not {self.format}",
            "input": f"another folder ({other.input})",
            "encoding": f"another encoding of long recordings ({other.encoding}, not {self.encoding})",
        }
        return [text for name, text in words.items() if getattr(other, name) != getattr(self, name)]


@dataclass(frozen=True)
class Finished:
    """Index entry of a recording whose features were written.

    Attributes:
        size: of the recording, in bytes.
        modified: time of its last change, in nanoseconds.
        steps: number of frames of its features.
    """

    size: int
    modified: int
    steps: int


class ExtractionFolder:
    """The output folder, locked by one process at a time.

    A recording is finished if the index lists it and its files exist. Where no recording was finished, nothing that
    was created remains: another extraction may use the folder.

    Args:
        folder: created if it does not exist.
        settings: settings that all features share.
        about: further entries of the index.
        overwrite: start again and replace what the folder contains.

    Raises:
        ExtractionError: on entering, if the folder cannot be written, is in use, or contains something else.
    """

    def __init__(self, folder: Path, settings: Settings, about: Mapping[str, object], *, overwrite: bool) -> None:
        self.folder = folder
        self.settings = settings
        self.about = dict(about)
        self.overwrite = overwrite
        self._done: dict[str, Finished] = {}
        self._bad: dict[str, str] = {}
        self._next_index = 0.0
        self._created: list[Path] = []  # innermost first

    def __enter__(self) -> "ExtractionFolder":
        try:
            self._created = [place for place in (self.folder, *self.folder.parents) if not os.path.lexists(place)]
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder, os.O_RDONLY)
        except OSError as error:
            _remove_empty(self._created)
            raise ExtractionError(f"{self.folder}: cannot be written to ({error.strerror})") from error
        try:
            _take(self._lock, self.folder)
            self._is_new = not os.path.lexists(self.folder / INDEX_FILE)
            self._was_empty = not self._has_contents()
            if not self.overwrite:
                self._done = self._known()
            self._write_index()
        except BaseException:
            _remove_empty(self._created)
            os.close(self._lock)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._is_new and not self._done:
                self._undo()
            else:
                self._write_index()
        except ExtractionError:
            if kind is None:  # else the first error is the one to report
                raise
        finally:
            os.close(self._lock)  # also releases the lock, as the end of a killed process does

    def has(self, recording: Recording) -> bool:
        """Return whether a recording's features exist and the recording has not changed since."""
        done = self._done.get(recording.name)
        same = done is not None and (done.size, done.modified) == (recording.size, recording.modified)
        return same and all(os.path.isfile(self.folder / name) for name in self._outputs(recording))

    def write(
        self,
        recording: Recording,
        features: Float[np.ndarray, "time width"],
        times: Float[np.ndarray, " time"],
        metadata: Mapping[str, str],
    ) -> None:
        """Write the features of a recording atomically.

        Args:
            recording: the recording.
            features: its features.
            times: centre of each frame in seconds.
            metadata: metadata of the safetensors file.

        Raises:
            NameRefused: if the name leads out of the folder, or cannot be a file name there.
            ExtractionError: if the disk is full or the folder cannot be written for another reason.
        """
        with self.writing(recording, times, features.shape[1], metadata) as write:
            write(features)

    @contextmanager
    def writing(
        self, recording: Recording, times: Float[np.ndarray, " time"], width: int, metadata: Mapping[str, str]
    ) -> Generator[Callable[[Float[np.ndarray, "some width"]], None]]:
        """Write the features of a recording atomically, piece by piece.

        Args:
            recording: the recording.
            times: centre of each frame in seconds.
            width: number of features of a frame.
            metadata: metadata of the safetensors file.

        Yields:
            A function that writes the features of the next frames.

        Raises:
            NameRefused: as for `write`.
            ExtractionError: as for `write`.
        """
        names = self._outputs(recording)
        try:
            with self._replacing(self._inside(names[-1])) as file:
                begin = safetensors_head if self.settings.format == "safetensors" else npy_head
                file.write(begin(times, width, metadata))
                left = len(times)

                def write(features: Float[np.ndarray, "some width"]) -> None:
                    nonlocal left
                    left -= len(features)
                    file.write(np.ascontiguousarray(features, "<f4").data)

                yield write
                if left:
                    raise AudioError(f"{recording.path}: has changed while it was read")
                for name in names[:-1]:
                    self._replace(self._inside(name), npy(times))
        except OSError as error:
            if error.errno in BAD_NAME:
                raise NameRefused(
                    f"{recording.name}: its features cannot be stored under this name ({error.strerror})"
                ) from error
            raise self._no_room(error) from error
        self._bad.pop(recording.name, None)
        self._done[recording.name] = Finished(recording.size, recording.modified, steps=len(times))
        if monotonic() >= self._next_index:
            self._write_index()

    def refuse(self, name: str, reason: str) -> None:
        """Record in the index that a recording cannot be used."""
        self._done.pop(name, None)
        self._bad[name] = reason

    def _undo(self) -> None:
        """Remove the index and the folders that were created, as far as they are empty."""
        with suppress(OSError):
            os.unlink(self.folder / INDEX_FILE)
        below = [place for place, _, _ in os.walk(self.folder, topdown=False)] if self._was_empty else []
        _remove_empty([*map(Path, below[:-1]), *self._created])

    def _outputs(self, recording: Recording) -> tuple[str, ...]:
        """Return the file names of a recording's features; the last one completes them."""
        if self.settings.format == "safetensors":
            return (f"{recording.name}.safetensors",)
        return f"{recording.name}.times.npy", f"{recording.name}.npy"

    def _inside(self, name: str) -> Path:
        """Create the parent folder of a file and return its path; links must not lead out of the output folder."""
        target = self.folder / name
        root, parent = os.path.realpath(self.folder), os.path.realpath(target.parent)
        if os.path.commonpath([root, parent]) != root:
            raise NameRefused(f"{name}: a link in {self.folder} leads out of it")
        os.makedirs(parent, exist_ok=True)
        return Path(parent, target.name)

    def _replace(self, target: Path, content: bytes) -> None:
        with self._replacing(target) as file:
            file.write(content)

    @contextmanager
    def _replacing(self, target: Path) -> Generator[BinaryIO]:
        """Open a file that takes the target's place at the end of the `with` block, unless that raises."""
        # A suffix could make the name too long. The same name at each try, so that no file is left behind.
        digest = hashlib.blake2b(os.fsencode(target.name), digest_size=8).hexdigest()
        temporary = target.with_name(f".{digest}.writing")
        try:
            temporary.unlink(missing_ok=True)
            with temporary.open("xb") as file:  # never through an existing link
                yield file
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise

    def _has_contents(self) -> bool:
        return any(not entry.name.endswith(".writing") for entry in self.folder.iterdir())

    def _known(self) -> dict[str, Finished]:
        """Read the finished recordings from the index, if it has the same settings."""
        index = self.folder / INDEX_FILE
        if not index.is_file():
            if self._has_contents():
                raise ExtractionError(
                    f"{self.folder}: contains files that are no extraction; choose another folder, or --overwrite"
                )
            return {}
        try:
            data = json.loads(index.read_text(encoding="utf-8"))
            settings = Settings(**data["settings"])
            done = {str(name): Finished(**entry) for name, entry in data["files"].items()}
            model_name = str(data["model_name"])
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError) as error:
            raise ExtractionError(
                f"{index}: cannot be read ({error}); choose another folder, or --overwrite"
            ) from error
        if differences := self.settings.differences(settings, model_name):
            raise ExtractionError(
                f"{self.folder}: contains features of {' and '.join(differences)}; "
                "choose another folder, or --overwrite"
            )
        return done

    def _write_index(self) -> None:
        began = monotonic()
        files = {name: vars(done) for name, done in self._done.items()}
        data = {**self.about, "settings": vars(self.settings), "files": files, "bad_files": self._bad}
        try:
            # In ASCII, because a name may be invalid Unicode.
            self._replace(self.folder / INDEX_FILE, (json.dumps(data, indent=1) + "\n").encode("ascii"))
        except OSError as error:
            raise self._no_room(error) from error
        now = monotonic()
        self._next_index = now + max(INDEX_SECONDS, (now - began) / INDEX_SHARE)

    def _no_room(self, error: OSError) -> ExtractionError:
        return ExtractionError(
            f"{self.folder}: cannot be written to ({error.strerror}); finished files are kept, and the same command "
            "continues from there"
        )


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, innermost first; those that hold anything remain."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _take(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ExtractionError(f"{folder}: another process extracts to it; wait until it ends") from None
    except OSError:  # a file system without locks
        return
