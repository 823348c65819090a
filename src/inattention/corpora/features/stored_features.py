"""Log-mel frames of a corpus, computed once and stored with it: the same numbers as computed on the fly.

In the corpus's folder, and moved with it:

    features/KEY/features.json   the settings, the amounts, and what could not be used; written last
    features/KEY/frames/         the frames, a file per cut, in the format of lhotse's `NumpyFilesWriter`

The key depends on all that the frames depend on: the corpus, and the settings up to the logarithm. Deltas,
normalisation and stacking come after masking, so they are never stored. A cut's file is found by its id, start and
duration.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from inattention.audio.config import FeatureConfig
from inattention.audio.log_mel import log_mel
from inattention.audio.reader import AudioError, cut_waveform
from inattention.corpora.core.corpus import Corpus
from inattention.corpora.errors import CorpusError
from inattention.corpora.workers.pool import Failure, WorkerPool
from inattention.files import folder_lock, write_json
from inattention.progress import bar as progress_bar

if TYPE_CHECKING:
    from lhotse.cut import Cut

INFO = "features.json"
STORED_SPLITS = ("train", "dev")  # what pre-training reads
CUTS_PER_PART = 64  # what a killed run does again, at most, for each process
BAD_ITEMS_SHOWN = 100
FRAMES = "frames"
MOST_SECONDS_OFF = 0.2
_UP_TO_THE_LOGARITHM = (
    "sampling_rate", "fft_size", "window_seconds", "hop_seconds", "mels", "lowest_hz", "highest_hz", "log_floor",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PartJob:
    """A part of a split, for a worker.

    Attributes:
        id: Name of the part.
        cuts: The cuts, as lhotse writes them.
        config: The fields of a `FeatureConfig`.
        folder: Where the frames are stored.
        summary: The file that is written last.
    """

    id: str
    cuts: list[dict[str, Any]]
    config: dict[str, Any]
    folder: str
    summary: str


def feature_type(config: FeatureConfig) -> str:
    """Return a name of the frames that depends on all settings that the frames depend on.

    >>> feature_type(FeatureConfig()) == feature_type(FeatureConfig(stack=1)) != feature_type(FeatureConfig(mels=40))
    True
    """
    settings = {name: float(value) for name, value in asdict(config).items() if name in _UP_TO_THE_LOGARITHM}
    return f"log-mel-{hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]}"


def features_folder(corpus: Corpus, config: FeatureConfig) -> Path:
    """Return the folder for frames of these settings, whether they are stored or not."""
    return corpus.folder / "features" / f"{feature_type(config)}-{corpus.key[:8]}"


def stored_features(corpus: Corpus, config: FeatureConfig) -> Path:
    """Return the folder in which frames of these settings are stored.

    Raises:
        CorpusError: None are stored, or not all.
    """
    folder = features_folder(corpus, config)
    if not (folder / INFO).is_file():
        raise CorpusError(
            f"{corpus.folder} has no stored features of these settings: make them with "
            f"`inattention corpus features {corpus.folder}` and the settings of the model's features"
        )
    return folder


def read_frames(folder: Path, cut: "Cut", config: FeatureConfig) -> Float[Tensor, "frames mels"] | None:
    """Read a cut's stored frames; None where there are none, or they are damaged.

    Args:
        folder: The result of `stored_features`.
        cut: The cut.
        config: The settings of the folder.
    """
    from lhotse.features.io import NumpyFilesReader

    key = _key(cut)
    try:
        frames = torch.from_numpy(NumpyFilesReader(folder / FRAMES).read(f"{key[:3]}/{key}.npy"))
    except (OSError, ValueError, EOFError, TypeError):
        return None
    expected = 1 + round(cut.duration * config.sampling_rate) // config.hop_samples
    whole = frames.dtype == torch.float32 and frames.ndim == 2 and frames.shape[1] == config.mels
    # Decoders may return a little more or less than a manifest says; half a file is something else.
    return frames if whole and abs(len(frames) - expected) * config.hop_seconds < MOST_SECONDS_OFF else None


def _key(cut: "Cut") -> str:
    """Return a file name for a cut, whose id need not be one; another piece of the same cut has another name."""
    name = "\x1f".join((cut.id, repr(float(cut.start)), repr(float(cut.duration))))
    return hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=16).hexdigest()


def store_features(
    corpus: Corpus, config: FeatureConfig, *, workers: int | None = None, progress: bool = True
) -> dict[str, Any]:
    """Compute and store the frames of a corpus; what a killed call has stored is not computed again.

    Memory holds a few parts of the corpus at a time, however large it is.

    Args:
        corpus: A prepared corpus.
        config: How a waveform becomes frames.
        workers: Number of processes; one per core by default, 0 to compute in this process.
        progress: Show a progress bar.

    Returns:
        The content of `features.json`: for each split the cuts, the hours, and what could not be used with reasons.

    Raises:
        CorpusError: Another process is storing the same, or a worker failed.
    """
    folder = features_folder(corpus, config)
    parts = folder / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    with folder_lock(folder, CorpusError):
        if (folder / INFO).is_file():
            shutil.rmtree(parts)
            return json.loads((folder / INFO).read_text(encoding="utf-8"))
        splits = {}
        total = sum(corpus.info["splits"][split]["cuts"] for split in STORED_SPLITS)
        pool = nullcontext() if workers == 0 else WorkerPool("inattention.corpora.features.feature_worker", workers)
        with progress_bar(total=total, desc="features", unit="cut", show=progress) as bar, pool as processes:
            for split in STORED_SPLITS:
                summaries = []
                for summary, cuts in _store_split(corpus, config, split, processes):
                    summaries.append(summary)
                    bar.update(cuts)
                splits[split] = _total(summaries)
        info = {"type": feature_type(config), "corpus": corpus.key, "config": asdict(config), "splits": splits}
        write_json(folder / INFO, info)
        shutil.rmtree(parts)
    return info


def _store_split(
    corpus: Corpus, config: FeatureConfig, split: str, pool: WorkerPool | None
) -> Iterator[tuple[Path, int]]:
    """Store a split part by part; return each part's summary, in order, and its number of cuts."""
    folder = features_folder(corpus, config)

    def parts() -> "Iterator[tuple[Path, list[Cut]]]":
        cuts, number = iter(corpus.cuts(split)), 0
        while group := list(islice(cuts, CUTS_PER_PART)):
            yield folder / "parts" / f"{split}-{number:06d}.json", group
            number += 1

    def store(part: "tuple[Path, list[Cut]]") -> tuple[Path, int]:
        summary, cuts = part
        if summary.is_file():  # of a call that was killed
            pass
        elif pool is None:
            store_part(cuts, config, folder, summary)
        else:
            _ask(pool, cuts, config, folder, summary)
        return summary, len(cuts)

    yield from map(store, parts()) if pool is None else pool.map(store, parts())


def _ask(pool: WorkerPool, cuts: "list[Cut]", config: FeatureConfig, folder: Path, summary: Path) -> None:
    """Let a worker store a part."""
    job = PartJob(
        id=summary.stem,
        cuts=[cut.to_dict() for cut in cuts],
        config=asdict(config),
        folder=str(folder),
        summary=str(summary),
    )
    answer = pool.ask(asdict(job))
    if isinstance(answer, Failure):
        raise CorpusError(f"the features of {job.id} could not be stored: {answer.reason}")


def store_part(cuts: "list[Cut]", config: FeatureConfig, folder: Path, summary: Path) -> None:
    """Store the frames of some cuts.

    Args:
        cuts: The cuts.
        config: How a waveform becomes frames.
        folder: Where the frames are stored.
        summary: The file that is written last: how many cuts and hours there are, and what could not be used.
    """
    from lhotse import NumpyFilesWriter

    bad, seconds = [], 0.0
    writer = NumpyFilesWriter(folder / FRAMES)
    for cut in cuts:
        try:
            frames = log_mel(cut_waveform(cut, config.sampling_rate), config)
        except AudioError as error:  # training will skip and count it
            bad.append((cut.id, str(error)))
        else:
            writer.write(_key(cut), frames.numpy())
            seconds += cut.duration
    write_json(summary, {"cuts": len(cuts), "hours": seconds / 3600, "bad": bad})


def _total(summaries: list[Path]) -> dict[str, Any]:
    """Return the sums over the summaries of parts."""
    counts: dict[str, Any] = {"cuts": 0, "hours": 0.0, "bad_items": {"count": 0, "items": []}}
    for path in summaries:
        part = json.loads(path.read_text(encoding="utf-8"))
        counts["cuts"] += part["cuts"]
        counts["hours"] += part["hours"]
        counts["bad_items"]["count"] += len(part["bad"])
        room = BAD_ITEMS_SHOWN - len(counts["bad_items"]["items"])
        counts["bad_items"]["items"] += part["bad"][:room]
    return counts
