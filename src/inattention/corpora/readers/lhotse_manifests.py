"""lhotse's manifests on disk: cuts, or recordings with supervisions, as JSON lines, JSON or YAML.

Manifests may come from a stranger: YAML is read without tags that construct objects and without aliases, which can
make a file of a kilobyte stand for gigabytes.
"""

import dataclasses
import gzip
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inattention.corpora.core.cut_files import cut_from, json_lines
from inattention.corpora.core.writer import CorpusWriter
from inattention.corpora.errors import CorpusError
from inattention.text import printable

if TYPE_CHECKING:
    from lhotse.cut import Cut

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".yaml", ".yaml.gz", ".yml")
LARGEST_WHOLE = 64 * 2**20  # JSON and YAML are read at once; JSON lines may have any size
UNSUPPORTED = "damaged or unsupported manifest entry"
_DEEPEST = 50
_DAMAGE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


def is_manifest(path: Path) -> bool:
    """Return whether a file has the name of a manifest."""
    return path.name.lower().endswith(SUFFIXES)


def manifest_items(path: Path) -> Iterator[tuple[str, Any]]:
    """Read a manifest item by item, each with its place in the file, such as `line 3`.

    Raises:
        CorpusError: It cannot be read, is damaged, or has another format.
    """
    name = path.name.lower()
    if not is_manifest(path):
        raise CorpusError(f"{path} is no manifest: its name must end with {', '.join(SUFFIXES)}")
    if not path.is_file():  # opening a pipe would wait for its other end
        raise CorpusError(f"{path} is no plain file")
    if ".jsonl" in name:
        yield from ((f"line {number}", data) for number, data in enumerate(json_lines(path), 1))
        return
    items = _whole(path, is_yaml=".json" not in name)
    if not isinstance(items, list):
        raise CorpusError(f"{path} is no manifest: it holds a {type(items).__name__} and not a list of items")
    yield from ((f"item {number}", data) for number, data in enumerate(items, 1))


def _whole(path: Path, *, is_yaml: bool) -> Any:
    """Return the content of a JSON or YAML file."""
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
            data = file.read(LARGEST_WHOLE + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CorpusError(f"{path} is damaged ({error}): copy it again") from None
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror or error})") from error
    if len(data) > LARGEST_WHOLE:
        raise CorpusError(
            f"{path} is larger than {LARGEST_WHOLE >> 20} MiB, and it would be read at once: convert it to JSON lines "
            "with `lhotse copy FILE OUT.jsonl.gz`"
        )
    try:
        return _yaml(data) if is_yaml else json.loads(data)
    except CorpusError as error:
        raise CorpusError(f"{path}: {error}") from None
    except _DAMAGE as error:
        raise CorpusError(f"{path} is damaged ({' '.join(str(error).split())[:200]})") from None


def _yaml(data: bytes) -> Any:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        depth = 0
        for event in yaml.parse(data, Loader=loader):
            if isinstance(event, yaml.AliasEvent):
                raise CorpusError(f"line {event.start_mark.line + 1}: aliases (*{event.anchor}) are not read")
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > _DEEPEST:
                    raise CorpusError(f"line {event.start_mark.line + 1} is nested more than {_DEEPEST} deep")
            depth -= isinstance(event, yaml.CollectionEndEvent)
        return yaml.load(data, Loader=loader)
    except yaml.YAMLError as error:
        raise CorpusError(f"is damaged ({' '.join(str(error).split())[:200]})") from None


def kind_of(path: Path) -> str:
    """Return what a manifest holds by its first item: `cuts`, `recordings`, `supervisions`, or `nothing`.

    Raises:
        CorpusError: It cannot be read.
    """
    for _, data in manifest_items(path):
        if isinstance(data, dict) and "type" not in data:
            if "sources" in data:
                return "recordings"
            if "recording_id" in data:
                return "supervisions"
        return "cuts"
    return "nothing"


def supervisions_beside(recordings: Path) -> Path | None:
    """Return the manifest of supervisions beside one of recordings, which lhotse's recipes name alike.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "timit_supervisions_DEV.jsonl").touch()
    >>> supervisions_beside(folder / "timit_recordings_DEV.jsonl.gz").name
    'timit_supervisions_DEV.jsonl'
    """
    name = re.sub(r"recordings?(?=[^a-z]|$)", "supervisions", recordings.name, flags=re.IGNORECASE)
    stem = name[: name.lower().find(".json")] if ".json" in name.lower() else recordings.with_name(name).stem
    for candidate in (name, *(stem + suffix for suffix in SUFFIXES)):
        path = recordings.with_name(candidate)
        if candidate != recordings.name and path.is_file():
            return path
    return None


def read_cuts(writer: CorpusWriter, path: Path, supervisions: Path | None) -> Iterator[tuple[str, "Cut"]]:
    """Yield the cuts of a manifest, each with its place in the file; bad ones are counted.

    Args:
        writer: Counts what cannot be used.
        path: A manifest of cuts or of recordings.
        supervisions: A manifest of supervisions, if `path` has recordings: each becomes a cut.

    Raises:
        CorpusError: A file is damaged.
    """
    if supervisions is not None:
        yield from _supervised(writer, path, supervisions)
        return
    whole = kind_of(path) == "recordings"
    for place, data in manifest_items(path):
        item = f"{printable(path.name)}, {place}"
        writer.found("recording", 1)
        try:
            yield item, cut_from(_whole_recording(data) if whole else _renamed(data), None)
        except CorpusError as error:
            writer.skip(item, str(error), category=UNSUPPORTED)


def _renamed(data: Any) -> Any:
    """Return a cut with the name that its type has today; `MonoCut` was `Cut` before lhotse 0.8."""
    return {**data, "type": "MonoCut"} if isinstance(data, dict) and data.get("type") == "Cut" else data


def _supervised(writer: CorpusWriter, path: Path, supervisions: Path) -> Iterator[tuple[str, "Cut"]]:
    """Yield a cut for each supervision; recordings without one and supervisions without a recording are counted."""
    recordings: dict[Any, tuple[str, Any]] = {}
    for place, data in manifest_items(path):
        item = f"{printable(path.name)}, {place}"
        if not isinstance(data, dict) or not isinstance(data.get("id"), str):
            writer.found("recording", 1)
            writer.skip(item, "this is no recording", category=UNSUPPORTED)
        elif data["id"] in recordings:
            writer.found("recording", 1)
            writer.skip(item, f"a recording before it has the id {data['id'][:80]!r}", category="duplicate id")
        else:
            recordings[data["id"]] = (item, data)
    used: set[str] = set()
    for place, data in manifest_items(supervisions):
        item = f"{printable(supervisions.name)}, {place}"
        name = data.get("recording_id") if isinstance(data, dict) else None
        writer.found("recording", 1)
        if not isinstance(name, str) or name not in recordings:
            reason = f"{path.name} has no recording {str(name)[:80]!r}" if name else "this is no supervision"
            writer.skip(item, printable(reason), category="supervision without a recording")
            continue
        used.add(name)
        try:
            yield item, _cut_of(data, recordings[name][1])
        except CorpusError as error:
            writer.skip(item, str(error), category=UNSUPPORTED)
    for name, (item, _) in recordings.items():
        if name not in used:
            writer.found("recording", 1)
            writer.skip(
                item, f"no supervision has the recording {name[:80]!r}", category="recording without supervision"
            )


def _whole_recording(data: Any) -> dict[str, Any]:
    """Return a cut of a whole recording, as the content of a line."""
    if not isinstance(data, dict) or not isinstance(data.get("sources"), list) or not data["sources"]:
        raise CorpusError("this is no recording")
    channels = data["sources"][0].get("channels") if isinstance(data["sources"][0], dict) else None
    one = isinstance(channels, list) and len(channels) == 1
    return {
        "type": "MonoCut" if one else "MultiCut",
        "id": data.get("id"),
        "start": 0.0,
        "duration": data.get("duration"),
        "channel": channels[0] if one and channels else channels,
        "recording": data,
    }


def _cut_of(supervision: dict[str, Any], recording: dict[str, Any]) -> "Cut":
    """Return the cut that a supervision spans."""
    channel = supervision.get("channel", 0)
    cut: Any = cut_from(
        {
            **_whole_recording(recording),
            "type": "MultiCut" if isinstance(channel, list) else "MonoCut",
            "channel": channel,
            "id": supervision.get("id"),
            "start": supervision.get("start"),
            "duration": supervision.get("duration"),
            "supervisions": [supervision],
        },
        None,
    )
    return dataclasses.replace(cut, supervisions=[cut.supervisions[0].with_offset(-cut.start)])
