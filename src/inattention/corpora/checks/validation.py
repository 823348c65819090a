"""Check of a prepared corpus: every line is read, and every piece of audio is decoded."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from inattention.audio.limits import DURATION_TOLERANCE_SECONDS
from inattention.corpora.core.audio_facts import AudioJob, Bad, Facts, inspect
from inattention.corpora.core.corpus import SPLITS, Corpus
from inattention.corpora.core.cut_building import fit_phones
from inattention.corpora.core.cut_files import cut_from, cuts_path, json_lines
from inattention.corpora.errors import CorpusError

if TYPE_CHECKING:
    from lhotse.cut import Cut


def validate(corpus: Corpus, *, workers: int | None = None, progress: bool = True) -> list[tuple[str, str]]:
    """Read all of a corpus, and list what is wrong: an item (a cut, a line, a file) and the reason.

    Memory holds only the ids and what is wrong.

    Args:
        corpus: The corpus.
        workers: Number of processes that decode; one per core by default.
        progress: Show a progress bar on stderr.
    """
    wrong: list[tuple[str, str]] = []
    cuts = _all_cuts(corpus, wrong)
    total = sum(_counted(corpus, split) or 0 for split in SPLITS)
    for cut, facts in levels_of(cuts, workers=workers, progress=progress, total=total):
        reason = facts.reason if isinstance(facts, Bad) else _compare_with_manifest(cut, facts)
        if reason:
            wrong.append((cut.id, reason))
    return wrong


def levels_of(
    cuts: "Iterable[Cut]", *, workers: int | None, progress: bool, total: int | None
) -> "Iterator[tuple[Cut, Facts | Bad]]":
    """Decode the audio of any number of cuts in parallel, and return each cut with its levels."""
    waiting: deque[Any] = deque()

    def jobs() -> Iterator[AudioJob]:
        for cut in cuts:
            waiting.append(cut)
            yield _job(cut)

    for facts in inspect(jobs(), workers=workers, progress=progress, total=total, what="decoding"):
        yield waiting.popleft(), facts


def _job(cut: Any) -> AudioJob:
    source = cut.recording.sources[0]
    wanted = cut.channel if isinstance(cut.channel, list) else [cut.channel]
    columns = [source.channels.index(channel) if channel in source.channels else -1 for channel in wanted]
    first = round(cut.start * cut.recording.sampling_rate)
    return AudioJob(
        path=source.source, decode=True, first=first, samples=cut.num_samples, channels=columns, truncated="keep"
    )


def _all_cuts(corpus: Corpus, wrong: list[tuple[str, str]]) -> "Iterator[Cut]":
    """Return every cut whose line is sound; add other lines, and counts unlike those in `corpus.json`, to `wrong`."""
    seen: set[str] = set()
    symbols = set(corpus.phones)
    for split in SPLITS:
        path = cuts_path(corpus.folder, split)
        number = 0
        try:
            for number, line in enumerate(json_lines(path), 1):
                try:
                    cut = cut_from(line, corpus.audio_root)
                    _check_labels(cut, symbols)
                except CorpusError as error:
                    wrong.append((f"{path.name}, line {number}", str(error)))
                    continue
                if cut.id in seen:
                    wrong.append((cut.id, "is in the corpus twice"))
                seen.add(cut.id)
                yield cut
        except CorpusError as error:  # the file is damaged from here on
            wrong.append((path.name, str(error)))
            continue
        count = _counted(corpus, split)
        if count is not None and count != number:
            wrong.append((path.name, f"holds {number} cuts, corpus.json says {count}"))


def _counted(corpus: Corpus, split: str) -> int | None:
    """Return the number of cuts of a split in `corpus.json`, which need not be sound."""
    counts = corpus.info["splits"].get(split)
    count = counts.get("cuts") if isinstance(counts, dict) else None
    return count if isinstance(count, int) else None


def _check_labels(cut: Any, symbols: set[str]) -> None:
    if len(cut.supervisions) != 1:
        raise CorpusError(f"cut {cut.id!r} has {len(cut.supervisions)} supervisions, not one")
    items = (cut.supervisions[0].alignment or {}).get("phone", ())
    if not items:
        return
    unknown = sorted({item.symbol for item in items} - symbols)
    if unknown:
        raise CorpusError(f"cut {cut.id!r}: the phone {unknown[0]!r} is not in the corpus's inventory")
    phones = [(item.symbol, item.start, item.start + item.duration) for item in items]
    try:
        # Phones may end early where the last sounds are no phone: that time has no label, which is no fault.
        end = max(phone[2] for phone in phones)
        fit_phones(phones, max(end, 0.0), 0.0)
        if end > cut.duration + DURATION_TOLERANCE_SECONDS:
            raise CorpusError(f"phones end at {end:.3f} s, the cut at {cut.duration:.3f} s")
    except CorpusError as error:
        raise CorpusError(f"cut {cut.id!r}: {error}") from None


def _compare_with_manifest(cut: Any, facts: Facts) -> str:
    """Return how a file differs from its manifest; an empty text if it does not."""
    if facts.rate != cut.recording.sampling_rate:
        return f"its file has {facts.rate} Hz, its manifest says {cut.recording.sampling_rate} Hz"
    seconds = cut.recording.num_samples / cut.recording.sampling_rate
    if abs(facts.seconds - seconds) > DURATION_TOLERANCE_SECONDS:
        return f"its file lasts {facts.seconds:.3f} s, its manifest says {seconds:.3f} s"
    if facts.channels < len(cut.recording.sources[0].channels):
        return f"its file has {facts.channels} channels, its manifest says {len(cut.recording.sources[0].channels)}"
    return ""
