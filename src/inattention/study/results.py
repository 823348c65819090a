"""Results of a study: the records that one header asks for, typed.

Every table, figure and sentence of the report is made from them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean

from inattention.probing.config import TASKS
from inattention.probing.results import TaskResult
from inattention.study.header import CorpusInfo, Provenance, StudyHeader
from inattention.study.planning.config import StudyConfig
from inattention.study.planning.plan import JobId, Kind
from inattention.study.planning.rows import StudyRow
from inattention.study.records import (
    BaselineRecord,
    CurveRecord,
    Failure,
    PretrainingRecord,
    ProbeRecord,
    Record,
    TimingRecord,
)


@dataclass(frozen=True)
class Problem:
    """A line of a results file that cannot be used; it stays in the file."""

    path: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}: {self.reason}; the line is skipped and stays in the file"


@dataclass(frozen=True, kw_only=True)
class OtherResults:
    """Results of earlier settings, which the last header of a file does not ask for.

    Attributes:
        count: number of results.
        rows: rows that the study no longer has.
        seeds: seeds that it no longer has.
        changed: rows that it has, with results of other settings or another corpus.
    """

    count: int = 0
    rows: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.count > 0

    def __str__(self) -> str:
        """Return a sentence for tables and reports.

        >>> str(OtherResults(count=3, rows=("qk", "none"), seeds=(1,)))
        'The file also holds 3 results that this study does not ask for: rows qk, none; seeds 1.'
        """
        parts = {"rows": self.rows, "seeds": self.seeds, "other settings or corpora of": self.changed}
        named = "; ".join(f"{what} {', '.join(map(str, those))}" for what, those in parts.items() if those)
        results = "1 result" if self.count == 1 else f"{self.count} results"
        return f"The file also holds {results} that this study does not ask for{f': {named}' if named else ''}."


@dataclass(frozen=True, kw_only=True)
class StudyResults:
    """Results of a study.

    Attributes:
        folder: the study's folder.
        header: what the study asks for.
        pretraining: by row name and seed.
        probes: by row name and seed.
        curves: probes during training, by row name, seed and step.
        timing: by row name.
        baselines: by seed.
        failures: jobs that have failed and have no result.
        problems: lines of the file that cannot be used.
        others: what else the file holds.
    """

    folder: Path
    header: StudyHeader
    pretraining: Mapping[tuple[str, int], PretrainingRecord] = field(default_factory=dict)
    probes: Mapping[tuple[str, int], ProbeRecord] = field(default_factory=dict)
    curves: Mapping[tuple[str, int, int], CurveRecord] = field(default_factory=dict)
    timing: Mapping[str, TimingRecord] = field(default_factory=dict)
    baselines: Mapping[int, BaselineRecord] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    problems: tuple[Problem, ...] = ()
    others: OtherResults = field(default_factory=OtherResults)

    @property
    def preset(self) -> str:
        """The preset that the study's settings began from."""
        return self.header.preset

    @property
    def rows(self) -> tuple[StudyRow, ...]:
        """The study's rows, in the order asked for."""
        return self.header.rows

    @property
    def seeds(self) -> tuple[int, ...]:
        """The study's seeds."""
        return self.header.seeds

    @property
    def config(self) -> StudyConfig:
        """All settings."""
        return self.header.config

    @property
    def corpus(self) -> CorpusInfo:
        """The corpus."""
        return self.header.corpus

    @property
    def provenance(self) -> Provenance:
        """Versions, machine and commit of the run."""
        return self.header.provenance

    @cached_property
    def by_name(self) -> Mapping[str, StudyRow]:
        """Rows by name."""
        return {row.name: row for row in self.rows}

    @property
    def tasks(self) -> list[str]:
        """Probing tasks that were asked for or done, in the paper's order."""
        done = {task for record in self.probes.values() for task in record.tasks}
        return [task for task in TASKS if task in self.config.probes.tasks or task in done]

    @property
    def baseline(self) -> float | None:
        """Masked L1 of the linear baseline, mean over seeds; None if it was not measured."""
        return fmean(it.neighbour_l1 for it in self.baselines.values()) if self.baselines else None

    @property
    def missing(self) -> tuple[JobId, ...]:
        """Jobs that have neither a result nor a failure."""
        known = {failure.job.fingerprint for failure in self.failures}
        known |= {record.fingerprint for record in self.records()}
        return tuple(job for job in self.header.jobs if job.fingerprint not in known)

    def records(self) -> Iterator[Record]:
        """Iterate over all results."""
        for found in (self.baselines, self.pretraining, self.probes, self.curves, self.timing):
            yield from found.values()

    def runs_of(self, row: str) -> list[PretrainingRecord]:
        """Return a row's pre-training runs, by seed."""
        return [run for (name, _), run in sorted(self.pretraining.items()) if name == row]

    def scores_of(self, row: str, task: str) -> list[TaskResult]:
        """Return a row's results in a task, by seed."""
        found = [record for (name, _), record in sorted(self.probes.items()) if name == row]
        return [record.tasks[task] for record in found if task in record.tasks]

    def seeds_of(self, row: str) -> tuple[int, ...]:
        """Return the seeds that a row is run with."""
        asked = {job.seed for job in self.header.jobs if job.row == row and job.kind == "probe"}
        return tuple(seed for seed in self.seeds if seed in asked)

    @property
    def finished_seeds(self) -> tuple[int, int]:
        """Fewest and most seeds that trained rows have results of, of the last kind there is; 0 where there is none."""
        trained = {row.name for row in self.rows if not (row.is_features or row.untrained)}
        finished = Counter(name for name, _ in self.probes or self.pretraining if name in trained)
        return (min(finished.values()), max(finished.values())) if finished else (0, 0)

    def test_utterances(self, task: str) -> tuple[int, int] | None:
        """Return the smallest and largest number of test utterances that accuracies in a task rest on."""
        counts = [it.tasks[task].utterances.get("test", 0) for it in self.probes.values() if task in it.tasks]
        return (min(counts), max(counts)) if counts else None

    @property
    def dev_utterances(self) -> tuple[int, int] | None:
        """The smallest and largest number of utterances that held-out losses rest on; runs once did not count them."""
        cuts = self.corpus.splits["dev"].cuts if "dev" in self.corpus.splits else 0
        counts = [run.held_out_utterances or cuts for run in self.pretraining.values()]
        return (min(counts), max(counts)) if counts and max(counts) else None

    def step_times(self) -> dict[str, float]:
        """Return times of a training step at the study's own size relative to ``qk``'s, by row that has one."""
        return {name: timing.own.ratio for name, timing in self.timing.items() if timing.own}

    def step_operations(self) -> dict[str, float]:
        """Return operations of a training step at the study's own size, in 10^12, by row that was timed there."""
        return {name: timing.own.flops / 1e12 for name, timing in self.timing.items() if timing.own}

    def failed(self, kind: Kind, row: str) -> str | None:
        """Return the error of a row's failed job of a kind; None if none failed."""
        return next((it.error for it in self.failures if (it.job.kind, it.job.row) == (kind, row)), None)

    def path(self, relative: str | Path) -> Path:
        """Return where a file or folder of a record is."""
        return self.folder / relative
