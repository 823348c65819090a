"""Header of a study's results: what the study asks for, on which corpus, and what it was run with."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from inattention.study.planning.config import StudyConfig
from inattention.study.planning.plain_data import from_plain
from inattention.study.planning.plan import JobId, Plan, kind_named
from inattention.study.planning.rows import StudyRow

FORMAT = 2


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Versions, machine and commit that results were made with.

    Attributes:
        packages: versions by package; None for one that is not installed.
        python: version of the interpreter.
        platform: operating system and its version.
        machine: kind of processor.
        commit: of the source, where it was a git checkout.
        modified: whether files differed from that commit.
    """

    packages: Mapping[str, str | None] = field(default_factory=dict)
    python: str = ""
    platform: str = ""
    machine: str = ""
    commit: str | None = None
    modified: bool | None = None


@dataclass(frozen=True, kw_only=True)
class SplitInfo:
    """Size of one split of a corpus."""

    cuts: int = 0
    hours: float = 0.0
    speakers: int = 0


@dataclass(frozen=True, kw_only=True)
class BadItems:
    """Items that could not be used when the corpus was prepared: how many, and some of them with the reason."""

    count: int = 0
    items: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class CorpusInfo:
    """Description of a study's corpus.

    Attributes:
        name: kind of corpus, such as ``espeak``.
        key: hash of what it was prepared from.
        caveat: what a reader of results on it must know.
        splits: size by split.
        phones: phone inventory; empty without phone labels.
        speakers: speakers to be told apart.
        bad_items: items that could not be used.
        config: settings of its preparation.
        everything: all of `corpus.json`.
    """

    name: str
    key: str = ""
    caveat: str = ""
    splits: Mapping[str, SplitInfo] = field(default_factory=dict)
    phones: tuple[str, ...] = ()
    speakers: tuple[str, ...] = ()
    bad_items: BadItems = field(default_factory=BadItems)
    config: Mapping[str, Any] = field(default_factory=dict)
    everything: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "CorpusInfo":
        """Return the description that a `corpus.json` holds."""
        splits = {name: from_plain(SplitInfo, split) for name, split in data.get("splits", {}).items()}
        return from_plain(cls, {**data, "splits": splits, "everything": data})


@dataclass(frozen=True, kw_only=True)
class StudyHeader:
    """Settings of a study and the jobs that they ask for.

    Attributes:
        preset: the preset that its settings began from; empty without one.
        rows: its rows, in order.
        seeds: its seeds.
        config: all settings.
        corpus: the corpus.
        provenance: what the study was run with.
        jobs: the jobs whose results are the study's.
    """

    preset: str
    rows: tuple[StudyRow, ...]
    seeds: tuple[int, ...]
    config: StudyConfig
    corpus: CorpusInfo
    provenance: Provenance
    jobs: tuple[JobId, ...]

    @classmethod
    def of(cls, plan: Plan, preset: str, provenance: Provenance) -> "StudyHeader":
        """Return the header of a plan."""
        return cls(
            preset=preset,
            rows=plan.rows,
            seeds=plan.config.seeds,
            config=plan.config,
            corpus=CorpusInfo.from_dict(plan.corpus.info),
            provenance=provenance,
            jobs=tuple(job.id for job in plan.jobs),
        )

    def asks_the_same_as(self, other: "StudyHeader") -> bool:
        """Return whether two headers ask for the same, whatever version wrote them."""
        return all(getattr(self, it.name) == getattr(other, it.name) for it in fields(self) if it.name != "provenance")

    def to_dict(self) -> dict[str, Any]:
        """Return a line of the results file."""
        return {
            "format": FORMAT,
            "kind": "study",
            "preset": self.preset,
            "rows": [row.name for row in self.rows],
            "seeds": list(self.seeds),
            "config": self.config.to_dict(),
            "corpus": dict(self.corpus.everything),
            "provenance": vars(self.provenance),
            "jobs": [job_to_dict(job) for job in self.jobs],
        }


def header_from_dict(line: Mapping[str, Any], rows: Mapping[str, StudyRow]) -> StudyHeader:
    """Return the header that a line of the results file holds.

    Args:
        line: the line.
        rows: parsed rows, by every name that the line has.
    """
    jobs = tuple(job_from_dict(job) for job in line["jobs"])
    return StudyHeader(rows=tuple(rows[name] for name in line["rows"]), jobs=jobs, **header_settings(line))


def header_settings(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return a header's fields, as far as all formats of the results file have them in common."""
    return {
        "preset": str(line["preset"]),
        "seeds": from_plain(tuple[int, ...], line["seeds"]),
        "config": StudyConfig.from_dict(line["config"]),
        "corpus": CorpusInfo.from_dict(line["corpus"]),
        "provenance": from_plain(Provenance, line["provenance"]),
    }


def job_from_dict(data: Mapping[str, Any]) -> JobId:
    """Return the identity of a job from plain data."""
    seed = None if data["seed"] is None else int(data["seed"])
    step = int(data["step"]) if data.get("step") is not None else None
    return JobId(kind_named(data["kind"]), data["row"] or "", seed, str(data["fingerprint"]), step)


def job_to_dict(job: JobId) -> dict[str, Any]:
    """Return a job's identity as plain data."""
    step = {} if job.step is None else {"step": job.step}
    return {"kind": job.kind_on_disk, "row": job.row or None, "seed": job.seed, **step, "fingerprint": job.fingerprint}
