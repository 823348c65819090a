"""Log-mel frames of a whole corpus, computed once and kept beside it: the same numbers as computed on the fly.

In the corpus's folder, moved with it:

    features/KEY/features.json   the settings, how much there is, and what could not be used; written last
    features/KEY/frames/         the frames, a file a cut, as lhotse's `NumpyFilesWriter` keeps them

The key names all that the frames depend on: the corpus and the settings up to the logarithm. Deltas, normalisation
and stacking come after masking, so they are never stored. A cut's file is found by its name, start and duration.
"""

import hashlib
import json
import multiprocessing
import shutil
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from inattention.audio.config import FeatureConfig
from inattention.audio.log_mel import log_mel
from inattention.audio.reader import AudioError, cut_waveform
from inattention.corpora.core.corpus import Corpus
from inattention.corpora.errors import CorpusError
from inattention.corpora.workers.pool import cores
from inattention.files import owned, write_json

if TYPE_CHECKING:
    from lhotse.cut import Cut

INFO = "features.json"
STORED_SPLITS = ("train", "dev")  # what pre-training reads
CUTS_A_PART = 64  # what a killed run does again, at most, for each process
BAD_ITEMS_SHOWN = 100
FRAMES = "frames"
MOST_SECONDS_OFF = 0.2
_UP_TO_THE_LOGARITHM = (
    "sampling_rate", "fft_size", "window_seconds", "hop_seconds", "mels", "lowest_hz", "highest_hz", "log_floor",
)  # fmt: skip


def feature_type(config: FeatureConfig) -> str:
    """Name the frames by all settings that they depend on.

    >>> feature_type(FeatureConfig()) == feature_type(FeatureConfig(stack=1)) != feature_type(FeatureConfig(mels=40))
    True
    """
    settings = {name: float(value) for name, value in asdict(config).items() if name in _UP_TO_THE_LOGARITHM}
    return f"log-mel-{hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]}"


def features_folder(corpus: Corpus, config: FeatureConfig) -> Path:
    """Where the frames of these settings are kept."""
    return corpus.folder / "features" / f"{feature_type(config)}-{corpus.key[:8]}"


def stored_features(corpus: Corpus, config: FeatureConfig) -> Path:
    """Give the folder that frames of these settings are stored in.

    Raises:
        CorpusError: if none are, or not all.
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
        folder: what `stored_features` gives.
        cut: the cut.
        config: the settings that the folder is for.
    """
    from lhotse.features.io import NumpyFilesReader

    key = _key(cut)
    try:
        frames = torch.from_numpy(NumpyFilesReader(folder / FRAMES).read(f"{key[:3]}/{key}.npy"))
    except (OSError, ValueError, EOFError, TypeError):
        return None
    expected = 1 + round(cut.duration * config.sampling_rate) // config.hop_samples
    whole = frames.dtype == torch.float32 and frames.ndim == 2 and frames.shape[1] == config.mels
    # Decoders may give a little more or less than a manifest says; half a file is something else.
    return frames if whole and abs(len(frames) - expected) * config.hop_seconds < MOST_SECONDS_OFF else None


def _key(cut: "Cut") -> str:
    """A name for a file: a cut's own may be none. A cut that was cut again has another."""
    name = "\x1f".join((cut.id, repr(float(cut.start)), repr(float(cut.duration))))
    return hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=16).hexdigest()


def store_features(
    corpus: Corpus, config: FeatureConfig, *, workers: int | None = None, progress: bool = True
) -> dict[str, Any]:
    """Compute and store the frames of a corpus, or go on where a killed call stopped; what is there is not done again.

    Memory holds a few parts of the corpus at a time, however large it is.

    Args:
        corpus: a prepared corpus.
        config: how a waveform becomes frames.
        workers: processes; one a processor if left out, 0 for none beside this one.
        progress: show a progress bar.

    Returns:
        What ``features.json`` holds: for each split, the cuts, hours, and what could not be used with the reasons.

    Raises:
        CorpusError: if another process is storing the same.
    """
    folder = features_folder(corpus, config)
    (folder / "parts").mkdir(parents=True, exist_ok=True)
    with owned(folder, CorpusError):
        if (folder / INFO).is_file():
            shutil.rmtree(folder / "parts")
            return json.loads((folder / INFO).read_text(encoding="utf-8"))
        splits = {}
        total = sum(corpus.info["splits"][split]["cuts"] for split in STORED_SPLITS)
        with tqdm(total=total, desc="features", unit="cut", disable=not progress) as bar, _Workers(workers) as pool:
            for split in STORED_SPLITS:
                splits[split] = _added_up(_store_parts(corpus, config, split, pool, bar))
        info = {"type": feature_type(config), "corpus": corpus.key, "config": asdict(config), "splits": splits}
        write_json(folder / INFO, info)
        shutil.rmtree(folder / "parts")
    return info


def _store_parts(corpus: Corpus, config: FeatureConfig, split: str, pool: "_Workers", bar: tqdm) -> list[Path]:
    """Store a split, part by part; give the accounts of the parts, in order."""
    folder = features_folder(corpus, config)
    cuts = iter(corpus.cuts(split))
    parts = []
    while group := list(islice(cuts, CUTS_A_PART)):
        parts.append(folder / "parts" / f"{split}-{len(parts):06d}.json")
        if parts[-1].is_file():
            bar.update(len(group))
        else:
            for done in pool.do(store_part, group, config, folder, parts[-1]):
                bar.update(done)
    for done in pool.finish():
        bar.update(done)
    return parts


def store_part(cuts: "list[Cut]", config: FeatureConfig, folder: Path, account: Path) -> int:
    """Store the frames of some cuts.

    Args:
        cuts: the cuts.
        config: how a waveform becomes frames.
        folder: where frames are kept.
        account: the file that is written last, and says that all are there.

    Returns:
        How many cuts there were.
    """
    from lhotse import NumpyFilesWriter

    bad, seconds = [], 0.0
    writer = NumpyFilesWriter(folder / FRAMES)
    for cut in cuts:
        try:
            frames = log_mel(cut_waveform(cut, config.sampling_rate), config)
        except AudioError as error:  # training will skip and count it as ever
            bad.append((cut.id, str(error)))
        else:
            writer.write(_key(cut), frames.numpy())
            seconds += cut.duration
    write_json(account, {"cuts": len(cuts), "hours": seconds / 3600, "bad": bad})
    return len(cuts)


def _added_up(parts: list[Path]) -> dict[str, Any]:
    """Add up the accounts of parts."""
    counts: dict[str, Any] = {"cuts": 0, "hours": 0.0, "bad_items": {"count": 0, "items": []}}
    for part in parts:
        account = json.loads(part.read_text(encoding="utf-8"))
        counts["cuts"] += account["cuts"]
        counts["hours"] += account["hours"]
        counts["bad_items"]["count"] += len(account["bad"])
        room = BAD_ITEMS_SHOWN - len(counts["bad_items"]["items"])
        counts["bad_items"]["items"] += account["bad"][:room]
    return counts


class _Workers:
    """Processes that are given no more than they can soon do, so that what waits does not fill memory."""

    def __init__(self, count: int | None) -> None:
        self.count = cores() if count is None else count
        self.running: set[Future] = set()

    def __enter__(self) -> "_Workers":
        self.pool = None
        if self.count:
            spawn = multiprocessing.get_context("spawn")
            self.pool = ProcessPoolExecutor(
                self.count, mp_context=spawn, initializer=torch.set_num_threads, initargs=(1,)
            )
        return self

    def __exit__(self, *_: Any) -> None:
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)

    def do(self, what: Any, *arguments: Any) -> Iterator[int]:
        """Begin a piece of work as soon as there is room; give what ended meanwhile."""
        if self.pool is None:
            yield what(*arguments)
            return
        self.running.add(self.pool.submit(what, *arguments))
        if len(self.running) > 2 * self.count:
            yield from self._ended()

    def finish(self) -> Iterator[int]:
        """Wait for all that is under way."""
        while self.running:
            yield from self._ended()

    def _ended(self) -> Iterator[int]:
        ended, self.running = wait(self.running, return_when=FIRST_COMPLETED)
        for future in ended:
            yield future.result()
