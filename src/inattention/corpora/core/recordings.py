"""Steps shared by the readers of a user's own recordings: read, check, copy, divide and add them."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from inattention.audio.limits import DURATION_TOLERANCE_SECONDS, SUFFIXES, Truncated
from inattention.corpora.core.audio_facts import AudioJob, Bad, Facts, inspect
from inattention.corpora.core.cut_building import Phone, fit_phones, make_cut, phones_within
from inattention.corpora.core.file_tree import Tree
from inattention.corpora.core.ledger import category_of
from inattention.corpora.core.phones import SILENCE
from inattention.corpora.core.splits import Member
from inattention.corpora.core.writer import CorpusWriter
from inattention.corpora.errors import CorpusError
from inattention.files import replacing
from inattention.text import printable

FILES_PER_JOB = 500


def skip_unreadable(writer: CorpusWriter, tree: Tree) -> None:
    """Report what could not be read below a folder, audio as recordings and all else as files, and what was ignored."""
    for item, what in tree.ignored:
        writer.ignore(item, what)
    for item, reason in tree.bad:
        kind = "recording" if os.path.splitext(item)[1].lower() in SUFFIXES else "file"
        writer.found(kind, 1)
        writer.skip(item, reason, kind=kind)


def inspect_files(
    writer: CorpusWriter,
    root: Path,
    names: Iterable[str],
    *,
    items: Mapping[str, Sequence[str]] | None = None,
    decode: bool,
    truncated: Truncated = "skip",
    workers: int | None,
    progress: bool,
) -> Iterator[tuple[str, Facts]]:
    """Read files below a root, and return the facts of the good ones; bad ones are reported to the writer.

    Results are recorded every few hundred files: what an interrupted run has read is not read again.

    Args:
        writer: Takes bad files and finished results.
        root: Where the names begin.
        names: Paths relative to it.
        items: What is lost with each file, such as the cuts in it; by default the file is the item.
        decode: Read all samples, not only the headers.
        truncated: Skip files that end before their headers say, or use what is there, which is reported as a repair.
        workers: Number of processes.
        progress: Show a progress bar.
    """
    names = list(names)
    known: dict[str, Facts | Bad] = {}
    jobs: list[list[str]] = [names[i : i + FILES_PER_JOB] for i in range(0, len(names), FILES_PER_JOB)]
    left = []
    for job in jobs:
        result = writer.recall(_job_name(root, job, decode, truncated))
        if result is None:
            left.append(job)
            continue
        known.update({name: _from_json(item) for name, item in zip(job, result, strict=True)})
    asked = (
        AudioJob(path=os.path.join(root, name), decode=decode, truncated=truncated) for job in left for name in job
    )
    total = sum(len(job) for job in left)
    results = inspect(asked, workers=workers, progress=progress, total=total) if left else iter(())
    for job in left:
        found = [next(results) for _ in job]
        known.update(zip(job, found, strict=True))
        writer.record(_job_name(root, job, decode, truncated), [vars(item) for item in found])
    for name in names:
        item = known[name]
        if isinstance(item, Bad):
            _skip_bad(writer, name, item, items[name] if items else None, truncated)
            continue
        if item.damage:
            writer.repair(
                printable(name), f"{item.damage}: used", kind="recording", category="truncated, used as it is"
            )
        yield name, item


def _skip_bad(writer: CorpusWriter, name: str, bad: Bad, items: Sequence[str] | None, truncated: Truncated) -> None:
    """Report a file that cannot be used, and the items in it, which share its seconds."""
    reason = bad.reason if items is None else f"{printable(name)}: {bad.reason}"
    category = (truncated == "skip" and bad.category) or category_of(bad.reason)
    lost = (name,) if items is None else items
    for item in lost:
        writer.skip(printable(item), reason, category=category, seconds=bad.seconds / len(lost))


def _job_name(root: Path, names: list[str], decode: bool, truncated: Truncated) -> str:
    mode = f"{decode} {truncated} "
    digest = hashlib.sha256(mode.encode() + os.fsencode(str(root)) + b"\0".join(os.fsencode(name) for name in names))
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
    """Add a recording, in pieces if it is longer than `longest` seconds, each to its split.

    The text of a recording is kept only if it is one piece, and whole.
    """
    pieces = pieces_of(name, facts, longest)
    if text and (len(pieces) > 1 or facts.damage):
        writer.ignore(name, f"text of a {'truncated' if facts.damage else 'divided'} recording", kind="text")
        text = None
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
            text=text,
            language=language,
            phones=own,
        )
        writer.add(split_of[piece], cut, item=name)


def pieces_of(name: str, facts: Facts, longest: float) -> list[tuple[str, int, int]]:
    """Divide a recording into equal pieces of at most `longest` seconds: (name, first sample, end).

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
    """Return a recording's pieces for splitting; they all belong to one recording."""
    pieces = pieces_of(name, facts, longest)
    return [Member(piece, speaker, recording, (end - first) / facts.rate) for piece, first, end in pieces]


def checked_phones(
    writer: CorpusWriter,
    item: str,
    phones: list[Phone],
    seconds: float,
    *,
    truncated: bool = False,
    speaker: str | None = None,
) -> list[Phone] | None:
    """Return phones that fit their audio; report others to the writer and return None, so that the audio stays.

    Args:
        writer: Takes reports.
        item: What the phones belong to.
        phones: In seconds from the beginning of the audio.
        seconds: Duration of the audio.
        truncated: The audio is the beginning of what the phones describe, and they end with it.
        speaker: Who speaks.
    """
    if truncated:
        phones = phones_within(phones, 0.0, seconds)
    try:
        return fit_phones(phones, seconds, DURATION_TOLERANCE_SECONDS)
    except CorpusError as error:
        writer.skip(item, f"its phones are skipped: {error}", kind="label", speaker=speaker)
        return None


def copy_audio(writer: CorpusWriter, root: Path, name: str) -> str:
    """Copy a file into the corpus, under a name that is valid on any system, and return its path there.

    Raises:
        OSError: It cannot be read or written.
    """
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:20]
    suffix = os.path.splitext(name)[1].lower()
    suffix = suffix if suffix in SUFFIXES else ""
    target = f"audio/{digest[:2]}/{digest}{suffix}"
    place = writer.folder / target
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        with replacing(place) as temporary:
            shutil.copyfile(os.path.join(root, name), temporary)
    return target


def inventory(symbols: Iterable[str]) -> tuple[str, ...]:
    """Return symbols as an inventory: silence first, if it occurs, then the others by name."""
    found = set(symbols)
    return tuple([SILENCE] * (SILENCE in found)) + tuple(sorted(found - {SILENCE}))


def without_defaults(settings: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    """Return settings without those that were added later and have their default, so that keys of corpora stay.

    >>> without_defaults({"seed": 0, "encoding": "utf-8"}, encoding="utf-8")
    {'seed': 0}
    """
    return {name: value for name, value in settings.items() if name not in defaults or value != defaults[name]}


def as_json(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config as plain JSON, with paths as text, for a corpus's key.

    Skipping truncated files is left out, as it was before there was a choice: keys of corpora stay.
    """
    config = {name: value for name, value in config.items() if (name, value) != ("truncated", "skip")}
    return json.loads(json.dumps(config, default=str))
