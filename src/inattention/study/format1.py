"""Results files of format 1, which versions up to 0.2.0 wrote: lines upgraded to today's format.

Such a file had one header, of the last run, followed by its results, and was written anew at every change. Results
were known by kind, row and seed; the hash in their folder's name held the version and names of fields, and cannot be
computed any more. So their fingerprints are those that a plan of the header's own settings has today.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from inattention.corpora.core.corpus import Corpus
from inattention.study.header import FORMAT, header_settings, job_to_dict
from inattention.study.planning.fingerprint import fingerprint
from inattention.study.planning.plan import Job, JobId, Kind, Planner, kind_named
from inattention.study.planning.rows import StudyRow, parse_rates, recorded_row

Line = dict[str, Any]
Key = tuple[str, str, int | None]  # kind on disk, row, seed
# The order of batches was another before version 0.2.0. Heads do not tell versions reliably (an installation in place
# kept its first number), but `timed` was introduced just before that change.
_BEFORE_0_2 = {"pretrain": 0}


def is_format1(line: Mapping[str, Any]) -> bool:
    """Return whether a line was written in format 1."""
    return line.get("format", 1) == 1


def upgrade(section: Sequence[tuple[int, Line]]) -> Iterator[tuple[int, Line]]:
    """Iterate over the numbered lines of a section in today's format, its header first.

    Args:
        section: a header and the results that follow it; results without a header keep their old hashes.
    """
    if not section:
        return
    (number, head), *rest = section
    if head.get("kind") != "study":
        yield from ((number, _with_fingerprint(line, {})) for number, line in section)
        return
    lines = [line for _, line in rest]
    jobs = _jobs(head, lines)
    by_key = {_key_of(job): job for job in jobs}
    yield number, {**head, "format": FORMAT, "jobs": [job_to_dict(job) for job in jobs]}
    yield from ((number, _with_fingerprint(line, by_key)) for number, line in rest)
    yield from ((number, line) for line in _failures(head, lines, jobs))


def _with_fingerprint(line: Line, jobs: Mapping[Key, JobId]) -> Line:
    key = str(line["kind"]), _row_name(line.get("row")), line.get("seed")
    job = jobs.get(key)
    known = job.fingerprint if job else line.get("key") or _unplanned(*key)
    return {"row": None, "seed": None, **line, "format": FORMAT, "fingerprint": known}


def _jobs(head: Line, lines: Sequence[Line]) -> list[JobId]:
    """Return the jobs that the header asked for, those of rows that cannot be planned any more by their results."""
    settings = header_settings(head)
    config, rates = settings["config"], {}
    for text in config.learning_rates:
        with suppress(ValueError):  # of a mechanism that is not installed here, and of no consequence for the others
            rates |= parse_rates([text])
    timed_on = next((it["outcome"]["machine"] for it in lines if it.get("kind") == "time"), None)
    rows = tuple(recorded_row(name) for name in head["rows"])
    corpus = Corpus(Path(), head["corpus"])
    revisions = {} if "timed" in head["config"] else _BEFORE_0_2
    planner = Planner(config, corpus, rows, rates, on=timed_on, revisions=revisions)
    old = {(it.get("kind"), _row_name(it.get("row")), it.get("seed")): it.get("key") for it in lines}

    def jobs_of(row: StudyRow) -> list[JobId]:
        try:
            timing: list[Job] = [planner.timing(row)] if planner.is_timed(row) else []
            return [job.id for job in [*planner.runs_of(row), *timing]]
        except ValueError:  # a file that it starts from is not here, or its mechanism is not installed
            kinds: list[tuple[Kind, int | None]] = [
                (kind, seed) for seed in planner.seeds_of(row) for kind in ("pretrain", "probe")
            ]
            kinds += [("time", None)] if planner.is_timed(row) else []
            names = [(kind, row.name, seed) for kind, seed in kinds]
            return [JobId(*name, old.get(name) or _unplanned(*name)) for name in names]

    return [planner.baseline().id, *(job for row in rows for job in jobs_of(row))]


def _failures(head: Line, lines: Sequence[Line], jobs: Sequence[JobId]) -> Iterator[Line]:
    """Iterate over the failures that a header lists, by titles in which rows are quoted and cut."""
    done = {(it.get("kind"), _row_name(it.get("row")), it.get("seed")) for it in lines}
    for failure in head.get("failures", []):
        title = failure["step"]
        failed = [job for job in jobs if _old_title(job) == title]
        if title == "time":  # all rows were timed as one
            failed = [job for job in jobs if job.kind == "time" and _key_of(job) not in done]
        if not failed:
            kind, _, row = title.partition(" ")
            failed = [JobId(kind_named(kind), row, None, _unplanned(kind, row, None))]
        for job in failed:
            yield {"format": FORMAT, "kind": "failure", "job": job_to_dict(job), "error": failure["error"]}


def _key_of(job: JobId) -> Key:
    return job.kind_on_disk, job.row, job.seed


def _old_title(job: JobId) -> str:
    return " ".join(part for part in (job.kind_on_disk, job.run_name) if part)


def _row_name(text: str | None) -> str:
    return recorded_row(text).name if text else ""


def _unplanned(kind: str, row: str, seed: int | None) -> str:
    """Return a fingerprint for a result of which nothing is known but its name."""
    return fingerprint(kind, {"row": row, "seed": seed}, revision=0)
