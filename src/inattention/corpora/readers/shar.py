"""A lhotse Shar folder: cuts in `cuts.000000.jsonl.gz`, their audio in `recording.000000.tar`, and so on."""

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inattention.corpora.core.cut_files import cut_from, json_lines
from inattention.corpora.core.file_tree import Tree, fingerprint, read_tree
from inattention.corpora.core.writer import CorpusWriter
from inattention.corpora.errors import CorpusError
from inattention.corpora.readers.lhotse_manifests import UNSUPPORTED, is_manifest
from inattention.corpora.readers.stored_audio import audio_digest, store_audio
from inattention.text import printable

if TYPE_CHECKING:
    from lhotse.cut import Cut

LARGEST_MEMBER = 2**31
_SHARD = re.compile(r"cuts\.(\d+)\.jsonl(?:\.gz)?", re.ASCII)


def shar_key(path: Path) -> str:
    """Return a digest of the cuts and recordings in a Shar folder."""
    return fingerprint(_shar_tree(path), contents=(".gz", ".jsonl"))


def _shar_tree(path: Path) -> Tree:
    tree = read_tree(path, (".gz", ".jsonl", ".tar"))
    # Only cuts and recordings are read; a Shar may also contain arrays, images and the like.
    tree.files = {name: size for name, size in tree.files.items() if name.split(".")[0] in ("cuts", "recording")}
    return tree


def unpacked_cuts(writer: CorpusWriter, folder: Path, split: str) -> Iterator[tuple["Cut", str]]:
    """Yield the cuts of a Shar with their files, unpacked into the corpus; bad ones are counted.

    Raises:
        CorpusError: The folder is no Shar, or a file of cuts is damaged.
    """
    tree = _shar_tree(folder)
    shards = {match[1]: name for name in tree.files if (match := _SHARD.fullmatch(name))}
    if not shards:
        manifests = sorted(printable(path.name) for path in folder.iterdir() if is_manifest(path))
        hint = f"; --path must name one of its manifests: {', '.join(manifests[:10])}" if manifests else ""
        raise CorpusError(f"{folder} is not a Shar folder: it has no cuts.000000.jsonl.gz{hint}")
    for number, name in shards.items():
        archive = f"recording.{number}.tar"
        if archive not in tree.files:
            writer.skip(
                printable(name), f"there is no {archive} beside it", kind="file", category="shard without audio"
            )
            continue
        try:
            with tarfile.open(folder / archive, "r|") as tar:
                pairs = _pairs(tar, archive)
                for line, data in enumerate(json_lines(folder / name), 1):
                    item = f"{printable(name)}, line {line}"
                    writer.found("recording", 1)
                    try:
                        yield _unpacked(writer, data, *next(pairs, (None, b"")), target=f"audio/{split}-{number}")
                    except CorpusError as error:
                        writer.skip(item, str(error), category=UNSUPPORTED)
        except (tarfile.TarError, EOFError) as error:
            reason = f"is damaged ({error}): the rest of it is skipped"
            writer.skip(printable(archive), reason, kind="file", category="damaged archive")


def _pairs(tar: tarfile.TarFile, archive: str) -> Iterator[tuple[Any, bytes]]:
    """Yield each recording's manifest and audio, which alternate in the archive, the audio first."""
    audio: bytes | None = None
    for member in tar:
        if member.size > LARGEST_MEMBER:
            raise tarfile.TarError(f"{archive} holds {member.size} bytes under one name")
        file = tar.extractfile(member) if member.isfile() else None
        content = file.read() if file else b""
        if audio is None:
            audio = content
            continue
        try:
            manifest = json.loads(content) if content else None
        except (ValueError, RecursionError):
            manifest = None
        yield manifest, audio
        audio = None


def _unpacked(writer: CorpusWriter, data: Any, recording: Any, audio: bytes, *, target: str) -> tuple["Cut", str]:
    """Store a recording's audio in the corpus; return its cut and the audio's path."""
    if not isinstance(recording, dict) or not audio:
        raise CorpusError("it has no recording")
    if not isinstance(data, dict) or not isinstance(data.get("recording"), dict):
        raise CorpusError("it is not a cut with a recording")
    if recording.get("id") != data["recording"].get("id"):
        raise CorpusError(f"its recording is {data['recording'].get('id')!r}, the archive has {recording.get('id')!r}")
    sources = recording.get("sources")
    channels = sources[0].get("channels") if isinstance(sources, list) and sources else None
    # The name is a digest, not the archive's own, which might lead anywhere. It is needed in the cut, which is checked
    # before anything is written.
    path = f"{target}/{audio_digest(audio)}"
    source = {"type": "file", "channels": channels, "source": path}
    recording = {**recording, "sources": [source], "transforms": None}
    cut = cut_from({**data, "recording": recording}, None)
    store_audio(writer.folder, path, audio)
    return cut, path
