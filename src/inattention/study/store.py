"""Store of a study's results: `results.jsonl`, which nothing else reads or writes.

The file is only ever appended to, a line at a time:

- a *header* (kind ``study``): settings, corpus, versions, and the jobs whose results the study asks for. A study that
  is run again with other settings appends another; the last one counts.
- a *result* for each finished job (kinds ``pretrain``, ``probe``, ``curve``, ``time``, ``floor``), found by its
  fingerprint. Of two with the same fingerprint the later counts.
- a *failure* for each failed job. It counts until the job has a result.

Nothing is ever removed: results of earlier settings stay in the file and are found again when they are asked for. A
line that cannot be used, such as one cut off by a crash, is reported, skipped and left where it is.
"""

import errno
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from inattention.study.format1 import is_format1, upgrade
from inattention.study.header import FORMAT, StudyHeader, header_from_dict, job_from_dict
from inattention.study.planning.plan import kind_named
from inattention.study.planning.rows import StudyRow, recorded_row
from inattention.study.records import (
    RECORDS,
    BaselineRecord,
    CurveRecord,
    Failure,
    PretrainingRecord,
    ProbeRecord,
    Record,
    TimingRecord,
)
from inattention.study.results import OtherResults, Problem, StudyResults

RESULTS = "results.jsonl"


class ResultsError(ValueError):
    """Results that are missing or cannot be used as a whole; the message names the file and what to do."""


def load(folder: str | Path) -> StudyResults:
    """Load the results that the last header of a study's file asks for.

    Args:
        folder: the study's folder.

    Raises:
        ResultsError: if there is no results file, or no header in it can be read.
    """
    folder = Path(folder)
    if not (folder / RESULTS).is_file():
        raise ResultsError(
            f"there is no {folder / RESULTS}: run the study first, with `inattention study --out {folder}`"
        )
    return Store(folder).results()


class Store:
    """Results file of a study, open for more results.

    Args:
        folder: the study's folder; a file that is there is read once.

    Attributes:
        records: results by fingerprint.
        problems: lines that cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / RESULTS
        content = _read(self.path) if self.path.is_file() else _Content()
        self.records, self.problems = content.records, content.problems
        self._header, self._failures = content.header, content.failures

    def begin(self, header: StudyHeader, *, new_results: bool = True) -> None:
        """Write what the study asks for, unless the last header in the file has the same.

        Args:
            header: what it asks for.
            new_results: whether results will follow, for which the header's versions count, too.
        """
        last = self._header
        if last is None or not header.asks_the_same_as(last) or (new_results and header.provenance != last.provenance):
            _append(self.path, header.to_dict())
            self._header = header

    def append(self, result: Record | Failure) -> None:
        """Write the result of a job, or its failure."""
        _append(self.path, result.to_dict())
        if isinstance(result, Failure):
            self._failures[result.job.fingerprint] = result
        else:
            self.records[result.fingerprint] = result

    def results(self) -> StudyResults:
        """Return the results that the last header asks for.

        Raises:
            ResultsError: if there is no header.
        """
        header = self._header
        if header is None:
            what = f" ({self.problems[0]})" if self.problems else ""
            raise ResultsError(
                f"{self.path} has no line of kind 'study' that can be read{what}; run the study again, which writes one"
            )
        found = [(job, self.records[job.fingerprint]) for job in header.jobs if job.fingerprint in self.records]
        rows = {row.name: row for row in header.rows}
        # Two rows may mean the same and share results: each is shown under its own name.
        named = [(job, replace(it, row=rows[job.row]) if job.row in rows else it) for job, it in found]
        failures = [self._failures.get(job.fingerprint) for job in header.jobs if job.fingerprint not in self.records]
        return StudyResults(
            folder=self.folder,
            header=header,
            pretraining={(it.row.name, it.seed): it for _, it in named if isinstance(it, PretrainingRecord)},
            probes={(it.row.name, it.seed): it for _, it in named if isinstance(it, ProbeRecord)},
            curves={(it.row.name, it.seed, it.step): it for _, it in named if isinstance(it, CurveRecord)},
            timing={it.row.name: it for _, it in named if isinstance(it, TimingRecord)},
            baselines={it.seed: it for _, it in named if isinstance(it, BaselineRecord)},
            failures=tuple(failure for failure in failures if failure),
            problems=tuple(self.problems),
            others=self._others(header),
        )

    def _others(self, header: StudyHeader) -> OtherResults:
        """Summarize the results that the header does not ask for."""
        asked = {job.fingerprint for job in header.jobs}
        others = [record.job for record in self.records.values() if record.fingerprint not in asked]
        rows = {row.name for row in header.rows}
        known = [job for job in others if not job.row or job.row in rows]
        same_seed = [job for job in known if job.seed is None or job.seed in header.seeds]
        return OtherResults(
            count=len(others),
            rows=tuple(dict.fromkeys(job.row for job in others if job.row and job.row not in rows)),
            seeds=tuple(sorted({job.seed for job in known if job.seed is not None} - set(header.seeds))),
            changed=tuple(dict.fromkeys(job.row for job in same_seed if job.row)),
        )


@dataclass
class _Content:
    """Content of a results file."""

    header: StudyHeader | None = None
    records: dict[str, Record] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


class _Rows(dict[str, StudyRow]):
    """Rows by the names in a file, each parsed once."""

    def __missing__(self, name: str) -> StudyRow:
        return self.setdefault(name, recorded_row(name))


def _read(path: Path) -> _Content:
    """Read a results file; lines that cannot be used become problems."""
    content, rows = _Content(), _Rows()
    for number, line in _upgraded(_parsed(path, content.problems), path, content.problems):
        try:
            _take(line, content, rows)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            content.problems.append(Problem(path, number, _reason(error)))
    content.problems.sort(key=lambda problem: problem.line)
    return content


def _take(line: Mapping[str, Any], content: _Content, rows: _Rows) -> None:
    """Add what a line holds to the content."""
    if line["format"] != FORMAT:
        raise ValueError(f"format {line['format']!r} is not known to this version, which reads up to {FORMAT}")
    if line["kind"] == "study":
        names = [*line["rows"], *(job["row"] for job in line["jobs"] if job["row"])]
        content.header = header_from_dict(line, {name: rows[name] for name in names})
    elif line["kind"] == "failure":
        failure = Failure(job_from_dict(line["job"]), str(line["error"]))
        content.failures[failure.job.fingerprint] = failure
    else:
        kind = kind_named(line["kind"])
        job = job_from_dict(line)
        common = {
            "row": rows[job.row] if job.row else None,
            "seed": job.seed,
            "step": job.step,
            "fingerprint": job.fingerprint,
            "folder": str(line.get("folder", job.folder)),
        }
        content.records[job.fingerprint] = RECORDS[kind].from_dict(line, common)


def _parsed(path: Path, problems: list[Problem]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Iterate over the numbered lines that are JSON objects."""
    lines = path.read_bytes().split(b"\n")
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
            if not isinstance(line, dict):
                raise ValueError("it is no JSON object")
        except (ValueError, RecursionError) as error:
            torn = number == len(lines)  # a whole line ends with a line break
            problems.append(Problem(path, number, f"the line is cut off ({error})" if torn else str(error)))
        else:
            yield number, line


def _upgraded(
    lines: Iterator[tuple[int, dict[str, Any]]], path: Path, problems: list[Problem]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Iterate over lines in today's format; a header of format 1 is taken together with the lines that follow it."""
    section: list[tuple[int, dict[str, Any]]] = []

    def flush() -> Iterator[tuple[int, dict[str, Any]]]:
        try:
            yield from upgrade(section)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            problems.extend(Problem(path, number, _reason(error)) for number, _ in section)
        section.clear()

    for number, line in lines:
        if is_format1(line) and not (section and line.get("kind") == "study"):
            section.append((number, line))
            continue
        yield from flush()
        if is_format1(line):
            section.append((number, line))
        else:
            yield number, line
    yield from flush()


def _append(path: Path, line: Mapping[str, Any]) -> None:
    """Append a line in one write, on a line of its own even where an earlier write was cut off.

    Raises:
        OSError: if it cannot be written, or not as a whole.
    """
    # Names of files may hold bytes that are no UTF-8: as an escape, they are read again as they were.
    text = (json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            text = b"\n" + text
        if os.write(file, text) < len(text):
            raise OSError(errno.ENOSPC, "the disk is full", str(path))
        os.fsync(file)
    finally:
        os.close(file)


def _reason(error: Exception) -> str:
    return f"it lacks {error}" if isinstance(error, KeyError) else str(error)
