"""Records what becomes of each item while a corpus is prepared, and writes `preparation.json`.

Names and reasons wait in a temporary database on disk: a million skipped files need no memory. An interrupted
preparation writes nothing; the next one records everything again, from the results of finished jobs.
"""

import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inattention.corpora.core.preparation import FILE, FIRST, ITEMS, Count, Group, Preparation, SpeakerCount, option_for
from inattention.corpora.errors import CorpusError
from inattention.files import replacing
from inattention.text import printable

KINDS = ("recording", "label", "text", "speaker", "file")
MOST_CATEGORIES = 200
_LONGEST_CATEGORY = 100
_BATCH = 10_000
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|\((?:[^()]|\([^()]*\))*\)")
_NUMBER = re.compile(r"[-+]?\d+(?:[.,:]\d+)*(?:e[-+]?\d+)?")


def category_of(reason: str) -> str:
    """Return a reason without its names, numbers and remarks in parentheses, to group equal reasons.

    >>> category_of("phones end at 9.000 s, the audio at 0.300 s")
    'phones end at N s, the audio at N s'
    >>> category_of("the label 'œ' is no English phone")
    'the label … is no English phone'
    """
    short = _NUMBER.sub("N", _QUOTED.sub(lambda match: "" if match[0][0] == "(" else "…", reason))
    short = " ".join(short.replace(" ,", ",").split())
    return short if len(short) <= _LONGEST_CATEGORY else short[: _LONGEST_CATEGORY - 1] + "…"


@dataclass
class _Tally:
    recordings: int = 0
    seconds: float = 0.0
    labels_kept: int = 0
    labels_dropped: int = 0


class Ledger:
    """Counts of what was found, used, repaired, skipped and ignored; names and reasons of all but the used.

    Kinds of items are `recording`, `label`, `text`, `speaker`, and `file` for files that are none of these.

    Args:
        corpus: The kind of corpus, whose options the reasons may have.
    """

    def __init__(self, corpus: str = "") -> None:
        self._corpus = corpus
        # Without a name, SQLite keeps the database in memory while it is small, then in a temporary file.
        self._entries = sqlite3.connect("", isolation_level=None)
        self._entries.execute(
            "CREATE TABLE entries (outcome TEXT, kind TEXT, category TEXT, item TEXT, reason TEXT, seconds REAL)"
        )
        self._waiting: list[tuple[str, str, str, str, str, float]] = []
        self._found: dict[str, int] = defaultdict(int)
        self._used: dict[str, int] = defaultdict(int)
        self._speakers: dict[str | None, _Tally] = defaultdict(_Tally)
        self._with_labels = self._labelled = 0.0
        self._last: str | None = None
        self._kinds_of_last: set[str] = set()

    def close(self) -> None:
        """Discard the names."""
        self._entries.close()

    def found(self, kind: str, count: int) -> None:
        """Add to the number of items of a kind that the reader came across, whatever becomes of them.

        A kind that is never counted is taken to be what was used, skipped and ignored.
        """
        self._found[_checked(kind)] += count

    def use(self, item: str, *, seconds: float, speaker: str | None, labelled: float | None, text: bool) -> None:
        """Count a cut in the corpus; the pieces of one item come one after the other and count once.

        Args:
            item: What was found, such as a recording.
            seconds: Duration of the cut.
            speaker: Who speaks.
            labelled: Seconds that phone labels cover; None if the cut has none.
            text: Whether the cut has a text.
        """
        if item != self._last:
            self._last, self._kinds_of_last = item, set()
        kinds = {"recording"}
        if labelled is not None:
            kinds.add("label")
            self._with_labels += seconds
            self._labelled += labelled
        if text:
            kinds.add("text")
        tally = self._speakers[None if speaker is None else printable(speaker)]
        for kind in kinds - self._kinds_of_last:
            self._used[kind] += 1
            tally.recordings += kind == "recording"
            tally.labels_kept += kind == "label"
        self._kinds_of_last |= kinds
        tally.seconds += seconds

    def skip(
        self,
        item: str,
        reason: str,
        *,
        kind: str = "recording",
        category: str | None = None,
        seconds: float = 0.0,
        speaker: str | None = None,
    ) -> None:
        """Record an item that could not be used.

        Args:
            item: Its name.
            reason: Why, with the details of this item.
            kind: Of the item.
            category: The reason in a few words that are the same for all such items; derived from it by default.
            seconds: Of audio, if known.
            speaker: Who speaks, if known; counted for labels.
        """
        self._add("skipped", kind, category, item, reason, seconds)
        if kind == "label":
            self._speakers[None if speaker is None else printable(speaker)].labels_dropped += 1

    def repair(self, item: str, reason: str, *, kind: str = "label", category: str | None = None) -> None:
        """Record what was mended in an item that is used; several repairs of one item are one repaired item."""
        self._add("repaired", kind, category, item, reason, 0.0)

    def ignore(self, item: str, category: str, *, kind: str = "file", seconds: float = 0.0) -> None:
        """Record an item that is left out on purpose, such as a system's hidden file."""
        self._add("ignored", kind, category, item, category, seconds)

    def lack(self, item: str, what: str) -> None:
        """Record a recording that is used although it has no labels or text, such as `without labels`."""
        self._add("used", "recording", what, item, what, 0.0)

    def _add(self, outcome: str, kind: str, category: str | None, item: str, reason: str, seconds: float) -> None:
        item, reason = printable(item), printable(reason)
        category = category_of(reason) if category is None else printable(category)
        self._waiting.append((outcome, _checked(kind), category, item, reason, seconds))
        if len(self._waiting) >= _BATCH:
            self._store()

    def _store(self) -> None:
        with _disk_errors():
            self._entries.execute("BEGIN")
            self._entries.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", self._waiting)
            self._entries.execute("COMMIT")
        self._waiting.clear()

    def _query(self, sql: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        with _disk_errors():
            yield from self._entries.execute(sql, values)

    def skipped(self, most: int) -> tuple[int, list[tuple[str, str]]]:
        """Return the number of skipped items, and the first of them by name with their reasons."""
        self._store()
        ((count,),) = self._query("SELECT count(*) FROM entries WHERE outcome = 'skipped'")
        rows = self._query("SELECT item, reason FROM entries WHERE outcome = 'skipped' ORDER BY 1, 2 LIMIT ?", most)
        return count, [(item, reason) for item, reason in rows]

    def summary(self) -> Preparation:
        """Return the counts, with the first names for each reason."""
        self._store()
        ((skipped_seconds,),) = self._query(
            "SELECT total(seconds) FROM entries WHERE outcome = 'skipped' AND kind = 'recording'"
        )
        return Preparation(
            counts=tuple(self._count(kind) for kind in KINDS),
            seconds_used=round(sum(tally.seconds for tally in self._speakers.values()), 3),
            seconds_skipped=round(skipped_seconds, 3),
            seconds_with_labels=round(self._with_labels, 3),
            seconds_labelled=round(self._labelled, 3),
            groups=tuple(self._groups()),
            speakers=tuple(
                SpeakerCount(
                    speaker=name,
                    recordings=tally.recordings,
                    seconds=round(tally.seconds, 3),
                    labels_kept=tally.labels_kept,
                    labels_dropped=tally.labels_dropped,
                )
                for name, tally in sorted(self._speakers.items(), key=lambda item: (item[0] is not None, item[0] or ""))
            ),
        )

    def _count(self, kind: str) -> Count:
        counts = dict.fromkeys(("skipped", "repaired", "ignored"), 0)
        sql = "SELECT outcome, count(*), count(DISTINCT item) FROM entries WHERE kind = ? AND outcome != 'used' "
        sql += "GROUP BY outcome"
        for outcome, entries, items in self._query(sql, kind):
            counts[outcome] = items if outcome == "repaired" else entries
        used = self._used[kind]
        if kind == "speaker":
            used = sum(1 for name, tally in self._speakers.items() if name is not None and tally.recordings)
        known = used + counts["skipped"] + counts["ignored"]
        return Count(kind=kind, found=max(self._found[kind], known), used=used, **counts)

    def _groups(self) -> Iterator[Group]:
        rows = self._query(
            "SELECT outcome, kind, category, count(*), total(seconds) FROM entries "
            "GROUP BY outcome, kind, category ORDER BY count(*) DESC, outcome, kind, category LIMIT ?",
            MOST_CATEGORIES,
        )
        for outcome, kind, category, count, seconds in list(rows):
            first = self._query(
                "SELECT item, reason FROM entries WHERE outcome = ? AND kind = ? AND category = ? "
                "ORDER BY item, reason LIMIT ?",
                *(outcome, kind, category, FIRST),
            )
            yield Group(
                outcome=outcome,
                kind=kind,
                category=category,
                count=count,
                seconds=round(seconds, 3),
                option=option_for(category, self._corpus),
                first=tuple((item, reason) for item, reason in first),
            )

    def write(self, folder: Path) -> Preparation:
        """Write `preparation.json`, and return what it summarises.

        Raises:
            CorpusError: The names cannot be kept on disk.
            OSError: The file cannot be written.
        """
        summary = self.summary()
        head = json.dumps(summary.to_json(), indent=2, ensure_ascii=False).removesuffix("\n}")
        rows = self._query(
            "SELECT outcome, kind, category, item, reason, seconds FROM entries ORDER BY 1, 2, 3, 4, 5, 6"
        )
        with replacing(folder / FILE) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(f"{head},\n  {ITEMS}")
            separator = "\n"
            for row in rows:
                fields = dict(zip(("outcome", "kind", "category", "item", "reason", "seconds"), row, strict=True))
                file.write(f"{separator}    {json.dumps(fields, ensure_ascii=False)}")
                separator = ",\n"
            file.write("\n  ]\n}\n")
        return summary


def _checked(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is not a kind of item: {', '.join(KINDS)}")
    return kind


@contextmanager
def _disk_errors() -> Generator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise CorpusError(f"the names of skipped files cannot be kept in a temporary file: {error}") from error
