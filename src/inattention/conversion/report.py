"""The record of a conversion: errors of the maps, probes before and after, time saved; as JSON and as text."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from inattention.comparison import Difference, PairedBootstrap, UtteranceCounts, time_ratio
from inattention.conversion.derive import MapErrors
from inattention.probing.results import ProbeReport
from inattention.text import aligned
from inattention.timing.measure import Quartiles, quartiles, ratio_quartiles

UNTRAINED, TEACHER, CONVERTED, DISTILLED = "untrained", "teacher", "converted", "distilled"
PROBED = (UNTRAINED, TEACHER, CONVERTED, DISTILLED)
BEFORE, AFTER = "before", "after"

ByTask = dict[str, float | None]


@dataclass(frozen=True)
class HiddenStateError:
    """Mean absolute difference between the hidden states of student and teacher, before and after distillation."""

    before: float
    after: float


@dataclass(frozen=True, kw_only=True)
class ForwardTime:
    """Time of forward passes before and after the conversion, measured in the same rounds.

    Attributes:
        steps: number of frames of the input.
        seconds: quartiles over rounds, ``before`` and ``after``.
        ratio: quartiles of the ratio of after to before.
        interval: 95 % interval of the ratio; None for a single round.
        weight_bytes: size of parameters and buffers, ``before`` and ``after``.
        machine: description of the machine.
    """

    steps: int
    seconds: dict[str, Quartiles]
    ratio: Quartiles
    interval: tuple[float, float] | None = None
    weight_bytes: dict[str, int]
    machine: dict[str, str | int]

    @classmethod
    def measured(
        cls,
        before: Sequence[float],
        after: Sequence[float],
        *,
        steps: int,
        weight_bytes: dict[str, int],
        machine: dict[str, str | int],
    ) -> "ForwardTime":
        """Return the record of times in seconds, one per round."""
        interval = time_ratio(after, before) if len(after) > 1 else None
        return cls(
            steps=steps,
            seconds={BEFORE: quartiles(before), AFTER: quartiles(after)},
            ratio=ratio_quartiles(after, before),
            interval=(interval.low, interval.high) if interval else None,
            weight_bytes=weight_bytes,
            machine=machine,
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ForwardTime":
        """Read what `to_dict` returned, or an earlier version of it."""
        interval = data.get("interval")
        return cls(
            steps=data["steps"],
            seconds={name: Quartiles(**it) for name, it in data["seconds"].items()},
            ratio=Quartiles(**data["ratio"]),
            interval=(interval[0], interval[1]) if interval else None,
            weight_bytes=data["weight_bytes"],
            machine=data["machine"],
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            **vars(self),
            "seconds": {name: it._asdict() for name, it in self.seconds.items()},
            "ratio": self.ratio._asdict(),
            "interval": list(self.interval) if self.interval else None,
        }

    def __str__(self) -> str:
        """Return the times in one line."""
        before, after = (1e3 * self.seconds[name].median for name in (BEFORE, AFTER))
        low, high = self.interval or (self.ratio.low, self.ratio.high)
        kind = "95 % interval" if self.interval else "quartiles"
        return (
            f"forward pass of {self.steps} frames: {before:.2f} ms before, {after:.2f} ms after "
            f"(ratio {self.ratio.median:.2f}, {kind} {low:.2f} to {high:.2f})"
        )


@dataclass(frozen=True)
class ProbeComparison:
    """Probes of the untrained encoder, the teacher and the student before and after distillation.

    Attributes:
        reports: results of the probes, by encoder.
        kept: share of the accuracy gained by training that is left, by encoder and task; None where nothing was gained.
        differences: accuracy in excess of the teacher's, by encoder and task, paired over test utterances; empty where
            a record has no counts per utterance. Intervals cover other test utterances, not another training.
    """

    reports: dict[str, ProbeReport]
    kept: dict[str, ByTask]
    differences: dict[str, dict[str, Difference]] = field(default_factory=dict)

    @classmethod
    def of(cls, reports: dict[str, ProbeReport], *, draws: int) -> "ProbeComparison":
        """Compare probes.

        Args:
            reports: results of the probes, by encoder.
            draws: number of bootstrap draws.
        """
        accuracy = {name: _accuracies(report) for name, report in reports.items()}
        kept: dict[str, ByTask] = {
            name: {task: _share(accuracy, name, task) for task in accuracy[TEACHER]} for name in (CONVERTED, DISTILLED)
        }
        return cls(reports, kept, _differences(reports, draws))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ProbeComparison":
        """Read the part of ``conversion.json`` that concerns probes, of this version or an earlier one."""
        differences = {
            name: {
                task: Difference(it["estimate"], it["low"], it["high"], seeds=1, utterances=it["utterances"])
                for task, it in by_task.items()
            }
            for name, by_task in (data.get("differences_from_teacher") or {}).items()
        }
        reports = {name: ProbeReport.from_dict(it) for name, it in data["probes"].items()}
        return cls(reports, data["kept"], differences)

    def table(self) -> str:
        """Return accuracies, differences and shares as text."""
        cells = [["task", *PROBED, "distilled - teacher", "95 % interval", "kept at once", "kept after"]]
        for task, accuracy in _accuracies(self.reports[TEACHER]).items():
            others = {name: _accuracies(report)[task] for name, report in self.reports.items()}
            shares = [self.kept[name][task] if self._gained(task) else None for name in (CONVERTED, DISTILLED)]
            difference = self.differences.get(DISTILLED, {}).get(task)
            points = difference.in_points() if difference else None
            cells.append(
                [
                    task,
                    *(f"{others[name]:.4f}" for name in PROBED),
                    f"{100 * (others[DISTILLED] - accuracy):+.1f} points",
                    f"{points.low:+.1f} to {points.high:+.1f}" if points else "-",
                    *("-" if share is None else f"{share:.2f}" for share in shares),
                ]
            )
        note = "kept: share of the accuracy gained by training that is left; - where the gain cannot be told from 0"
        return f"{aligned(cells)}\n{note}"

    def _gained(self, task: str) -> bool:
        """Return whether the teacher is more accurate than the untrained encoder; True where that is unknown."""
        excess = self.differences.get(UNTRAINED, {}).get(task)
        return excess is None or excess.high < 0


@dataclass(frozen=True, kw_only=True)
class ConversionReport:
    """Outcome of a conversion, the content of ``conversion.json``.

    Attributes:
        input_independent_already: whether nothing was converted, because the attention does not depend on the input;
            the other fields but `provenance` are None then.
        maps: errors of the derived maps.
        hidden_state_error: before and after distillation.
        probes: probes before and after; None if there were none.
        time: forward passes before and after.
        parameters: number of ``all`` parameters and of those of the ``attention``, ``before`` and ``after``.
        provenance: versions, machine and commit.
    """

    input_independent_already: bool
    maps: MapErrors | None = None
    hidden_state_error: HiddenStateError | None = None
    probes: ProbeComparison | None = None
    time: ForwardTime | None = None
    parameters: dict[str, dict[str, int]] | None = None
    provenance: dict[str, Any]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ConversionReport":
        """Read what `to_dict` returned, or an earlier version of it."""
        if data["input_independent_already"]:
            return cls(input_independent_already=True, provenance=data["provenance"])
        return cls(
            input_independent_already=False,
            maps=MapErrors(**data["maps"]),
            hidden_state_error=HiddenStateError(**data["hidden_state_error"]),
            probes=ProbeComparison.from_dict(data) if data["probes"] else None,
            time=ForwardTime.from_dict(data["time"]),
            parameters=data["parameters"],
            provenance=data["provenance"],
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        if self.input_independent_already:
            return {"input_independent_already": True, "provenance": self.provenance}
        assert self.maps is not None
        assert self.hidden_state_error is not None
        assert self.time is not None
        probes = self.probes
        return {
            "input_independent_already": False,
            "maps": self.maps.to_dict(),
            "hidden_state_error": asdict(self.hidden_state_error),
            "probes": {name: it.to_dict() for name, it in probes.reports.items()} if probes else None,
            "kept": probes.kept if probes else None,
            "differences_from_teacher": _plain(probes.differences) if probes else None,
            "time": self.time.to_dict(),
            "parameters": self.parameters,
            "provenance": self.provenance,
        }

    def summary(self) -> str:
        """Return the outcome in a few lines."""
        if self.input_independent_already:
            return "the attention is input-independent already: nothing was converted, and no output changes"
        maps, error = self.maps, self.hidden_state_error
        assert maps is not None
        assert error is not None
        lines = [
            f"maps of {maps.steps} frames from {maps.utterances['fit']} utterances; error on held-out ones, "
            f"as a share of the variance of the values: mean map {maps.mean_error['mean']:.4f}, "
            f"least squares {maps.mean_error['least-squares']:.4f} (better in "
            f"{maps.heads_where_least_squares_is_better} of {maps.heads} heads), uniform "
            f"{maps.mean_error['uniform']:.4f}",
            f"hidden states: mean absolute difference {error.before:.4f} right after conversion, {error.after:.4f} "
            "after distillation",
        ]
        if self.probes:
            lines += ["", self.probes.table()]
        return "\n".join([*lines, "", str(self.time)])


def _differences(reports: Mapping[str, ProbeReport], draws: int) -> dict[str, dict[str, Difference]]:
    """Return the accuracy in excess of the teacher's, by encoder and task."""
    counts: dict[tuple[str, int], dict[str, UtteranceCounts]] = {}
    for name, report in reports.items():
        for task in report.tasks:
            if task.counts is not None:
                counts.setdefault((name, 0), {})[task.task] = task.counts
    if (TEACHER, 0) not in counts:
        return {}
    compare = PairedBootstrap(counts, deterministic=PROBED, draws=draws)
    return {
        name: {
            task: found
            for task in counts[TEACHER, 0]
            if (found := compare.difference([name], [TEACHER], [task])) is not None
        }
        for name, _ in counts
        if name != TEACHER
    }


def _accuracies(report: ProbeReport) -> dict[str, float]:
    return {task.task: task.accuracy for task in report.tasks}


def _share(accuracy: Mapping[str, Mapping[str, float]], name: str, task: str) -> float | None:
    untrained = accuracy[UNTRAINED][task]
    gained = accuracy[TEACHER][task] - untrained
    return (accuracy[name][task] - untrained) / gained if gained > 0 else None


def _plain(differences: Mapping[str, Mapping[str, Difference]]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            task: {
                "estimate": it.estimate,
                "low": it.low,
                "high": it.high,
                "utterances": it.utterances,
                "verdict": it.verdict,
            }
            for task, it in by_task.items()
        }
        for name, by_task in differences.items()
    }
