"""An audio dataset of Hugging Face (extra `hf`), from the hub or from local files, read row by row.

Local Parquet and Arrow files, also those of `save_to_disk`, are read with pyarrow (`tables`). The library `datasets`
streams the rest: datasets of the hub, and folders of audio files with their metadata. No code of the dataset is run
(`datasets` itself refuses datasets that need a script). lhotse's reader is not used because it stops at the first row
whose audio is broken or in a file of its own.

Each row's audio is kept in the corpus as the bytes that it is. Rows may name files instead, see
`inattention.corpora.core.audio_paths`; those that hold audio are copied.
"""

import dataclasses
import importlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inattention.audio.limits import Truncated
from inattention.corpora.core.audio_facts import Facts
from inattention.corpora.core.audio_paths import AudioPaths
from inattention.corpora.core.corpus import SPLITS, Corpus
from inattention.corpora.core.recordings import add_recording, as_json, copy_audio, inspect_files, members_of
from inattention.corpora.core.splits import Splits, check_fractions, split_within_speakers
from inattention.corpora.core.writer import CorpusSpec, CorpusWriter, write_corpus
from inattention.corpora.errors import CorpusError
from inattention.corpora.readers.stored_audio import audio_digest, store_audio
from inattention.corpora.readers.tables.rows import Columns, read_rows
from inattention.corpora.readers.tables.shards import find_shards, is_local_table
from inattention.progress import bar as progress_bar
from inattention.text import printable

if TYPE_CHECKING:
    from datasets import IterableDataset

NAME = "hf"
GENERATOR = 1
CAVEAT = "A set from Hugging Face: who speaks, and what, is what its columns say."
_PACKAGES = ("lhotse", "soundfile")


@dataclass(frozen=True, kw_only=True)
class HuggingFaceConfig:
    """Settings of a corpus of a Hugging Face dataset.

    Attributes:
        dataset: Its name on the hub, or a local folder: of Parquet or Arrow files, saved by `datasets`, or of audio
            files that `datasets` can load; or a single .parquet or .arrow file.
        subset: The dataset's configuration, where it has several.
        revision: Of the dataset on the hub; a commit makes the corpus reproducible.
        train: The dataset's split for training.
        dev: The dataset's split for tuning; if empty, a fraction of each speaker's rows of `train`.
        test: The dataset's split for testing; likewise.
        audio: The column of the audio.
        speaker: The column of the speaker; none if empty.
        text: The column of the text; none if empty.
        audio_root: Folder where relative paths of audio may begin, tried after the dataset's and the working folder.
        most_rows: Rows of each split to read at most; all if 0.
        dev_fraction: Fraction for tuning if there is no `dev`.
        test_fraction: Fraction for testing if there is no `test`.
        longest_seconds: Longer recordings are divided.
        seed: Of the split.
        truncated: Skip files that end before their headers say, or keep what is there of them.
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
    audio_root: Path | None = None
    most_rows: int = 0
    dev_fraction: float = 0.1
    test_fraction: float = 0.1
    longest_seconds: float = 30.0
    seed: int = 0
    truncated: Truncated = "skip"

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
    local = Path(config.dataset).expanduser()
    is_table = is_local_table(local)
    _check_installed("pyarrow" if is_table else "datasets")
    settings = dataclasses.asdict(config)
    if config.audio_root is None:
        del settings["audio_root"]
    spec = CorpusSpec(
        name=NAME,
        config=as_json(settings),
        generator=GENERATOR,
        phones=(),
        caveat=CAVEAT,
        packages=("pyarrow" if is_table else "datasets", *_PACKAGES),
    )

    def fill(writer: CorpusWriter) -> None:
        rows: list[_Row] = []
        for split, name in zip(SPLITS, (config.train, config.dev, config.test), strict=True):
            if name and is_table:
                rows += _table_rows(config, writer, local, split, name, workers=workers, progress=progress)
            elif name:
                rows += _rows(config, writer, split, name)
        items: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            items[row.path].append(row.name)
        how: Any = {"decode": False, "truncated": config.truncated, "workers": workers, "progress": progress}
        facts = dict(inspect_files(writer, writer.folder, items, items=items, **how))
        for path in items.keys() - facts.keys():
            if not Path(path).is_absolute():
                (writer.folder / path).unlink(missing_ok=True)
        _add(config, writer, [row for row in rows if row.path in facts], facts)

    return write_corpus(folder, spec, fill, overwrite=overwrite)


def _check_installed(library: str) -> None:
    """Raise if a library of the extra `hf` is missing.

    Raises:
        CorpusError: It cannot be imported.
    """
    try:
        importlib.import_module(library)
    except ImportError as error:
        raise CorpusError(f"this needs the library {library} ({error}): pip install 'inattention[hf]'") from None


def _add(config: HuggingFaceConfig, writer: CorpusWriter, rows: list[_Row], facts: dict[str, Facts]) -> None:
    splits = _split(config, rows, facts)
    for row in rows:
        add_recording(
            writer,
            name=row.name,
            source=copy_audio(writer, Path("/"), row.path) if Path(row.path).is_absolute() else row.path,
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


def _table_rows(
    config: HuggingFaceConfig,
    writer: CorpusWriter,
    local: Path,
    split: str,
    name: str,
    *,
    workers: int | None,
    progress: bool,
) -> Iterator[_Row]:
    """Yield the rows of local Parquet or Arrow files; bad ones are counted."""
    rows = read_rows(
        writer,
        find_shards(local, name, config.subset),
        Columns(config.audio, config.speaker, config.text),
        split=split,
        prefix=f"{printable(name)}-",
        most_rows=config.most_rows,
        audio_root=config.audio_root,
        workers=workers,
        progress=progress,
    )
    for row in rows:
        yield _Row(f"{printable(name)}-{row.number:07d}", row.path, split, row.speaker, row.text)


def _rows(config: HuggingFaceConfig, writer: CorpusWriter, split: str, name: str) -> Iterator[_Row]:
    """Stream a split, store each row's audio, and yield the rest of it; bad rows are counted."""
    stream = _open(config, name)
    columns = stream.column_names or []
    Columns(config.audio, config.speaker, config.text).check_names(columns, config.dataset)
    # A speaker column of classes contains numbers, whose names are in the dataset's features.
    named = getattr((stream.features or {}).get(config.speaker), "int2str", str)
    local = Path(config.dataset).expanduser()
    paths = AudioPaths(local, config.audio_root) if local.is_dir() else None
    bar = progress_bar(stream, desc=f"reading {name}", unit="row")
    for number, row in enumerate(bar):
        if config.most_rows and number >= config.most_rows:
            break
        item = f"{name}-{number:07d}"
        writer.found("recording", 1)
        try:
            path = _audio_of(writer, split, row.get(config.audio), paths)
        except CorpusError as error:
            writer.skip(item, str(error), category=getattr(error, "category", None))
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
    from datasets import load_dataset

    try:
        revision, subset = config.revision or None, config.subset or None
        stream = load_dataset(config.dataset, subset, split=split, streaming=True, revision=revision)
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


def _audio_of(writer: CorpusWriter, split: str, audio: Any, paths: AudioPaths | None) -> str:
    """Return the path of a row's audio: relative to the corpus if it was stored there, else absolute.

    Args:
        writer: Where audio is stored.
        split: Names the folder of the audio.
        audio: The row's content.
        paths: Where the files of a local dataset may be; None for a dataset of the hub, which has none.

    Raises:
        CorpusError: There is none.
    """
    audio = {"path": audio} if isinstance(audio, str) else audio
    if not isinstance(audio, dict):
        raise CorpusError("has no audio")
    data, name = audio.get("bytes"), audio.get("path")
    if not data:
        if not isinstance(name, str) or not name:
            raise CorpusError("has no audio")
        if paths is not None:
            return paths.find(name)
        data = _from_hub(name)
    digest = audio_digest(data)
    path = f"audio/{split}/{digest[:2]}/{digest}"
    store_audio(writer.folder, path, data)
    return path


def _from_hub(path: str) -> bytes:
    """Read audio that a row of a dataset of the hub names, which must be a file of the hub."""
    if not path.startswith("hf://datasets/"):
        raise CorpusError(f"its audio {path[:80]!r} is no file of the hub")
    from huggingface_hub import HfFileSystem

    try:
        with HfFileSystem().open(path, "rb") as file:
            return file.read()
    except Exception as error:  # of the network, the hub and the file system
        raise CorpusError(f"its audio {path[:80]!r} cannot be read ({error})") from error
