"""A lhotse CutSet (`cuts.jsonl`, `cuts.jsonl.gz`) or Shar folder that the user has.

A manifest may come from a stranger: lhotse would run the commands and call the addresses that one can name. Only
pieces of plain files are taken (`MonoCut`, `MultiCut`; sources of type `file`), or what stands in a Shar's own
archives; everything else is left out with its reason, and no code is run.

With `path` alone, speakers' recordings are divided; with `dev` and `test` too, these three are the splits. Files of a
CutSet stay where they are, unless `--copy` is given; audio in a Shar is unpacked into the corpus as it is. Cuts should
have one supervision, or those of one speaker: its speaker is the cut's, and its alignment `phone` (or `phones`) the
cut's phones.
"""

import dataclasses
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inattention.corpora.core.audio_facts import Facts
from inattention.corpora.core.corpus import Corpus
from inattention.corpora.core.cut_building import Phone, make_cut
from inattention.corpora.core.cut_files import cut_from, json_lines
from inattention.corpora.core.file_tree import Tree, content_digest, fingerprint, read_tree
from inattention.corpora.core.recordings import as_json, checked_phones, copy_audio, inspect_files, inventory
from inattention.corpora.core.splits import Member, Splits, check_fractions, split_within_speakers
from inattention.corpora.core.writer import CorpusSpec, CorpusWriter, write_corpus
from inattention.corpora.errors import CorpusError
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
    """Which cuts, and how they are divided.

    Attributes:
        path: A .jsonl or .jsonl.gz of cuts, or a Shar folder.
        dev: Another one for tuning; a fraction of each speaker's recordings is taken if left out.
        test: Another one for the final measure.
        dev_fraction: What is taken for tuning if there is no `dev`.
        test_fraction: What is taken for the final measure if there is no `test`.
        seed: Of the split.
        copy: Copy the audio into the corpus, which can then be moved.
    """

    path: Path = Path("cuts.jsonl.gz")
    dev: Path | None = None
    test: Path | None = None
    dev_fraction: float = 0.1
    test_fraction: float = 0.1
    seed: int = 0
    copy: bool = False

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
    """Prepare a corpus of cuts, unless it stands there already.

    Args:
        config: Which cuts, and how they are divided.
        folder: Where the corpus is to stand.
        overwrite: Prepare it in any case, replacing the corpus that stands there.
        workers: Processes that read headers; by default one a core. They do not change the outcome.
        progress: Show a progress bar on stderr.

    Raises:
        CorpusError: There are no cuts there, a manifest is damaged, or the corpus cannot be written.
    """
    given = {"train": config.path, "dev": config.dev, "test": config.test}
    sources = {split: path.expanduser().resolve() for split, path in given.items() if path is not None}
    for path in sources.values():
        if not path.exists():
            raise CorpusError(f"there is no {path}: say with --path where the cuts are")
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
        facts = dict(inspect_files(writer, root, names, decode=False, workers=workers, progress=progress))
        _add_all(writer, config, [item for item in items if item.path in facts], facts, copied=unpack)

    return write_corpus(folder, spec, fill, overwrite=overwrite)


def _key(path: Path) -> str:
    """Give what tells these cuts from others."""
    if path.is_dir():
        return fingerprint(_shar_tree(path), contents=(".gz", ".jsonl"))
    return content_digest(path).hex()[:16]


def _from_manifest(writer: CorpusWriter, path: Path) -> Iterator[tuple["Cut", str]]:
    """Give the cuts of a manifest with their files, relative to the root of all; bad ones are counted."""
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
    # Only cuts and recordings are looked at: arrays, images and the like may stand beside them.
    tree.files = {name: size for name, size in tree.files.items() if name.split(".")[0] in ("cuts", "recording")}
    return tree


def _from_shar(writer: CorpusWriter, folder: Path, split: str) -> Iterator[tuple["Cut", str]]:
    """Give the cuts of a Shar, whose audio is unpacked into the corpus; bad ones are counted."""
    tree = _shar_tree(folder)
    shards = {name.partition(".")[2].split(".")[0]: name for name in tree.files if name.startswith("cuts.")}
    if not shards:
        raise CorpusError(f"{folder} is no Shar: it holds no cuts.000000.jsonl.gz")
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
            writer.skip(printable(archive), f"is damaged ({error}): what comes after is left out")


def _pairs(tar: tarfile.TarFile, archive: str) -> Iterator[tuple[Any, bytes]]:
    """Give each recording's manifest and audio, which stand one after the other, the audio first."""
    import json

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
    """Write a recording's audio under a name of ours, and make its cut."""
    import hashlib

    if not isinstance(recording, dict) or not audio:
        raise CorpusError("there is no recording for it")
    if not isinstance(data, dict) or not isinstance(data.get("recording"), dict):
        raise CorpusError("this is no cut with a recording")
    if recording.get("id") != data["recording"].get("id"):
        raise CorpusError(f"its recording is {data['recording'].get('id')!r}, the archive has {recording.get('id')!r}")
    sources = recording.get("sources")
    channels = sources[0].get("channels") if isinstance(sources, list) and sources else None
    # The name says nothing of what the archive calls it: that might lead anywhere.
    path = f"{target}/{hashlib.sha256(audio).hexdigest()[:24]}"
    source = {"type": "file", "channels": channels, "source": path}
    recording = {**recording, "sources": [source], "transforms": None}
    cut = cut_from({**data, "recording": recording}, None)
    place = writer.folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        temporary = place.with_name(place.name + ".tmp")
        temporary.write_bytes(audio)
        os.rename(temporary, place)
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
            _check(cut, known)
        except CorpusError as error:
            writer.skip(printable(cut.id), str(error))
            continue
        seen.add(cut.id)
        phones = _phones(cut)
        phones = checked_phones(writer, cut.id, phones, cut.duration) if phones else None
        symbols |= {symbol for symbol, _, _ in phones or ()}
        source = item.path if copied or not config.copy else copy_audio(writer, Path("/"), item.path)
        writer.add(splits.of[cut.id], _remade(cut, source, phones))
    writer.phones = inventory(symbols)
    writer.report("notes", splits.notes())


def _check(cut: Any, facts: Facts) -> None:
    """Hold a cut against its file."""
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
    """Give the phones of all supervisions, in seconds from the beginning of the cut."""
    items = [
        item for s in cut.supervisions for name in ("phone", "phones") for item in (s.alignment or {}).get(name, ())
    ]
    return [(item.symbol, item.start, item.start + item.duration) for item in items]


def _remade(cut: Any, source: str, phones: list[Phone] | None) -> "Cut":
    """Make the cut anew, with one supervision over the whole of it."""
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
    # The piece and the channels are the user's.
    kept = dataclasses.replace(cut, supervisions=plain.supervisions, recording=plain.recording)
    kept.recording.sources[0].channels = cut.recording.sources[0].channels
    kept.recording.channel_ids = list(cut.recording.sources[0].channels)
    return kept
