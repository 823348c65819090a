"""Log-mel frames of a whole corpus, computed once and kept beside it: the same numbers as computed on the fly.

In the corpus's folder, moved with it:

    features/KEY/features.json         the settings, and what could not be used; written last
    features/KEY/cuts-train.jsonl.gz   the split's cuts, each with where its frames are
    features/KEY/frames/               the frames, a file a cut, as lhotse's `NumpyFilesWriter` keeps them

The key names all that the frames depend on: the corpus and the settings up to the logarithm. Deltas, normalisation
and stacking come after masking, so they are never stored.
"""

import gzip
import hashlib
import json
import multiprocessing
import os
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
from inattention.audio.cuts import cut_waveform
from inattention.audio.features import log_mel
from inattention.audio.files import AudioError
from inattention.corpora.base import Corpus, CorpusError, cuts_path
from inattention.files import owned, write_bytes, write_json

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

INFO = "features.json"
STORED_SPLITS = ("train", "dev")  # what pre-training reads
CUTS_A_PART = 64  # what a killed run does again, at most, for each process
BAD_ITEMS_SHOWN = 100
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


def cuts_with_features(corpus: Corpus, config: FeatureConfig, split: str) -> "CutSet":
    """Give a split's cuts, read lazily, with where their frames are.

    Raises:
        CorpusError: if no frames of these settings are stored.
    """
    from lhotse import CutSet

    folder = features_folder(corpus, config)
    path = cuts_path(folder, split)
    if not (folder / INFO).is_file() or not path.is_file():
        raise CorpusError(
            f"{corpus.folder} has no stored features of these settings: make them with "
            f"`inattention corpus features {corpus.folder}` and the settings of the model's features"
        )
    cuts = CutSet.from_jsonl_lazy(path)
    return cuts.with_recording_path_prefix(corpus.folder).with_features_path_prefix(corpus.folder)


def stored_frames(cut: "Cut", config: FeatureConfig) -> Float[Tensor, "frames mels"] | None:
    """Read a cut's stored frames; None where there are none of these settings, or they are damaged or gone."""
    stored = getattr(cut, "features", None)
    if stored is None or stored.storage_type != "numpy_files" or stored.type != feature_type(config):
        return None
    if (stored.start, stored.duration) != (cut.start, cut.duration):  # the cut was cut again since
        return None
    try:
        frames = torch.from_numpy(stored.load())
    except (OSError, ValueError, EOFError):
        return None
    whole = frames.shape == (stored.num_frames, config.mels) and frames.dtype == torch.float32
    return frames if whole else None


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
                parts = _store_parts(corpus, config, split, pool, bar)
                splits[split] = _join(parts, cuts_path(folder, split))
        info = {"type": feature_type(config), "corpus": corpus.key, "config": asdict(config), "splits": splits}
        write_json(folder / INFO, info)
        shutil.rmtree(folder / "parts")
    return info


def _store_parts(corpus: Corpus, config: FeatureConfig, split: str, pool: "_Workers", bar: tqdm) -> list[Path]:
    """Store a split, part by part; give the parts in order."""
    from lhotse import CutSet

    folder = features_folder(corpus, config)
    cuts = iter(CutSet.from_jsonl_lazy(cuts_path(corpus.folder, split)))
    parts = []
    while group := list(islice(cuts, CUTS_A_PART)):
        parts.append(folder / "parts" / f"{split}-{len(parts):06d}")
        if _account(parts[-1]).is_file():
            bar.update(len(group))
        else:
            for done in pool.do(store_part, group, corpus.folder, config, folder, parts[-1]):
                bar.update(done)
    for done in pool.finish():
        bar.update(done)
    return parts


def store_part(cuts: "list[Cut]", corpus: Path, config: FeatureConfig, folder: Path, part: Path) -> int:
    """Store the frames of some cuts; what is written last says that all are there.

    Args:
        cuts: with paths relative to the corpus.
        corpus: the corpus's folder.
        config: how a waveform becomes frames.
        folder: where frames are kept, below the corpus's folder.
        part: the name of what is written.

    Returns:
        How many cuts there were.
    """
    from lhotse import Features, MonoCut, NumpyFilesWriter

    lines, bad, seconds = [], [], 0.0
    writer = NumpyFilesWriter(folder / "frames")
    for cut in cuts:
        try:
            if not isinstance(cut, MonoCut):
                raise AudioError(f"cut {cut.id}: features are stored for cuts of one recording and one channel only")
            waveform = cut_waveform(cut.with_recording_path_prefix(corpus), config.sampling_rate)
            frames = log_mel(waveform, config)
        except AudioError as error:  # the cut stays, without frames: training will skip and count it as ever
            bad.append((cut.id, str(error)))
        else:
            # A cut's name may be no name for a file.
            key = hashlib.blake2b(cut.id.encode(errors="surrogateescape"), digest_size=16).hexdigest()
            cut.features = Features(
                type=feature_type(config),
                num_frames=len(frames),
                num_features=config.mels,
                frame_shift=config.hop_seconds,
                sampling_rate=cut.sampling_rate,
                start=cut.start,
                duration=cut.duration,
                storage_type=writer.name,
                storage_path=str((folder / "frames").relative_to(corpus)),
                storage_key=writer.write(key, frames.numpy()),
                recording_id=cut.recording_id,
                channels=cut.channel,
            )
            seconds += cut.duration
        lines.append(json.dumps(cut.to_dict(), ensure_ascii=False) + "\n")
    write_bytes(_manifest(part), gzip.compress("".join(lines).encode(errors="surrogateescape"), mtime=0))
    write_json(_account(part), {"cuts": len(cuts), "hours": seconds / 3600, "bad": bad})
    return len(cuts)


def _manifest(part: Path) -> Path:
    return part.with_name(f"{part.name}.jsonl.gz")


def _account(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _join(parts: list[Path], path: Path) -> dict[str, Any]:
    """Put the manifests of parts one after the other, which gzip allows, and add up their accounts."""
    counts: dict[str, Any] = {"cuts": 0, "hours": 0.0, "bad_items": {"count": 0, "items": []}}
    temporary = path.with_name(f".{path.name}.writing-{os.getpid()}")
    with temporary.open("wb") as whole:
        for part in parts:
            whole.write(_manifest(part).read_bytes())
            account = json.loads(_account(part).read_text(encoding="utf-8"))
            counts["cuts"] += account["cuts"]
            counts["hours"] += account["hours"]
            counts["bad_items"]["count"] += len(account["bad"])
            room = BAD_ITEMS_SHOWN - len(counts["bad_items"]["items"])
            counts["bad_items"]["items"] += account["bad"][:room]
    os.replace(temporary, path)
    return counts


class _Workers:
    """Processes that are given no more than they can soon do, so that what waits does not fill memory."""

    def __init__(self, count: int | None) -> None:
        self.count = os.cpu_count() or 1 if count is None else count
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
            yield from self._ended(FIRST_COMPLETED)

    def finish(self) -> Iterator[int]:
        """Wait for all that is under way."""
        while self.running:
            yield from self._ended(FIRST_COMPLETED)

    def _ended(self, when: str) -> Iterator[int]:
        ended, self.running = wait(self.running, return_when=when)
        for future in ended:
            yield future.result()
