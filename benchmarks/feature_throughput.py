"""Throughput of storing the features of a corpus: hours of audio per hour, reading and writing included.

The corpus is the embedded one, as FLAC at 16 kHz, repeated under other names until it has the wanted hours. Timed is
`store_features` into an empty folder, the start of its processes included, which matters little in so many hours.

    python benchmarks/feature_throughput.py
    python benchmarks/feature_throughput.py --hours 4 --workers 2
"""

import gzip
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro
from claims import Checked, table

from inattention.audio.config import FeatureConfig
from inattention.corpora.core.corpus import Corpus, open_corpus
from inattention.corpora.core.cut_files import cuts_path
from inattention.corpora.features.stored_features import store_features
from inattention.corpora.readers.espeak import reader as espeak
from inattention.corpora.readers.espeak.reader import EspeakConfig
from inattention.files import write_json
from inattention.provenance import provenance
from inattention.timing.machine import machine

AT_LEAST = 500.0  # hours of audio an hour, with two processes


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure how fast features are stored.

    Attributes:
        hours: hours of audio to store.
        spoken: hours that are synthesised; the rest repeats them.
        workers: number of processes.
        out: file for the measurements.
    """

    hours: float = 4.0
    spoken: float = 0.25
    workers: int = 2
    out: Path = Path("runs/benchmarks/feature_throughput.json")


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    with tempfile.TemporaryDirectory() as place:
        corpus = espeak.prepare(EspeakConfig(hours=options.spoken, voices=8), Path(place) / "corpus", progress=True)
        corpus = repeated(corpus, max(1, round(options.hours / options.spoken)))
        load, cpu = os.getloadavg()[0], sum(os.times()[:4])
        start = time.perf_counter()
        info = store_features(corpus, FeatureConfig(), workers=options.workers)
        seconds, cpu = time.perf_counter() - start, sum(os.times()[:4]) - cpu
        hours = sum(split["hours"] for split in info["splits"].values())
        stored = sum(file.stat().st_size for file in (corpus.folder / "features").rglob("*.npy"))
    measured = {
        "hours": hours,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "hours_an_hour": hours * 3600 / seconds,
        "hours_an_hour_of_processor_time": hours * 3600 / cpu,
        "megabytes_an_hour": stored / 2**20 / hours,
        "load_of_the_machine_before": load,
    }
    write_json_to(options.out, {"options": {**asdict(options), "out": str(options.out)}, **measured})
    print(
        f"\n{hours:.2f} hours in {seconds:.1f} s by {options.workers} processes: "
        f"{measured['hours_an_hour']:.0f} hours of audio an hour\n"
        f"{cpu:.1f} s of processor time: {measured['hours_an_hour_of_processor_time']:.0f} hours an hour of one "
        f"processor; {measured['megabytes_an_hour']:.0f} MB an hour of audio\n"
        f"load of the machine before the start: {load:.1f}\n"
    )
    # A lower bound, as an upper bound of the reciprocal.
    claim = Checked(f"{AT_LEAST:.0f} hours an hour, 2 processes", 1.0, AT_LEAST / measured["hours_an_hour"])
    print(table([claim], "of the time allowed"))


def repeated(corpus: Corpus, times: int) -> Corpus:
    """Return a corpus whose splits have each cut `times` times, under other names, with the same audio."""
    for split in ("train", "dev"):
        path = cuts_path(corpus.folder, split)
        lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
        copies = [json.dumps({**line, "id": f"{line['id']}-{n}"}) + "\n" for n in range(times) for line in lines]
        path.write_bytes(gzip.compress("".join(copies).encode()))
        corpus.info["splits"][split]["cuts"] *= times
    (corpus.folder / "corpus.json").write_text(json.dumps(corpus.info))
    return open_corpus(corpus.folder)


def write_json_to(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {**content, "machine": machine("cpu", 1), "provenance": provenance()})


if __name__ == "__main__":
    main()
