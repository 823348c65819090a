"""Results of probing: one `TaskResult` per task, collected in a `ProbeReport`, and their JSON."""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

from inattention.comparison import UtteranceCounts
from inattention.probing.config import Task
from inattention.probing.features import Skip

# Skipped utterances that JSON names in each split; all are counted.
SKIPS_NAMED = 50


@dataclass(frozen=True)
class TaskResult:
    """Result of one probe.

    Attributes:
        task: name of the task.
        accuracy: share of correct test items or, for balanced speakers, the mean of that share over speakers.
        low: lower end of the 95 % interval (bootstrap over test utterances).
        high: upper end of it.
        chance: accuracy on test of predicting the class that is most frequent in train.
        dev_accuracy: accuracy on dev at the best epoch.
        best_epoch: counted from 1.
        epochs: number of epochs trained.
        classes: number of classes.
        items: number of items in each split: utterances, frames, or stacked log-mel frames.
        utterances: number of utterances with items, in each split.
        unlabelled: number of items without a label at their time, in each split.
        skipped: utterances that the task cannot use, in each split, with reasons.
        layer_weights: weights of the hidden states, where they are learned.
        counts: correct and all items of each test utterance; None in results that were saved before they existed.
        unnamed_skips: number of further skipped utterances in each split, in results read from JSON.
    """

    task: Task
    accuracy: float
    low: float
    high: float
    chance: float
    dev_accuracy: float
    best_epoch: int
    epochs: int
    classes: int
    items: dict[str, int]
    utterances: dict[str, int]
    unlabelled: dict[str, int]
    skipped: dict[str, tuple[Skip, ...]]
    layer_weights: tuple[float, ...] | None
    counts: UtteranceCounts | None = None
    unnamed_skips: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON data."""
        data = {name: value for name, value in vars(self).items() if name != "unnamed_skips"}
        return data | {
            "skipped": _skips_to_dict(self.skipped, self.unnamed_skips),
            "layer_weights": None if self.layer_weights is None else list(self.layer_weights),
            "counts": None if self.counts is None else asdict(self.counts),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TaskResult":
        """Read a result from JSON data, of this version or an earlier one.

        Raises:
            ValueError: if a field is missing or the counts are inconsistent.
        """
        settings = _present_fields(cls, data, f"result of {data.get('task', 'a task')}")
        skipped, unnamed = _skips_from_dict(settings["skipped"])
        weights, counts = settings["layer_weights"], settings.get("counts")
        settings |= {
            "skipped": skipped,
            "unnamed_skips": unnamed,
            "layer_weights": None if weights is None else tuple(weights),
            "counts": None if counts is None else _counts_from_dict(counts),
        }
        return cls(**settings)


@dataclass(frozen=True)
class ProbeReport:
    """Results of all probes on one source.

    Attributes:
        source: name of the source.
        step_seconds: time from one frame to the next.
        width: size of a frame's features.
        layer: `last`, `weighted`, or the number of a hidden state.
        utterances: number of utterances with features, in each split.
        steps: number of frames, in each split.
        skipped: utterances whose audio cannot be used, in each split, with reasons.
        unlabelled: number of utterances with neither a speaker nor phones, in each split; they are not read.
        tasks: one result per task, in the order of `ProbeConfig.tasks`.
        unnamed_skips: number of further skipped utterances in each split, in reports read from JSON.
    """

    source: str
    step_seconds: float
    width: int
    layer: str
    utterances: dict[str, int]
    steps: dict[str, int]
    skipped: dict[str, tuple[Skip, ...]]
    unlabelled: dict[str, int]
    tasks: tuple[TaskResult, ...]
    unnamed_skips: dict[str, int] = field(default_factory=dict)

    def __getitem__(self, task: Task) -> TaskResult:
        """Return the result of a task."""
        return {result.task: result for result in self.tasks}[task]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON data; of the skipped utterances, the first `SKIPS_NAMED` are named."""
        data = {name: value for name, value in vars(self).items() if name != "unnamed_skips"}
        return data | {
            "skipped": _skips_to_dict(self.skipped, self.unnamed_skips),
            "tasks": [task.to_dict() for task in self.tasks],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ProbeReport":
        """Read a report from JSON data, of this version or an earlier one.

        Raises:
            ValueError: if a field is missing or the counts of a task are inconsistent.
        """
        settings = _present_fields(cls, {"unlabelled": {}, **data}, "report")
        skipped, unnamed = _skips_from_dict(settings["skipped"])
        tasks = tuple(TaskResult.from_dict(task) for task in settings["tasks"])
        settings |= {"skipped": skipped, "unnamed_skips": unnamed, "tasks": tasks}
        return cls(**settings)


def _present_fields(of: type[TaskResult] | type[ProbeReport], data: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return the values of a dataclass's fields; raise if one without a default is missing."""
    required = [it.name for it in fields(of) if it.default is MISSING and it.default_factory is MISSING]
    missing = [name for name in required if name not in data]
    if missing:
        raise ValueError(f"the {what} is incomplete: {', '.join(missing)} is missing")
    return {it.name: data[it.name] for it in fields(of) if it.name in data}


def _counts_from_dict(data: Mapping[str, Any]) -> UtteranceCounts:
    missing = [name for name in ("utterances", "correct", "items") if name not in data]
    if missing:
        raise ValueError(f"the counts of test utterances are incomplete: {', '.join(missing)} is missing")
    classes = data.get("classes")
    return UtteranceCounts(
        utterances=tuple(data["utterances"]),
        correct=tuple(data["correct"]),
        items=tuple(data["items"]),
        classes=None if classes is None else tuple(classes),
    )


def _skips_to_dict(skipped: Mapping[str, tuple[Skip, ...]], unnamed: Mapping[str, int]) -> dict[str, Any]:
    return {
        split: {
            "count": len(skips) + unnamed.get(split, 0),
            "named": [asdict(skip) for skip in skips[:SKIPS_NAMED]],
        }
        for split, skips in skipped.items()
    }


def _skips_from_dict(data: Mapping[str, Any]) -> tuple[dict[str, tuple[Skip, ...]], dict[str, int]]:
    """Return the named utterances of each split, and how many more there are where not all are named."""
    named = {split: tuple(Skip(**skip) for skip in skips["named"]) for split, skips in data.items()}
    unnamed = {split: skips["count"] - len(named[split]) for split, skips in data.items()}
    return named, {split: count for split, count in unnamed.items() if count}
