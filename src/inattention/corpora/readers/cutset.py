"""A user's lhotse CutSet (`cuts.jsonl`, `cuts.jsonl.gz`) or Shar folder.

A manifest may come from a stranger: lhotse would run commands and open addresses that a manifest names. Only pieces of
plain files are accepted (`MonoCut`, `MultiCut`; sources of type `file`), or audio in a Shar's own archives; everything
else is skipped with its reason, and no code is run.

With `path` alone, each speaker's recordings are split; with `dev` and `test` too, these three are the splits. Files of
a CutSet stay where they are unless `--copy` is given; audio in a Shar is unpacked into the corpus as it is. A cut
should have one supervision, or several of one speaker: the corpus takes its speaker from there and its phones from the
alignment `phone` (or `phones`).
"""

import dataclasses
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inattention.audio.limits import Truncated
from inattention.corpora.core.audio_facts import Facts
from inattention.corpora.core.corpus import Corpus
from inattention.corpora.core.cut_building import Phone, make_cut
from inattention.corpora.core.cut_files import cut_from, json_lines
from inattention.corpora.core.file_tree import Tree, content_digest, fingerprint, read_tree
from inattention.corpora.core.recordings import as_json, checked_phones, copy_audio, inspect_files, inventory
from inattention.corpora.core.splits import Member, Splits, check_fractions, split_within_speakers
from inattention.corpora.core.writer import CorpusSpec, CorpusWriter, write_corpus
from inattention.corpora.errors import CorpusError
from inattention.corpora.readers.stored_audio import audio_digest, store_audio
from inattention.text import printable

if TYPE_CHECKING:
    from lhotse.cut import Cut

NAME = "cutset"
GENERATOR = 1
CAVEAT = "A user's own cuts: speakers, phones and, where given, splits are theirs."
_PACKAGES = ("lhotse", "soundfile")
LARGEST_MEMBER = 2**31


@dataclass(frozen=True, kw_only=True)
class CutSetConfig:
    """Settings of a corpus of lhotse cuts.

    Attributes:
        path: A .jsonl or .jsonl.gz of cuts, or a Shar folder.
        dev: Another one for tuning; by default a fraction of each speaker's recordings is used.
        test: Another one for testing; likewise.
        dev_fraction: Fraction for tuning if there is no `dev`.
        test_fraction: Fraction for testing if there is no `test`.
        seed: Of the split.
        copy: Copy the audio into the corpus, which can then be moved.
        truncated: Skip files that end before their headers say, or keep what is there of them.
    """

    path: Path = Path("cuts.jsonl.gz")
    dev: Path | None = None
    test: Path | None = None
    dev_fraction: float = 0.1
    test_fraction: float = 0.1
    seed: int = 0
    copy: bool = False
    truncated: Truncated = "skip"

    def __post_init__(self) -> None:
        check_fractions(self.dev_fraction, self.test_fraction)
        if (self.dev is None) != (self.test is None):
            raise CorpusError("give both --dev and --test, or neither")


@dataclass
class _Item:
    cut: "Cut"
    path: str
    split: str


def prepare(
    config: CutSetConfig,
    folder: str | Path,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> Corpus:
    """Prepare a corpus of cuts; see `inattention.corpora.registry.Prepare`.

    Raises:
        CorpusError: There are no cuts there, a manifest is damaged, or the corpus cannot be written.
    """
    given = {"train": config.path, "dev": config.dev, "test": config.test}
    sources = {split: path.expanduser().resolve() for split, path in given.items() if path is not None}
    for path in sources.values():
        if not path.exists():
            raise CorpusError(f"there is no {path}: --path, --dev and --test must be existing cuts")
    shar = [path.is_dir() for path in sources.values()]
    if any(shar) != all(shar):
        raise CorpusError("train, dev and test must all be manifests, or all be Shar folders")
    unpack = all(shar)
    settings = {name: value for name, value in dataclasses.asdict(config).items() if name not in given}
    del settings["copy"]
    settings |= {"copy": config.copy or unpack, "cuts": {split: _key(path) for split, path in sources.items()}}
    spec = CorpusSpec(
        name=NAME,
        config=as_json(settings),
        generator=GENERATOR,
        phones=(),
        caveat=CAVEAT,
        packages=_PACKAGES,
        audio_root=None if config.copy or unpack else Path("/"),
    )

    def fill(writer: CorpusWriter) -> None:
        items: list[_Item] = []
        for split, path in sources.items():
            items += [
                _Item(cut, source, split)
                for cut, source in (_from_shar(writer, path, split) if unpack else _from_manifest(writer, path))
            ]
        root = writer.folder if unpack else Path("/")
        names = dict.fromkeys(item.path for item in items)
        how: Any = {"decode": False, "truncated": config.truncated, "workers": workers, "progress": progress}
        facts = dict(inspect_files(writer, root, names, **how))
        _add_all(writer, config, [item for item in items if item.path in facts], facts, copied=unpack)

    return write_corpus(folder, spec, fill, overwrite=overwrite)


def _key(path: Path) -> str:
    """Return a digest of the cuts in a file or Shar folder."""
    if path.is_dir():
        return fingerprint(_shar_tree(path), contents=(".gz", ".jsonl"))
    return content_digest(path).hex()[:16]


def _from_manifest(writer: CorpusWriter, path: Path) -> Iterator[tuple["Cut", str]]:
    """Yield the cuts of a manifest with their files, relative to `/`; bad ones are counted."""
    for number, data in enumerate(json_lines(path), 1):
        try:
            cut = cut_from(data, None)
            source = os.path.join(path.parent, str(_source(cut)))
            yield cut, os.path.relpath(os.path.realpath(source), "/")
        except CorpusError as error:
            writer.skip(f"{printable(path.name)}, line {number}", str(error))


def _source(cut: Any) -> str:
    return cut.recording.sources[0].source


def _shar_tree(path: Path) -> Tree:
    tree = read_tree(path, (".gz", ".jsonl", ".tar"))
    # Only cuts and recordings are read; a Shar may also contain arrays, images and the like.
    tree.files = {name: size for name, size in tree.files.items() if name.split(".")[0] in ("cuts", "recording")}
    return tree


def _from_shar(writer: CorpusWriter, folder: Path, split: str) -> Iterator[tuple["Cut", str]]:
    """Yield the cuts of a Shar with their files, unpacked into the corpus; bad ones are counted."""
    tree = _shar_tree(folder)
    shards = {name.partition(".")[2].split(".")[0]: name for name in tree.files if name.startswith("cuts.")}
    if not shards:
        raise CorpusError(f"{folder} is not a Shar folder: it has no cuts.000000.jsonl.gz")
    for number, name in shards.items():
        archive = f"recording.{number}.tar"
        if archive not in tree.files:
            writer.skip(printable(name), f"there is no {archive} beside it")
            continue
        try:
            with tarfile.open(folder / archive, "r|") as tar:
                pairs = _pairs(tar, archive)
                for line, data in enumerate(json_lines(folder / name), 1):
                    item = f"{printable(name)}, line {line}"
                    try:
                        yield _unpacked(writer, data, *next(pairs, (None, b"")), target=f"audio/{split}-{number}")
                    except CorpusError as error:
                        writer.skip(item, str(error))
        except (tarfile.TarError, EOFError) as error:
            writer.skip(printable(archive), f"is damaged ({error}): the rest of it is skipped")


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


def _add_all(
    writer: CorpusWriter, config: CutSetConfig, items: list[_Item], facts: dict[str, Facts], *, copied: bool
) -> None:
    splits = Splits({item.cut.id: item.split for item in items})
    if config.dev is None:
        members = [Member(i.cut.id, _speaker(i.cut) or "", i.path, i.cut.duration) for i in items]
        fractions = {"dev": config.dev_fraction, "test": config.test_fraction}
        splits = split_within_speakers(members, **fractions, seed=config.seed)
    symbols: set[str] = set()
    seen: set[str] = set()
    for item in items:
        cut, known = item.cut, facts[item.path]
        try:
            if cut.id in seen:
                raise CorpusError("a cut before it has the same id")
            cut = _shortened(cut, known)
            _check(cut, known)
        except CorpusError as error:
            writer.skip(printable(cut.id), str(error))
            continue
        seen.add(cut.id)
        phones = _phones(cut)
        phones = checked_phones(writer, cut.id, phones, cut.duration, truncated=cut is not item.cut) if phones else None
        symbols |= {symbol for symbol, _, _ in phones or ()}
        source = item.path if copied or not config.copy else copy_audio(writer, Path("/"), item.path)
        writer.add(splits.of[cut.id], _remade(cut, source, phones))
    writer.phones = inventory(symbols)
    writer.report("notes", splits.notes())


def _shortened(cut: Any, facts: Facts) -> Any:
    """Return what a truncated file holds of a cut, without the text; other cuts as they are."""
    if not facts.damage:
        return cut
    seconds = round(min(cut.end, facts.seconds) - cut.start, 8)
    if seconds <= 0:
        raise CorpusError(f"it begins at {cut.start:.3f} s, its truncated file ends at {facts.seconds:.3f} s")
    recording = dataclasses.replace(cut.recording, num_samples=facts.samples, duration=facts.seconds)
    supervisions = [dataclasses.replace(s, text=None) for s in cut.supervisions]
    return dataclasses.replace(cut, duration=seconds, recording=recording, supervisions=supervisions)


def _check(cut: Any, facts: Facts) -> None:
    """Raise if a cut does not fit its file."""
    if cut.recording.sampling_rate != facts.rate:
        raise CorpusError(f"its file has {facts.rate} Hz, its manifest says {cut.recording.sampling_rate} Hz")
    if cut.start + cut.duration > facts.seconds + 0.1:
        raise CorpusError(f"it ends at {cut.start + cut.duration:.3f} s, its file at {facts.seconds:.3f} s")
    wanted = cut.channel if isinstance(cut.channel, list) else [cut.channel]
    channels = cut.recording.sources[0].channels
    if not set(wanted) <= set(channels) or len(channels) > facts.channels:
        raise CorpusError(f"its channels are {wanted} of {channels}; its file has {facts.channels}")
    if len({s.speaker for s in cut.supervisions}) > 1:
        raise CorpusError("several speakers speak in it: cut it into their turns (cuts.trim_to_supervisions)")


def _speaker(cut: Any) -> str | None:
    return next((str(s.speaker) for s in cut.supervisions if s.speaker is not None), None)


def _phones(cut: Any) -> list[Phone]:
    """Return the phones of all supervisions, in seconds from the start of the cut."""
    items = [
        item for s in cut.supervisions for name in ("phone", "phones") for item in (s.alignment or {}).get(name, ())
    ]
    return [(item.symbol, item.start, item.start + item.duration) for item in items]


def _remade(cut: Any, source: str, phones: list[Phone] | None) -> "Cut":
    """Return the cut with one supervision over the whole of it."""
    plain: Any = make_cut(
        cut.id,
        source,
        rate=cut.recording.sampling_rate,
        samples=cut.recording.num_samples,
        piece=(round(cut.start * cut.recording.sampling_rate), round(cut.end * cut.recording.sampling_rate)),
        speaker=_speaker(cut),
        text=" ".join(s.text for s in cut.supervisions if isinstance(s.text, str)) or None,
        language=next((s.language for s in cut.supervisions if isinstance(s.language, str)), None),
        phones=phones,
    )
    # The times and channels are the user's.
    kept = dataclasses.replace(cut, supervisions=plain.supervisions, recording=plain.recording)
    kept.recording.sources[0].channels = cut.recording.sources[0].channels
    kept.recording.channel_ids = list(cut.recording.sources[0].channels)
    return kept
