"""The folder that features are extracted to: where each recording's go, what is done already, and writing them whole.

The output mirrors the input's tree. The name of a recording is kept with its suffix, so that `a.wav` and `a.flac` have
features of their own. An index beside them (`extraction.json`) says what they were made with and from.
"""

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Literal

import numpy as np
import safetensors.numpy
from jaxtyping import Float

INDEX_FILE = "extraction.json"

# The index is written no more often than this, and takes no more of the time than a twentieth.
INDEX_SECONDS, INDEX_SHARE = 5.0, 0.05

# What the file system may have against one name, and not against the next.
BAD_NAME = {errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.EILSEQ, errno.EINVAL, errno.ELOOP}


class ExtractionError(ValueError):
    """Why features cannot be extracted at all; the message says what, where, and what to do."""


class NameRefused(ValueError):
    """A recording whose features cannot stand under its name in the output folder."""


@dataclass(frozen=True)
class Recording:
    """A file of the input.

    Attributes:
        name: its path below the input folder, with slashes.
        path: where it is.
        size: bytes.
        modified: when it was changed last, in nanoseconds.
    """

    name: str
    path: Path
    size: int
    modified: int


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What features in one folder have in common. A difference in any of them makes an extraction another one.

    Attributes:
        model: fingerprint of the model's settings and weights.
        layer: which hidden state, counted from 0.
        format: how they are stored.
        input: the folder of recordings.
    """

    model: str
    layer: int
    format: Literal["safetensors", "npy"]
    input: str


class ExtractionFolder:
    """The output folder, held by one process at a time; features are done when the index says so and they stand there.

    Args:
        folder: made if need be.
        settings: what all its features have in common.
        about: what else the index should say.
        overwrite: begin anew, whatever stands there.

    Raises:
        ExtractionError: on entering, if the folder cannot be written, is in use, or holds something else.
    """

    def __init__(self, folder: Path, settings: Settings, about: Mapping[str, Any], *, overwrite: bool) -> None:
        self.folder = folder
        self.settings = settings
        self.about = dict(about)
        self.overwrite = overwrite
        self._done: dict[str, dict[str, Any]] = {}
        self._bad: dict[str, str] = {}
        self._next_index = 0.0

    def __enter__(self) -> "ExtractionFolder":
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder, os.O_RDONLY)
        except OSError as error:
            raise ExtractionError(f"{self.folder}: cannot be written to ({error.strerror})") from error
        try:
            _take(self._lock, self.folder)
            if not self.overwrite:
                self._done = self._known()
            self._write_index()
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._write_index()
        except ExtractionError:
            if kind is None:  # else what went wrong before is the one to tell
                raise
        finally:
            os.close(self._lock)  # gives up the lock too, as the end of a killed process does

    def has(self, recording: Recording) -> bool:
        """Say whether a recording's features stand here, and it has not been changed since."""
        entry = self._done.get(recording.name, {})
        same = (entry.get("size"), entry.get("modified")) == (recording.size, recording.modified)
        return same and all(os.path.isfile(self.folder / name) for name in self._outputs(recording))

    def write(
        self,
        recording: Recording,
        features: Float[np.ndarray, "time width"],
        times: Float[np.ndarray, " time"],
        metadata: Mapping[str, str],
    ) -> None:
        """Write a recording's features, whole or not at all.

        Raises:
            NameRefused: if its name leads out of the folder, or cannot be a file there.
            ExtractionError: if the disk is full or the folder cannot be written for another reason.
        """
        if self.settings.format == "safetensors":
            contents = [safetensors.numpy.save({"features": features, "times": times}, metadata=dict(metadata))]
        else:
            contents = [_npy(times), _npy(features)]
        try:
            for name, content in zip(self._outputs(recording), contents, strict=True):
                self._replace(self._inside(name), content)
        except OSError as error:
            if error.errno in BAD_NAME:
                raise NameRefused(f"{recording.name}: cannot be the name of its features ({error.strerror})") from error
            raise self._no_room(error) from error
        self._bad.pop(recording.name, None)
        self._done[recording.name] = {"size": recording.size, "modified": recording.modified, "steps": len(features)}
        if monotonic() >= self._next_index:
            self._write_index()

    def refuse(self, name: str, reason: str) -> None:
        """Note a recording that cannot be used."""
        self._done.pop(name, None)
        self._bad[name] = reason

    def _outputs(self, recording: Recording) -> tuple[str, ...]:
        """The files of a recording's features, the one that completes them last."""
        if self.settings.format == "safetensors":
            return (f"{recording.name}.safetensors",)
        return f"{recording.name}.times.npy", f"{recording.name}.npy"

    def _inside(self, name: str) -> Path:
        """Make the subfolder that a file goes to; links that stand in the output folder must not lead out of it."""
        target = self.folder / name
        root, parent = os.path.realpath(self.folder), os.path.realpath(target.parent)
        if os.path.commonpath([root, parent]) != root:
            raise NameRefused(f"{name}: a link in {self.folder} leads out of it")
        os.makedirs(parent, exist_ok=True)
        return Path(parent, target.name)

    def _replace(self, target: Path, content: bytes) -> None:
        # A name of its own length could be too long; the same at each try, so that none is left behind.
        digest = hashlib.blake2b(os.fsencode(target.name), digest_size=8).hexdigest()
        temporary = target.with_name(f".{digest}.writing")
        try:
            temporary.unlink(missing_ok=True)
            with temporary.open("xb") as file:  # never through a link that stands there
                file.write(content)
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise

    def _known(self) -> dict[str, dict[str, Any]]:
        """Read what is done from the index, if it is one of the same settings."""
        index = self.folder / INDEX_FILE
        if not index.is_file():
            if any(not entry.name.endswith(".writing") for entry in self.folder.iterdir()):
                raise ExtractionError(
                    f"{self.folder}: holds something that is no extraction; choose another folder, or --overwrite"
                )
            return {}
        try:
            data = json.loads(index.read_text(encoding="utf-8"))
            settings = Settings(**data["settings"])
            done = {str(name): dict(entry) for name, entry in data["files"].items()}
            model_name = str(data["model_name"])
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError) as error:
            raise ExtractionError(
                f"{index}: cannot be read ({error}); choose another folder, or --overwrite"
            ) from error
        said = {
            "model": f"another model ({model_name})",
            "layer": f"layer {settings.layer}, not {self.settings.layer}",
            "format": f"the format {settings.format}, not {self.settings.format}",
            "input": f"another folder ({settings.input})",
        }
        other = [words for key, words in said.items() if getattr(settings, key) != getattr(self.settings, key)]
        if other:
            raise ExtractionError(
                f"{self.folder}: holds features of {' and '.join(other)}; choose another folder, or --overwrite"
            )
        return done

    def _write_index(self) -> None:
        began = monotonic()
        data = {**self.about, "settings": asdict(self.settings), "files": self._done, "bad_files": self._bad}
        try:
            # In ASCII, as a name need not be valid Unicode.
            self._replace(self.folder / INDEX_FILE, (json.dumps(data, indent=1) + "\n").encode("ascii"))
        except OSError as error:
            raise self._no_room(error) from error
        now = monotonic()
        self._next_index = now + max(INDEX_SECONDS, (now - began) / INDEX_SHARE)

    def _no_room(self, error: OSError) -> ExtractionError:
        return ExtractionError(
            f"{self.folder}: cannot be written to ({error.strerror}); what is done is kept, and the same command goes "
            "on from there"
        )


def _take(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ExtractionError(f"{folder}: another process extracts to it; wait for it") from None
    except OSError:  # a file system without locks
        return


def _npy(array: np.ndarray) -> bytes:
    buffer = BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
