"""lhotse manifests for the tests, good and spoiled."""

import gzip
import json
from pathlib import Path
from typing import Any

from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.supervision import AlignmentItem

from inattention.corpora.core.corpus import SPLITS, Corpus
from inattention.corpora.readers.cutset import CutSetConfig, prepare
from recordings import noise, write


def cuts(folder: Path, count: int = 4) -> CutSet:
    """Cuts of two speakers, half a second each out of a second, with phones."""
    made = []
    for speaker in ("ann", "bob"):
        for number in range(count):
            name = f"{speaker}-{number}"
            recording = Recording.from_file(write(folder / f"{name}.flac", noise(1.0, seed=number)), recording_id=name)
            items = [AlignmentItem("sil", 0.0, 0.2), AlignmentItem("ah", 0.2, 0.3)]
            supervision = SupervisionSegment(
                name, name, 0.0, 0.5, text="a", speaker=speaker, alignment={"phone": items}, custom={"mood": "good"}
            )
            made.append(MonoCut(name, 0.25, 0.5, 0, [supervision], recording=recording))
    return CutSet.from_cuts(made)


def make(path: Path, out: Path, **options) -> Corpus:
    return prepare(CutSetConfig(path=path, **options), out, workers=1, progress=False)


def lines_of(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


def write_lines(path: Path, lines: list[Any]) -> Path:
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    return path


def spoiled(line: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A line whose recording has another source, or whose fields differ."""
    line = json.loads(json.dumps(line))
    source = changes.pop("source", {})
    line["recording"]["sources"][0] |= source
    line["recording"] |= changes.pop("recording", {})
    return line | changes


def count(corpus: Corpus) -> int:
    return sum(corpus.info["splits"][split]["cuts"] for split in SPLITS)
