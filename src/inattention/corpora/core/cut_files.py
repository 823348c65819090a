"""Manifests of cuts, read line by line with every line checked.

A corpus may come from a stranger. lhotse's manifests can name commands to run and addresses to call when audio is
read, and arrays to unpickle. So only pieces of plain audio files, with speakers, texts and alignments, reach lhotse
from here. Anything else in a line is an error that names it, or is dropped if it is harmless.
"""

import gzip
import json
import math
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from inattention.audio.limits import HIGHEST_RATE, LOWEST_RATE
from inattention.corpora.errors import CorpusError

if TYPE_CHECKING:
    from lhotse import Recording, SupervisionSegment
    from lhotse.cut import Cut

LONGEST_LINE = 64 * 2**20  # a compressed file of a few kilobytes may hold a line without end
_CUT_FIELDS = ("id", "start", "duration", "channel")
_SUPERVISION_FIELDS = ("id", "recording_id", "start", "duration", "channel", "text", "language", "speaker", "gender")
_TEXTS = ("id", "recording_id", "text", "language", "speaker", "gender")
_MOST_CHANNELS = 1024
_OVERHANG_SECONDS = 0.01  # of a cut over its recording, from rounding


@dataclass(frozen=True)
class CutLines:
    """The cuts in a file, one per line, read again at every iteration; it can be sent to another process.

    Attributes:
        path: The file, `.jsonl` or `.jsonl.gz`.
        root: Where the recordings' relative paths begin.
    """

    path: Path
    root: Path

    def __iter__(self) -> "Iterator[Cut]":
        for number, line in enumerate(json_lines(self.path), 1):
            try:
                yield cut_from(line, self.root)
            except CorpusError as error:
                raise CorpusError(f"{self.path}, line {number}: {error}") from None


def cuts_path(folder: Path, split: str) -> Path:
    """Return the manifest of a split."""
    return folder / f"cuts-{split}.jsonl.gz"


def json_lines(path: Path) -> Iterator[Any]:
    """Read a file of JSON lines, compressed or not.

    Raises:
        CorpusError: It cannot be read, or is cut off or damaged; the message has the number of lines read.
    """
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            while line := file.readline(LONGEST_LINE):
                if len(line) == LONGEST_LINE:
                    raise CorpusError(f"{path}: line {number + 1} is longer than {LONGEST_LINE} bytes")
                if line.strip():
                    yield json.loads(line)
                number += 1
    except CorpusError:
        raise
    except (EOFError, zlib.error, gzip.BadGzipFile, ValueError, RecursionError) as error:  # ValueError: text and JSON
        raise CorpusError(
            f"{path} is damaged after {number} lines ({error}): copy it again, or prepare the corpus again with "
            "--overwrite"
        ) from None
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror or error})") from error


def cut_from(data: Any, root: Path | None) -> "Cut":
    """Return the cut of a line's content, which is not trusted.

    Args:
        data: The line's content.
        root: Where the recording's relative path begins; None keeps paths as they are, absolute ones included.

    Raises:
        CorpusError: It is no piece of one audio file, or reading it would do more than read a file; the message has
            the reason.
    """
    from lhotse import MonoCut, MultiCut

    if not isinstance(data, dict) or not isinstance(data.get("id"), str):
        raise CorpusError("this is no cut")
    kind = data.get("type")
    if kind not in ("MonoCut", "MultiCut"):
        raise CorpusError(f"cut {data['id']!r} is a {kind}: only pieces of recordings (MonoCut, MultiCut) are read")
    try:
        recording = _recording(data["recording"], root)
        start, duration = (_number(data[name], name) for name in ("start", "duration"))
        seconds = recording.num_samples / recording.sampling_rate
        if duration <= 0 or start + duration > seconds + _OVERHANG_SECONDS:
            raise CorpusError(f"it goes from {start} s to {start + duration} s of a recording of {seconds} s")
        if not _are_channels(data["channel"] if kind == "MultiCut" else [data["channel"]]):
            raise CorpusError("its channels are not numbered")
        return (MonoCut if kind == "MonoCut" else MultiCut)(
            **{name: data[name] for name in _CUT_FIELDS},
            supervisions=[_supervision(item) for item in data.get("supervisions", ())],
            recording=recording,
        )
    except CorpusError as error:
        raise CorpusError(f"cut {data['id']!r}: {error}") from None
    except (KeyError, TypeError, IndexError, ValueError, AttributeError, ArithmeticError, AssertionError) as error:
        raise CorpusError(f"cut {data['id']!r} is damaged ({type(error).__name__}: {error})") from None


def safe_path(path: Any, root: Path | None) -> str:
    """Return a manifest's path below a root.

    Raises:
        CorpusError: It leads out of the root, or is nothing that names a file.

    >>> safe_path("audio/a.flac", Path("/corpus"))
    '/corpus/audio/a.flac'
    """
    if not isinstance(path, str) or not path or "\0" in path or "://" in path or path.startswith("pipe:"):
        raise CorpusError(f"its audio {str(path)[:80]!r} is no path of a file")
    if root is None:
        return path
    if os.path.isabs(path) or ".." in PurePosixPath(path).parts:
        raise CorpusError(f"the path {path!r} leads out of {root}")
    return os.path.join(root, path)


def _recording(data: Any, root: Path | None) -> "Recording":
    """Return the recording of a line, one plain file."""
    from lhotse import AudioSource, Recording

    if not isinstance(data, dict):
        raise CorpusError("it has no recording")
    if data.get("transforms"):
        raise CorpusError("its recording is to be changed when it is read (transforms): store it as it should be")
    sources = data.get("sources")
    if not isinstance(sources, list) or len(sources) != 1:
        raise CorpusError("its recording is not one file")
    kind, path = sources[0].get("type"), sources[0].get("source")
    if kind != "file":
        raise CorpusError(f"its audio is a {kind!r}: only files are read, no command is run and no address called")
    path = safe_path(path, root)
    rate, samples, channels = data["sampling_rate"], data["num_samples"], sources[0]["channels"]
    if not isinstance(rate, int) or not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise CorpusError(f"its sampling rate is {rate!r} ({LOWEST_RATE} to {HIGHEST_RATE} Hz can be read)")
    if not isinstance(samples, int) or samples <= 0:
        raise CorpusError(f"its recording has {samples!r} samples")
    if not _are_channels(channels):
        raise CorpusError("its channels are not numbered")
    return Recording(
        id=str(data["id"]),
        sources=[AudioSource("file", channels=channels, source=path)],
        sampling_rate=rate,
        num_samples=samples,
        duration=_number(data["duration"], "duration"),
    )


def _supervision(data: Any) -> "SupervisionSegment":
    """Return a supervision of a line: speaker, texts and alignments."""
    from lhotse import SupervisionSegment
    from lhotse.supervision import AlignmentItem

    alignment = {
        str(name): [AlignmentItem(str(i[0]), _number(i[1], "start"), _number(i[2], "duration")) for i in items]
        for name, items in (data.get("alignment") or {}).items()
    }
    fields = {name: data[name] for name in _SUPERVISION_FIELDS if name in data}
    wrong = [name for name in _TEXTS if not isinstance(fields.get(name), str | None)]
    if wrong:
        raise CorpusError(f"its {wrong[0]} is {str(fields[wrong[0]])[:40]!r}, which is no text")
    for name in ("start", "duration"):
        _number(max(fields[name], 0.0), name)  # a supervision may begin before its cut
    # Of custom fields, only texts are kept: lhotse builds objects from what strangers may have written there.
    custom = {str(k): v for k, v in (data.get("custom") or {}).items() if isinstance(v, str)}
    return SupervisionSegment(**fields, alignment=alignment or None, custom=custom or None)


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise CorpusError(f"its {name} is {value!r}")
    return float(value)


def _are_channels(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= _MOST_CHANNELS
        and all(isinstance(channel, int) and not isinstance(channel, bool) for channel in value)
    )
