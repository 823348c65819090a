"""Records: the result of each kind of job, as a line of `results.jsonl` and as a typed value."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from inattention.probing.results import ProbeReport, TaskResult
from inattention.study.header import FORMAT, Provenance, job_to_dict
from inattention.study.planning.plain_data import from_plain
from inattention.study.planning.plan import Job, JobId, Kind
from inattention.study.planning.rows import StudyRow
from inattention.timing.config import TimingConfig
from inattention.timing.exponents import MixingExponent
from inattention.timing.report import Product, TimedRow


@dataclass(frozen=True, kw_only=True)
class Record:
    """Result of a job.

    Attributes:
        row: the row; None where the result serves all rows.
        seed: of the run; None where none matters.
        step: optimizer step at which a row was probed during training; None for all other results.
        fingerprint: hash of all that the result depends on.
        folder: the job's output, relative to the study's folder.
    """

    kind: ClassVar[Kind]
    row: StudyRow | None = None
    seed: int | None = None
    step: int | None = None
    fingerprint: str
    folder: str = ""

    @property
    def job(self) -> JobId:
        """Identity of the job."""
        return JobId(self.kind, self.row.name if self.row else "", self.seed, self.fingerprint, self.step)

    def to_dict(self) -> dict[str, Any]:
        """Return a line of the results file."""
        return {
            "format": FORMAT,
            **job_to_dict(self.job),
            "folder": self.folder,
            **self._content(),
        }

    def _content(self) -> dict[str, Any]:
        raise NotImplementedError

    @classmethod
    def from_dict(cls, line: Mapping[str, Any], common: Mapping[str, Any]) -> "Record":
        """Return the record that a line holds, given its common fields."""
        raise NotImplementedError

    @staticmethod
    def common(job: Job) -> dict[str, Any]:
        """Return the fields that all records have, from their job."""
        return {
            "row": job.row,
            "seed": job.id.seed,
            "step": job.id.step,
            "fingerprint": job.id.fingerprint,
            "folder": job.id.folder,
        }


@dataclass(frozen=True, kw_only=True)
class RowRecord(Record):
    """Result of a job for one row."""

    row: StudyRow


@dataclass(frozen=True)
class CurvePoint:
    """Held-out loss at one optimizer step of a run, with the time of training until then.

    Attributes:
        step: optimizer step.
        held_out_l1: masked L1 on dev.
        seconds: of training.
        cpu_seconds: of its process.
        utterances: number of dev utterances that it was measured on; 0 for all of them, as older versions did.
    """

    step: int
    held_out_l1: float
    seconds: float
    cpu_seconds: float = 0.0
    utterances: int = 0


@dataclass(frozen=True, kw_only=True)
class PretrainingRecord(RowRecord):
    """Result of a pre-training run. An untrained row's run made no step and has no curve.

    Attributes:
        steps: optimizer steps.
        parameters: of the encoder.
        attention_parameters: of its attention mechanisms.
        held_out_l1: masked L1 on dev.
        mean_l1: the same of predicting the mean.
        held_out_cells: number of masked bins that both are over.
        held_out_utterances: number of utterances that these are from; 0 if unknown.
        seconds: of training.
        cpu_seconds: of its process.
        skipped: utterances that could not be used, with the reason.
        curve: held-out loss along the way.
        maps: file of the learned maps before and after, relative to the study's folder.
        learning_rate: highest learning rate.
        precision: of its products, such as ``bf16-mixed``; None in results of versions that did not record it.
        provenance: what it was trained with.
    """

    kind: ClassVar[Kind] = "pretrain"
    seed: int
    steps: int
    parameters: int
    attention_parameters: int
    held_out_l1: float
    mean_l1: float
    held_out_cells: int = 0
    held_out_utterances: int = 0
    seconds: float
    cpu_seconds: float = 0.0
    skipped: Mapping[str, str] = field(default_factory=dict)
    curve: tuple[CurvePoint, ...] = ()
    maps: Path | None = None
    learning_rate: float | None = None
    precision: str | None = None
    provenance: Provenance = field(default_factory=Provenance)

    @property
    def curve_on_dev(self) -> tuple[CurvePoint, ...]:
        """The curve, shifted to end at the loss on all of dev where it was measured on some of its utterances."""
        last = self.curve[-1] if self.curve else None
        if last is None or not 0 < last.utterances < self.held_out_utterances or last.step != self.steps:
            return self.curve
        shift = self.held_out_l1 - last.held_out_l1
        return tuple(replace(point, held_out_l1=point.held_out_l1 + shift) for point in self.curve)

    def _content(self) -> dict[str, Any]:
        return {
            "outcome": {name: getattr(self, name) for name in _OUTCOME_OF_PRETRAINING},
            "curve": [vars(point) for point in self.curve],
            "maps": str(self.maps) if self.maps else None,
            "learning_rate": self.learning_rate,
            "precision": self.precision,
            "provenance": vars(self.provenance),
        }

    @classmethod
    def from_dict(cls, line: Mapping[str, Any], common: Mapping[str, Any]) -> "PretrainingRecord":
        """Return the record that a line holds, given its common fields."""
        outcome = {name: line["outcome"][name] for name in _OUTCOME_OF_PRETRAINING if name in line["outcome"]}
        rest = {
            name: line[name] for name in ("curve", "maps", "learning_rate", "precision", "provenance") if name in line
        }
        return from_plain(cls, {**outcome, **rest, **common})


_OUTCOME_OF_PRETRAINING = (
    "steps",
    "parameters",
    "attention_parameters",
    "held_out_l1",
    "mean_l1",
    "held_out_cells",
    "held_out_utterances",
    "seconds",
    "cpu_seconds",
    "skipped",
)


@dataclass(frozen=True, kw_only=True)
class _ProbedRecord(RowRecord):
    """Results of all probes of one model.

    Attributes:
        report: what the probes found.
    """

    seed: int
    report: ProbeReport

    @cached_property
    def tasks(self) -> Mapping[str, TaskResult]:
        """Results by task, with counts per test utterance (None in files older than them)."""
        return {result.task: result for result in self.report.tasks}

    @property
    def skipped(self) -> int:
        """Number of utterances whose audio could not be used."""
        return sum(map(len, self.report.skipped.values())) + sum(self.report.unnamed_skips.values())

    def _content(self) -> dict[str, Any]:
        return {"outcome": self.report.to_dict()}

    @classmethod
    def from_dict(cls, line: Mapping[str, Any], common: Mapping[str, Any]) -> "_ProbedRecord":
        """Return the record that a line holds, given its common fields."""
        return cls(report=ProbeReport.from_dict(line["outcome"]), **common)


@dataclass(frozen=True, kw_only=True)
class ProbeRecord(_ProbedRecord):
    """Results of all probes of one row and seed."""

    kind: ClassVar[Kind] = "probe"


@dataclass(frozen=True, kw_only=True)
class CurveRecord(_ProbedRecord):
    """Results of all probes of one row and seed during training.

    Attributes:
        step: optimizer step after which the encoder was probed.
    """

    kind: ClassVar[Kind] = "curve"
    step: int


@dataclass(frozen=True, kw_only=True)
class TimingRecord(RowRecord):
    """Times of one row.

    Attributes:
        timed: by length, batch size and mode.
        exponent: how its mixing grows with length, where that was measured.
        products: plain matrix products measured in the same rounds.
        machine: what the times were taken on.
        versions: packages that times depend on.
        config: what was timed.
        own: a training step at the study's own size, where that was measured.
    """

    kind: ClassVar[Kind] = "time"
    timed: tuple[TimedRow, ...]
    exponent: MixingExponent | None = None
    products: tuple[Product, ...] = ()
    machine: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    config: TimingConfig = field(default_factory=TimingConfig)
    own: TimedRow | None = None

    def _content(self) -> dict[str, Any]:
        return {
            "outcome": {
                "timed": [vars(it) for it in self.timed],
                "own": vars(self.own) if self.own else None,
                "exponent": vars(self.exponent) if self.exponent else None,
                "machine": dict(self.machine),
                "versions": dict(self.versions),
                "products": [vars(it) for it in self.products],
                "config": vars(self.config),
            }
        }

    @classmethod
    def from_dict(cls, line: Mapping[str, Any], common: Mapping[str, Any]) -> "TimingRecord":
        """Return the record that a line holds, given its common fields."""
        return from_plain(cls, {**line["outcome"], **common})


@dataclass(frozen=True, kw_only=True)
class BaselineRecord(Record):
    """Masked L1 of a linear regression on the neighbouring frames, which any encoder must beat."""

    kind: ClassVar[Kind] = "baseline"
    seed: int
    neighbour_l1: float

    def _content(self) -> dict[str, Any]:
        return {"outcome": {"neighbour_l1": self.neighbour_l1}}

    @classmethod
    def from_dict(cls, line: Mapping[str, Any], common: Mapping[str, Any]) -> "BaselineRecord":
        """Return the record that a line holds, given its common fields."""
        return from_plain(cls, {**line["outcome"], **common})


RECORDS: dict[Kind, type[Record]] = {
    it.kind: it for it in (BaselineRecord, PretrainingRecord, ProbeRecord, CurveRecord, TimingRecord)
}


@dataclass(frozen=True)
class Failure:
    """A job that failed, and how."""

    job: JobId
    error: str

    def to_dict(self) -> dict[str, Any]:
        """Return a line of the results file."""
        return {"format": FORMAT, "kind": "failure", "job": job_to_dict(self.job), "error": self.error}
