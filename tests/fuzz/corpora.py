"""Whole corpora of damaged manifests, folders and tables: each is prepared as a user would, in a sandbox.

Audio is measured in this process, because starting workers would take most of the time; `fuzz.runner` damages audio
itself. Tables are read by their own worker, which may crash.
"""

import gzip
import io
import json
import random
import resource
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import soundfile

from inattention.corpora.core import recordings as core_recordings
from inattention.corpora.core.audio_facts import AudioJob, Bad, Facts
from inattention.corpora.core.audio_worker import read
from inattention.corpora.core.corpus import SPLITS
from inattention.corpora.errors import CorpusError
from inattention.corpora.readers.tables import rows
from inattention.corpora.registry import corpus_kind
from inattention.corpora.workers.pool import WorkerPool
from recordings import RATE, noise, textgrid

from .inputs import broken
from .runner import SECONDS, Outcome, _limited, _TooSlowError

MARKER = "it-ran"
ODD = (
    *("", " ", "-", "|", "0", "-1", "nan", "1e999", "1" * 400, "../../../escaped", "/etc/passwd", "/", ".", "..", "é"),
    *(f"touch {MARKER} |", f"| touch {MARKER}", f"pipe:touch {MARKER}", "https://example.org/a.wav", "a.ark:12"),
    *(
        "\0",
        "\u3000",
        "\ufeff",
        "x" * 5000,
        "\r",
        "[]",
        "{}",
        "null",
        "true",
        '{"a": {"b": [1]}}',
        "&a",
        "*a",
        "!!python",
    ),
)
Options = dict[str, Any]


def lhotse_cuts(folder: Path, draw: random.Random) -> tuple[str, Options, list[str]]:
    """Cuts, or recordings and supervisions, in any of the formats."""
    cuts, recordings, supervisions = [], [], []
    for name, seconds in _speech(folder):
        speaker, source = name.split("-")[0], {"type": "file", "channels": [0], "source": f"wav/{name}.wav"}
        samples = round(seconds * RATE)
        recording = {
            "id": name,
            "sources": [source],
            "sampling_rate": RATE,
            "num_samples": samples,
            "duration": seconds,
        }
        times = {"start": 0.0, "duration": seconds, "channel": 0}
        phones = {"phone": [["sil", 0.0, 0.1], ["ah", 0.1, seconds - 0.1]]}
        supervision = {"id": name, "recording_id": name, **times, "text": "a", "speaker": speaker, "alignment": phones}
        cuts.append({"id": name, "type": "MonoCut", **times, "recording": recording, "supervisions": [supervision]})
        recordings.append(recording)
        supervisions.append(supervision)
    suffix = draw.choice([".jsonl", ".jsonl.gz", ".json", ".yaml"])
    if draw.random() < 0.5:
        _manifest(folder / f"cuts{suffix}", cuts, draw)
        return "cutset", {"path": folder / f"cuts{suffix}"}, [f"cuts{suffix}"]
    _manifest(folder / f"recordings{suffix}", recordings, draw)
    _manifest(folder / f"supervisions{suffix}", supervisions, draw)
    return "cutset", {"path": folder / f"recordings{suffix}"}, [f"recordings{suffix}", f"supervisions{suffix}"]


def _recording(name: str, seconds: float, source: str) -> dict[str, Any]:
    sources = [{"type": "file", "channels": [0], "source": source}]
    samples = round(seconds * RATE)
    return {"id": name, "sources": sources, "sampling_rate": RATE, "num_samples": samples, "duration": seconds}


def _manifest(path: Path, items: list[dict[str, Any]], draw: random.Random) -> None:
    items = json.loads(json.dumps(items))
    for _ in range(draw.randrange(4)):
        _replace_value(draw.choice(items), draw)
    if path.suffix == ".yaml" or path.suffix == ".json":
        text = json.dumps(items, indent=draw.choice([None, 1]))  # JSON is YAML
    else:
        text = "".join(json.dumps(item) + "\n" for item in items)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def _replace_value(item: Any, draw: random.Random) -> None:
    """Replace, remove or nest one value at any depth."""
    while isinstance(item, dict | list) and item:
        key = draw.choice(list(item) if isinstance(item, dict) else range(len(item)))  # ty: ignore[invalid-argument-type]
        if isinstance(item[key], dict | list) and item[key] and draw.random() < 0.7:
            item = item[key]
            continue
        odd = [None, True, -1, 0, 0.5, 1e9, 10**30, 10**400, float("nan"), [], {}, [[]], item[key], [item[key]], *ODD]
        item[key] = draw.choice(odd)
        return


def shar(folder: Path, draw: random.Random) -> tuple[str, Options, list[str]]:
    """A Shar folder."""
    from lhotse import CutSet

    (folder / "in").mkdir()
    lhotse_cuts(folder / "in", random.Random(0))
    path = next(path for path in sorted((folder / "in").iterdir()) if path.is_file())
    cuts = CutSet.from_dicts(_cuts_of(path, folder / "in"))
    (folder / "shar").mkdir()
    cuts.to_shar(folder / "shar", fields={"recording": "flac"}, shard_size=4)
    shutil.rmtree(folder / "in")
    return "cutset", {"path": folder / "shar"}, [f"shar/{path.name}" for path in sorted((folder / "shar").iterdir())]


def _cuts_of(path: Path, folder: Path) -> Iterator[dict[str, Any]]:
    for name, seconds in ((path.stem, 0.3) for path in sorted((folder / "wav").iterdir())):
        source = {"type": "file", "channels": [0], "source": str(folder / f"wav/{name}.wav")}
        samples = round(seconds * RATE)
        recording = {
            "id": name,
            "sources": [source],
            "sampling_rate": RATE,
            "num_samples": samples,
            "duration": seconds,
        }
        times = {"start": 0.0, "duration": seconds, "channel": 0}
        supervision = {"id": name, "recording_id": name, **times, "speaker": name.split("-")[0]}
        yield {"id": name, "type": "MonoCut", **times, "recording": recording, "supervisions": [supervision]}


def kaldi(folder: Path, draw: random.Random) -> tuple[str, Options, list[str]]:
    """A Kaldi data folder."""
    lines: dict[str, list[str]] = {name: [] for name in ("wav.scp", "segments", "utt2spk", "spk2utt", "text", "ctm")}
    for name, seconds in _speech(folder):
        lines["wav.scp"].append(f"{name} ../wav/{name}.wav")
        lines["segments"].append(f"{name}-a {name} 0.0 {seconds}")
        lines["utt2spk"].append(f"{name}-a {name.split('-')[0]}")
        lines["text"].append(f"{name}-a A WORD")
        lines["ctm"] += [f"{name}-a 1 0.0 0.1 1", f"{name}-a 1 0.1 {seconds - 0.1:.2f} 2"]
    lines["spk2utt"] = [f"{s} " + " ".join(f"{s}-{k}-a" for k in range(4)) for s in ("ann", "bob")]
    lines["phones.txt"] = ["SIL 1", "AH0_B 2"]
    (folder / "data").mkdir()
    for name, own in lines.items():
        for _ in range(draw.randrange(3)):
            number = draw.randrange(len(own))
            fields = own[number].split(" ")
            fields[draw.randrange(len(fields))] = draw.choice(ODD)
            own[number] = draw.choice([" ", " ", "\t", "  "]).join(fields)
        if draw.random() < 0.1:
            own += own[:2]
        if name not in ("segments", "spk2utt", "phones.txt", "ctm") or draw.random() < 0.7:
            (folder / "data" / name).write_text("\n".join(own) + "\n", errors="replace")
    options = {"path": folder / "data", "phone_set": draw.choice(["as-is", "english"])}
    return "kaldi", options, [f"data/{path.name}" for path in sorted((folder / "data").iterdir())]


def tables(folder: Path, draw: random.Random) -> tuple[str, Options, list[str]]:
    """Parquet shards or a dataset saved by Hugging Face's library."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    data: dict[str, list[Any]] = {"audio": [], "speaker_id": [], "text": []}
    for name, _ in _speech(folder):
        path = folder / f"wav/{name}.wav"
        inside = {"bytes": path.read_bytes(), "path": None}
        data["audio"].append(draw.choice([inside, {"bytes": None, "path": draw.choice([f"wav/{name}.wav", *ODD])}]))
        data["speaker_id"].append(name.split("-")[0])
        data["text"].append(draw.choice(["a", None]))
    table = pa.table(data)
    if draw.random() < 0.5:
        for number, part in enumerate((table.slice(0, 4), table.slice(4))):
            options: Any = {"compression": draw.choice(["none", "snappy", "zstd"]), "row_group_size": 2}
            pq.write_table(part, folder / f"train-0000{number}-of-00002.parquet", **options)
        return "hf", {"dataset": str(folder)}, [f"train-0000{number}-of-00002.parquet" for number in range(2)]
    with (
        pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as file,
        pa.ipc.new_stream(file, table.schema) as out,
    ):
        out.write_table(table, max_chunksize=3)
    names = ["data-00000-of-00001.arrow", *(draw.choice(ODD) for _ in range(draw.randrange(2)))]
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    return "hf", {"dataset": str(folder)}, ["data-00000-of-00001.arrow", "state.json"]


def librispeech(folder: Path, draw: random.Random) -> tuple[str, Options, list[str]]:
    """A LibriSpeech tree with TextGrids."""
    files = []
    for speaker in ("19", "26"):
        place = f"train-clean-5/{speaker}/1"
        names = [f"{speaker}-1-000{k}" for k in range(4)]
        for name in names:
            form = draw.choice(["FLAC", "WAV"])
            _audio(folder / place / f"{name}.{form.lower()}", form)
            (folder / "grids").mkdir(exist_ok=True)
            (folder / f"grids/{name}.TextGrid").write_text(textgrid([("sil", 0.0, 0.1), ("AH0", 0.1, 0.3)]))
        (folder / place / f"{speaker}-1.trans.txt").write_text(
            "".join(f"{name} A {draw.choice(ODD)}\n" for name in names)
        )
        files += [f"{place}/{speaker}-1.trans.txt", f"grids/{names[0]}.TextGrid"]
    files += [str(path.relative_to(folder)) for path in sorted(folder.glob("train*/*/*/*0003.*"))]
    options = {"path": folder, "phones": draw.choice(["none", "mfa"]), "labels": folder / "grids"}
    return "librispeech", options, files


def timit(folder: Path, draw: random.Random) -> tuple[str, Options, list[str]]:
    """A TIMIT tree."""
    files = []
    for part, speaker in (("TRAIN", "FCJF0"), ("TEST", "FAKS0"), ("TEST", "MDAB0")):
        for name in ("SX1", "SX2", "SI3", "SA1"):
            place = folder / part / "DR1" / speaker
            _audio(place / f"{name}.WAV", draw.choice(["WAV", "NIST"]))
            (place / f"{name}.PHN").write_text("0 1600 h#\n1600 4800 ix\n")
            (place / f"{name}.TXT").write_text("0 4800 A text.\n")
            files += [str((place / f"{name}.{suffix}").relative_to(folder)) for suffix in ("WAV", "PHN", "TXT")]
    return "timit", {"path": folder, "split": "speakers"}, files


MAKERS: dict[str, Callable[[Path, random.Random], tuple[str, Options, list[str]]]] = {
    "lhotse": lhotse_cuts,
    "shar": shar,
    "kaldi": kaldi,
    "tables": tables,
    "librispeech": librispeech,
    "timit": timit,
}


def _speech(folder: Path) -> Iterator[tuple[str, float]]:
    """Write recordings of two speakers into `wav/`; yield their names and seconds."""
    for speaker in ("ann", "bob"):
        for number in range(4):
            _audio(folder / f"wav/{speaker}-{number}.wav", "WAV")
            yield f"{speaker}-{number}", 0.3


def _audio(path: Path, form: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_encoded(form))


@cache
def _encoded(form: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, noise(0.3), RATE, format=form, subtype="PCM_16")
    return buffer.getvalue()


def _inspect(jobs: Iterable[AudioJob], **_: Any) -> Iterator[Facts | Bad]:
    for job in jobs:
        try:
            yield read(job)
        except (OSError, ValueError, TypeError) as error:
            yield Bad(str(error))


class _Shared:
    """A pool that goes on to the next input."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    def __call__(self, *_: Any, **__: Any) -> "_Shared":
        return self

    def __enter__(self) -> WorkerPool:
        return self._pool

    def __exit__(self, *_: Any) -> None:
        return None


def fuzz_corpora(kind: str, count: int, seed: int, sandbox: Path) -> Outcome:
    """Prepare a number of damaged corpora of a kind in a sandbox; input k of a seed is always the same."""
    import lhotse.cut  # noqa: F401  takes seconds, which must not count for the first input

    outcome = Outcome()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (
        WorkerPool("inattention.corpora.readers.tables.worker", 1, quiet=True) as pool,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(core_recordings, "inspect", _inspect)
        patch.setattr(rows, "WorkerPool", _Shared(pool))
        (sandbox / "work").mkdir()
        patch.chdir(sandbox / "work")
        for number in range(count):
            outcome.note(number, *_one(kind, random.Random(f"{seed} {kind} {number}"), sandbox))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
    if grown > 1:
        outcome.note(count, "crashed", f"memory grew by {grown:.1f} GiB")
    return outcome


def _one(kind: str, draw: random.Random, sandbox: Path) -> tuple[str, str]:
    """Make, damage and prepare one corpus; return what became of it, and the fault if there is one."""
    folder = sandbox / "in"
    folder.mkdir()
    name, options, files = MAKERS[kind](folder, draw)
    for file in draw.sample(files, min(len(files), draw.randrange(3))):
        data = (folder / file).read_bytes()
        if draw.random() < 0.2:  # spliced with another
            other = (folder / draw.choice(files)).read_bytes()
            data = data[: draw.randrange(len(data) + 1)] + other[draw.randrange(len(other) + 1) :]
        (folder / file).write_bytes(broken(data, draw))
    there = _listing(folder)
    kind_of_corpus = corpus_kind(name)
    try:
        with _limited(SECONDS):
            config = kind_of_corpus.config_class()(**options)
            corpus = kind_of_corpus.prepare()(config, sandbox / "out", workers=1, progress=False)
            cuts = [cut for split in SPLITS for cut in corpus.cuts(split)]
        wrong = [cut.id for cut in cuts if not Path(cut.recording.sources[0].source).is_file()]
        result = ("crashed", f"cuts without audio: {wrong[:3]}") if wrong or not cuts else ("taken", "")
    except CorpusError as error:
        result = ("refused", "") if str(error) else ("crashed", "an error without words")
    except _TooSlowError:
        result = ("slow", f"more than {SECONDS} s")
    except Exception as error:
        result = ("crashed", f"{type(error).__name__}: {error}")
    strays = [path.name for path in sandbox.iterdir() if path.name not in ("in", "work", "out")]
    strays = [stray for stray in strays if not stray.startswith(".out.partial-")] + list(_listing(sandbox / "work"))
    if strays or _listing(folder) != there:
        result = ("crashed", f"files outside of the output folder: {strays[:3]}")
    for path in sandbox.iterdir():
        if path.name != "work":
            shutil.rmtree(path)
    return result


def _listing(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
