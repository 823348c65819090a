"""An audio dataset of Hugging Face `datasets` (extra `hf`), from the hub or a local folder, streamed row by row.

Each row's audio is kept in the corpus as the bytes that it is; nothing is decoded on the way and no code of the dataset
is run (`datasets` itself refuses datasets that need a script). lhotse's reader is not used because it stops at the
first row whose audio is broken or in a file of its own.
"""

import dataclasses
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inattention.corpora.core.audio_facts import Facts
from inattention.corpora.core.corpus import SPLITS, Corpus
from inattention.corpora.core.recordings import add_recording, as_json, inspect_files, members_of
from inattention.corpora.core.splits import Splits, check_fractions, split_within_speakers
from inattention.corpora.core.writer import CorpusSpec, CorpusWriter, write_corpus
from inattention.corpora.errors import CorpusError
from inattention.corpora.readers.stored_audio import audio_digest, store_audio
from inattention.progress import bar as progress_bar
from inattention.text import printable

if TYPE_CHECKING:
    from datasets import IterableDataset

NAME = "hf"
GENERATOR = 1
CAVEAT = "A set from Hugging Face: who speaks, and what, is what its columns say."
_PACKAGES = ("datasets", "lhotse", "soundfile")


@dataclass(frozen=True, kw_only=True)
class HuggingFaceConfig:
    """Settings of a corpus of a Hugging Face dataset.

    Attributes:
        dataset: Its name on the hub, or a local folder that `datasets` can load or has saved.
        subset: The dataset's configuration, where it has several.
        revision: Of the dataset on the hub; a commit makes the corpus reproducible.
        train: The dataset's split for training.
        dev: The dataset's split for tuning; if empty, a fraction of each speaker's rows of `train`.
        test: The dataset's split for testing; likewise.
        audio: The column of the audio.
        speaker: The column of the speaker; none if empty.
        text: The column of the text; none if empty.
        most_rows: Rows of each split to read at most; all if 0.
        dev_fraction: Fraction for tuning if there is no `dev`.
        test_fraction: Fraction for testing if there is no `test`.
        longest_seconds: Longer recordings are divided.
        seed: Of the split.
    """

    dataset: str = "openslr/librispeech_asr"
    subset: str = ""
    revision: str = ""
    train: str = "train"
    dev: str = ""
    test: str = ""
    audio: str = "audio"
    speaker: str = "speaker_id"
    text: str = "text"
    most_rows: int = 0
    dev_fraction: float = 0.1
    test_fraction: float = 0.1
    longest_seconds: float = 30.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_fractions(self.dev_fraction, self.test_fraction)
        if bool(self.dev) != bool(self.test):
            raise CorpusError("give both --dev and --test, or neither")
        if self.longest_seconds <= 0 or self.most_rows < 0:
            raise CorpusError("longest_seconds must be above 0, and most_rows at least 0")


@dataclass(frozen=True)
class _Row:
    name: str
    path: str
    split: str
    speaker: str | None
    text: str | None


def prepare(
    config: HuggingFaceConfig,
    folder: str | Path,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> Corpus:
    """Prepare a corpus of a Hugging Face dataset; see `inattention.corpora.registry.Prepare`.

    Raises:
        CorpusError: `datasets` is not installed, the dataset cannot be loaded or lacks a column, or the corpus cannot
            be written.
    """
    try:
        import datasets  # noqa: F401
    except ImportError as error:
        raise CorpusError(f"this needs the library datasets ({error}): pip install 'inattention[hf]'") from None
    spec = CorpusSpec(
        name=NAME,
        config=as_json(dataclasses.asdict(config)),
        generator=GENERATOR,
        phones=(),
        caveat=CAVEAT,
        packages=_PACKAGES,
    )

    def fill(writer: CorpusWriter) -> None:
        named = dict(zip(SPLITS, (config.train, config.dev, config.test), strict=True))
        rows = [row for split, name in named.items() if name for row in _rows(config, writer, split, name)]
        names: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            names[row.path].append(row.name)
        found = inspect_files(
            writer, writer.folder, names, items=names, decode=False, workers=workers, progress=progress
        )
        facts = dict(found)
        _add(config, writer, [row for row in rows if row.path in facts], facts)

    return write_corpus(folder, spec, fill, overwrite=overwrite)


def _add(config: HuggingFaceConfig, writer: CorpusWriter, rows: list[_Row], facts: dict[str, Facts]) -> None:
    splits = _split(config, rows, facts)
    for row in rows:
        add_recording(
            writer,
            name=row.name,
            source=row.path,
            facts=facts[row.path],
            split_of=splits.of,
            longest=config.longest_seconds,
            speaker=row.speaker,
            text=row.text,
        )
    writer.report("notes", splits.notes())


def _split(config: HuggingFaceConfig, rows: list[_Row], facts: dict[str, Facts]) -> Splits:
    # The path identifies the recording: rows with the same audio share it.
    pieces = [members_of(r.name, r.speaker or "", r.path, facts[r.path], config.longest_seconds) for r in rows]
    if config.dev:
        return Splits({member.id: row.split for row, own in zip(rows, pieces, strict=True) for member in own})
    members = [member for own in pieces for member in own]
    return split_within_speakers(members, dev=config.dev_fraction, test=config.test_fraction, seed=config.seed)


def _rows(config: HuggingFaceConfig, writer: CorpusWriter, split: str, name: str) -> Iterator[_Row]:
    """Stream a split, store each row's audio, and yield the rest of it; bad rows are counted."""
    stream = _open(config, name)
    columns = stream.column_names or []
    for column in filter(None, (config.audio, config.speaker, config.text)):
        if column not in columns:
            raise CorpusError(f"{config.dataset} has no column {column!r} (it has: {', '.join(columns)})")
    # A speaker column of classes contains numbers, whose names are in the dataset's features.
    named = getattr((stream.features or {}).get(config.speaker), "int2str", str)
    bar = progress_bar(stream, desc=f"reading {name}", unit="row")
    for number, row in enumerate(bar):
        if config.most_rows and number >= config.most_rows:
            break
        item = f"{name}-{number:07d}"
        writer.found("recording", 1)
        try:
            path = _keep(writer, split, row.get(config.audio), Path(config.dataset))
        except CorpusError as error:
            writer.skip(item, str(error))
            continue
        speaker = row.get(config.speaker) if config.speaker else None
        text = row.get(config.text) if config.text else None
        if text is not None and not isinstance(text, str):
            writer.skip(item, f"its text is no text but {type(text).__name__}", kind="text")
        yield _Row(
            item,
            path,
            split,
            None if speaker is None else printable(str(named(speaker))),
            text if isinstance(text, str) else None,
        )


def _open(config: HuggingFaceConfig, split: str) -> "IterableDataset":
    """Open a split as a stream of undecoded audio."""
    from datasets import Dataset, DatasetDict, load_dataset, load_from_disk

    local = Path(config.dataset)
    try:
        if (local / "state.json").is_file() or (local / "dataset_dict.json").is_file():
            saved = load_from_disk(str(local))
            whole = saved[split] if isinstance(saved, DatasetDict) else saved
            assert isinstance(whole, Dataset)
            stream = whole.to_iterable_dataset()
        else:
            revision = config.revision or None
            name = config.subset or None
            stream = load_dataset(config.dataset, name, split=split, streaming=True, revision=revision)
        return _undecoded(stream, config.audio)
    except Exception as error:  # the library raises many kinds, its own, the hub's and pyarrow's
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CorpusError(f"the split {split!r} of {config.dataset} cannot be opened: {reason}") from error


def _undecoded(stream: "IterableDataset", column: str) -> "IterableDataset":
    """Read the audio as stored, its bytes or its path; the library's own audio type needs a decoder."""
    from datasets import Value

    if column not in (stream.column_names or []):
        return stream
    plain = stream.cast_column(column, {"bytes": Value("binary"), "path": Value("string")})
    try:
        next(iter(plain), None)
    except AttributeError:  # a dataset of files, whose rows contain their paths
        return stream.cast_column(column, Value("string"))
    return plain


def _keep(writer: CorpusWriter, split: str, audio: Any, local: Path) -> str:
    """Store a row's audio in the corpus and return its path there."""
    if isinstance(audio, str):
        audio = {"path": audio}
    if not isinstance(audio, dict):
        raise CorpusError("has no audio")
    data = audio.get("bytes") or _read(audio.get("path"), local)
    digest = audio_digest(data)
    path = f"audio/{split}/{digest[:2]}/{digest}"
    store_audio(writer.folder, path, data)
    return path


def _read(path: Any, local: Path) -> bytes:
    """Read audio that a row names by a path, which must be a file of the dataset itself, local or on the hub."""
    if not isinstance(path, str) or not path:
        raise CorpusError("has no audio")
    try:
        if path.startswith("hf://datasets/"):
            from huggingface_hub import HfFileSystem

            with HfFileSystem().open(path, "rb") as file:
                return file.read()
        real, root = os.path.realpath(path), os.path.realpath(local)
        if local.is_dir() and os.path.isfile(real) and os.path.commonpath([real, root]) == root:
            return Path(real).read_bytes()
    except Exception as error:
        raise CorpusError(f"its audio {path[:80]!r} cannot be read ({error})") from error
    raise CorpusError(f"its audio {path[:80]!r} is no file of the set")
