"""What the corpora that are made from a user's own recordings have in common: read, check, refer or copy, and add."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from inattention.audio.limits import DURATION_TOLERANCE_SECONDS
from inattention.corpora.core.audio_facts import Bad, Facts, inspect
from inattention.corpora.core.cut_building import Phone, fit_phones, make_cut, phones_within
from inattention.corpora.core.file_tree import printable
from inattention.corpora.core.phones import SILENCE
from inattention.corpora.core.splits import Member
from inattention.corpora.core.writer import CorpusWriter
from inattention.corpora.errors import CorpusError

FILES_A_JOB = 500


def inspect_files(
    writer: CorpusWriter,
    root: Path,
    names: Iterable[str],
    *,
    decode: bool,
    workers: int | None,
    progress: bool,
) -> Iterator[tuple[str, Facts]]:
    """Read files below a root, some hundred at a time, and give what the good ones hold; the bad are counted.

    What an earlier, interrupted run has read is not read again.

    Args:
        writer: Where bad files are counted and progress is kept.
        root: Where the names begin.
        names: Paths relative to it.
        decode: Whether to read all samples, and not the headers alone.
        workers: Processes.
        progress: Show a bar.
    """
    names = list(names)
    known: dict[str, Facts | Bad] = {}
    jobs: list[list[str]] = [names[i : i + FILES_A_JOB] for i in range(0, len(names), FILES_A_JOB)]
    left = []
    for job in jobs:
        result = writer.recall(_job_name(root, job, decode))
        if result is None:
            left.append(job)
            continue
        known.update({name: _from_json(item) for name, item in zip(job, result, strict=True)})
    asked = ({"path": os.path.join(root, name), "decode": decode} for job in left for name in job)
    total = sum(len(job) for job in left)
    results = inspect(asked, workers=workers, progress=progress, total=total) if left else iter(())
    for job in left:
        found = [next(results) for _ in job]
        known.update(zip(job, found, strict=True))
        writer.record(_job_name(root, job, decode), [vars(item) for item in found])
    for name in names:
        item = known[name]
        if isinstance(item, Bad):
            writer.skip(printable(name), item.reason)
        else:
            yield name, item


def _job_name(root: Path, names: list[str], decode: bool) -> str:
    digest = hashlib.sha256(os.fsencode(str(root)) + bytes(decode) + b"\0".join(os.fsencode(name) for name in names))
    return f"audio-{digest.hexdigest()[:16]}"


def _from_json(item: dict[str, Any]) -> Facts | Bad:
    return Bad(item["reason"]) if "reason" in item else Facts(**item)


def add_recording(
    writer: CorpusWriter,
    *,
    name: str,
    source: str,
    facts: Facts,
    split_of: dict[str, str],
    longest: float,
    speaker: str | None,
    text: str | None = None,
    language: str | None = None,
    phones: list[Phone] | None = None,
) -> None:
    """Add a recording to the splits of its pieces: one, or several if it is longer than the longest.

    A piece's text is known only where the recording is one piece.
    """
    pieces = pieces_of(name, facts, longest)
    for piece, first, end in pieces:
        own = phones_within(phones, first / facts.rate, end / facts.rate) if phones else None
        cut = make_cut(
            piece,
            source,
            rate=facts.rate,
            samples=facts.samples,
            channels=facts.channels,
            piece=(first, end),
            speaker=speaker,
            text=text if len(pieces) == 1 else None,
            language=language,
            phones=own,
        )
        writer.add(split_of[piece], cut)


def pieces_of(name: str, facts: Facts, longest: float) -> list[tuple[str, int, int]]:
    """Divide a recording into equal pieces no longer than so many seconds: (name, first sample, end).

    >>> pieces_of("a", Facts(rate=10, channels=1, samples=50), 2.0)
    [('a#000', 0, 17), ('a#001', 17, 33), ('a#002', 33, 50)]
    """
    most = max(1, int(min(longest * facts.rate, facts.samples)))
    count = -(-facts.samples // most)
    if count == 1:
        return [(name, 0, facts.samples)]
    bounds = [round(i * facts.samples / count) for i in range(count + 1)]
    width = max(3, len(str(count)))
    return [(f"{name}#{i:0{width}d}", bounds[i], bounds[i + 1]) for i in range(count)]


def members_of(name: str, speaker: str, recording: str, facts: Facts, longest: float) -> list[Member]:
    """Give a recording's pieces as what is split; they all belong to one recording."""
    pieces = pieces_of(name, facts, longest)
    return [Member(piece, speaker, recording, (end - first) / facts.rate) for piece, first, end in pieces]


def checked_phones(writer: CorpusWriter, item: str, phones: list[Phone], seconds: float) -> list[Phone] | None:
    """Fit phones to their audio; if they do not, they are left out and counted, and the audio stays."""
    try:
        return fit_phones(phones, seconds, DURATION_TOLERANCE_SECONDS)
    except CorpusError as error:
        writer.skip(item, f"its phones are left out: {error}")
        return None


def copy_audio(writer: CorpusWriter, root: Path, name: str) -> str:
    """Copy a file into the corpus, under a name that any system can hold, and give its path there.

    Raises:
        OSError: It cannot be read or written.
    """
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:20]
    suffix = os.path.splitext(name)[1].lower()
    target = f"audio/{digest[:2]}/{digest}{suffix}"
    place = writer.folder / target
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        temporary = place.with_name(place.name + ".tmp")
        shutil.copyfile(os.path.join(root, name), temporary)
        os.rename(temporary, place)
    return target


def inventory(symbols: Iterable[str]) -> tuple[str, ...]:
    """Order a set of symbols as an inventory: silence first, if it is there, and the others by name."""
    found = set(symbols)
    return tuple([SILENCE] * (SILENCE in found)) + tuple(sorted(found - {SILENCE}))


def as_json(config: dict[str, Any]) -> dict[str, Any]:
    """Give a config as plain JSON, its paths as text."""
    return json.loads(json.dumps(config, default=str))
