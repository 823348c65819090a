"""Probing one source on one corpus: features once, then every task, each with an interval on held-out speech."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Int
from torch import Tensor

from inattention.comparison import UtteranceCounts
from inattention.corpora.core.corpus import SPLITS, Corpus
from inattention.encoders.ours import Source
from inattention.probing.config import ProbeConfig, Task
from inattention.probing.features import ProbeError, Skip, SplitFeatures, extract, utterance_means
from inattention.probing.labels import Examples, phone_examples, speaker_examples, speakers_of
from inattention.probing.training import Table, accuracy_of, score, train
from inattention.seeding import derive_seed

if TYPE_CHECKING:
    from lhotse.cut import Cut

# Of the utterances that were left out, this many are named; all are counted.
SKIPS_NAMED = 50
# Numbers drawn at once for the bootstrap.
BOOTSTRAP_CHUNK = 4_000_000


@dataclass(frozen=True)
class TaskResult:
    """What one probe found.

    Attributes:
        task: its name.
        accuracy: share of test items it gets right or, for balanced speakers, the mean of that over speakers.
        low: where the 95 % interval begins (bootstrap over test utterances).
        high: where it ends.
        chance: accuracy on test of always saying the class that is most frequent in train.
        dev_accuracy: at the best epoch.
        best_epoch: counted from 1.
        epochs: passes that were made.
        classes: how many there are to tell apart.
        items: in each split: utterances, steps, or frames.
        utterances: in each split, those that these items belong to.
        unlabelled: in each split, items left out because no label covers their time.
        skipped: in each split, utterances left out of this task, and why.
        layer_weights: of the hidden states, where they are learned.
        counts: correct and all items of each test utterance; None in results older than them.
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
    counts: UtteranceCounts | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; only some of the skipped utterances are named, all are counted."""
        return {
            **vars(self),
            "skipped": _skips(self.skipped),
            "layer_weights": _list(self.layer_weights),
            "counts": asdict(self.counts) if self.counts else None,
        }


@dataclass(frozen=True)
class ProbeReport:
    """What all probes found in one source.

    Attributes:
        source: its name.
        step_seconds: time from one step to the next.
        width: features of a step.
        layer: `last` or `weighted`.
        utterances: in each split, those with features.
        steps: in each split.
        skipped: in each split, utterances whose audio could not be used, and why.
        unlabelled: in each split, how many utterances have neither a speaker nor phones, and so were not read.
        tasks: a result a task, in the order asked for.
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

    def __getitem__(self, task: Task) -> TaskResult:
        """Give a task's result by its name."""
        return {result.task: result for result in self.tasks}[task]

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data for JSON."""
        return {**vars(self), "skipped": _skips(self.skipped), "tasks": [task.to_dict() for task in self.tasks]}


def probe(source: Source, corpus: Corpus, config: ProbeConfig, progress: bool = True) -> ProbeReport:
    """Probe a source: train on train, choose the epoch on dev, score once on test.

    Features of each split are computed once and stand in a temporary folder meanwhile (4 bytes a number; the
    environment variable TMPDIR chooses where).

    Args:
        source: an encoder or the mel features.
        corpus: a prepared corpus.
        config: the settings; the same settings and source give the same numbers on the same machine.
        progress: show bars on stderr for what lasts.

    Raises:
        ProbeError: if a task has nothing to learn or to be scored on, an utterance stands in two splits, or the disk
            is full.
    """
    if not corpus.phones and any(task.startswith("phone") for task in config.tasks):
        raise ProbeError(f"{corpus.folder} has no phone labels: leave the phone tasks out of tasks")
    limits = {"train": config.labelled_utterances or None}
    unlabelled = dict.fromkeys(SPLITS, 0)

    kinds = {task.partition("-")[0] for task in config.tasks}

    def labelled(split: str, cuts: Iterable["Cut"]) -> Iterator["Cut"]:
        # Of few, each should have all labels that are asked for; of all, any label is of use.
        for cut in cuts:
            has = {
                "speaker": any(s.speaker is not None for s in cut.supervisions),
                "phone": any((s.alignment or {}).get("phone") for s in cut.supervisions),
            }
            if all(has[kind] for kind in kinds) if limits.get(split) else any(has.values()):
                yield cut
            elif not any(has.values()):
                unlabelled[split] += 1

    with tempfile.TemporaryDirectory(prefix="inattention-probe-") as folder:
        features = {
            split: extract(
                source,
                islice(labelled(split, corpus.cuts(split)), limits.get(split)),
                split=split,
                folder=Path(folder),
                all_layers=config.layer == "weighted",
                total=limits.get(split) or corpus.info["splits"].get(split, {}).get("cuts"),
                progress=progress,
            )
            for split in SPLITS
        }
        _check(features)
        return ProbeReport(
            source=source.name,
            step_seconds=source.step_seconds,
            width=source.width,
            layer=config.layer,
            utterances={split: len(f.ids) for split, f in features.items()},
            steps={split: int(f.offsets[-1]) for split, f in features.items()},
            skipped={split: f.skipped for split, f in features.items()},
            unlabelled=unlabelled,
            tasks=tuple(_run_tasks(source, corpus, features, config, progress)),
        )


def accuracy_interval(
    correct: Int[np.ndarray, " utterances"],
    items: Int[np.ndarray, " utterances"],
    *,
    draws: int,
    seed: int,
    classes: Int[np.ndarray, " utterances"] | None = None,
) -> tuple[float, float]:
    """Give a 95 % interval of an accuracy by drawing utterances with replacement, as many as there are.

    Utterances are drawn and not items, for the steps of an utterance are no independent trials. With the same seed
    the draws are the same for every source, so that differences may be compared draw by draw.

    Args:
        correct: items of each utterance that are right.
        items: of each utterance.
        draws: how many times.
        seed: of the draws.
        classes: the class of each utterance, if the accuracy is the mean over classes: those that a draw holds.
    """
    rng = np.random.default_rng(seed)
    accuracies = []
    at_once = max(1, BOOTSTRAP_CHUNK // len(items))
    groups = np.zeros(len(items), dtype=np.int64) if classes is None else classes
    member = np.eye(groups.max() + 1)[groups]
    for first in range(0, draws, at_once):
        drawn = rng.integers(len(items), size=(min(at_once, draws - first), len(items)))
        times = np.stack([np.bincount(draw, minlength=len(items)) for draw in drawn])
        right, all_items = times @ (correct[:, None] * member), times @ (items[:, None] * member)
        there = all_items > 0
        accuracies.append((right / np.maximum(all_items, 1)).sum(1, where=there) / there.sum(1))
    low, high = np.quantile(np.concatenate(accuracies), [0.025, 0.975])
    return float(low), float(high)


def _run_tasks(
    source: Source, corpus: Corpus, features: dict[str, SplitFeatures], config: ProbeConfig, progress: bool
) -> list[TaskResult]:
    """Run the tasks one after the other; labels and means are made once for those that share them."""
    steps = {split: f.values for split, f in features.items()}
    tables: dict[Task, dict[str, Table]] = {}
    classes: dict[Task, Sequence[str]] = {}
    if any(task.startswith("speaker") for task in config.tasks):
        speakers = {split: speakers_of(f, corpus.cuts(split)) for split, f in features.items()}
        known = sorted({speaker for speaker in speakers["train"] if speaker is not None})
        for task in ("speaker-utterance", "speaker-frame"):
            per_step = task == "speaker-frame"
            classes[task] = known
            tables[task] = {
                split: Table(
                    steps[split] if per_step else utterance_means(f),
                    speaker_examples(f, speakers[split], known, per_step=per_step),
                )
                for split, f in features.items()
            }
    if any(task.startswith("phone") for task in config.tasks):
        repeated = config.labels == "repeated"
        phones = {
            split: Table(steps[split], phone_examples(f, corpus.cuts(split), corpus.phones, source, repeated=repeated))
            for split, f in features.items()
        }
        for task in ("phone-1-hidden", "phone-2-hidden"):
            classes[task], tables[task] = corpus.phones, phones
    for task in config.tasks:
        for split, table in tables[task].items():
            if not len(table.examples.labels):
                raise ProbeError(_nothing(task, split, table.examples))
    return [
        _run_task(task, tables[task], len(classes[task]), features["test"].ids, config, progress)
        for task in config.tasks
    ]


def _run_task(
    task: Task, tables: dict[str, Table], classes: int, ids: Sequence[str], config: ProbeConfig, progress: bool
) -> TaskResult:
    trained = train(task, tables["train"], tables["dev"], classes, config, progress=progress)
    test = tables["test"].examples
    right, _ = score(trained.probe, tables["test"])
    balanced = config.balanced(task)
    correct, items = per_utterance(right, test)
    class_of = class_of_utterance(test) if balanced else None
    low, high = accuracy_interval(
        correct, items, draws=config.bootstrap_draws, seed=derive_seed(config.seed, "bootstrap"), classes=class_of
    )
    examples = {split: table.examples for split, table in tables.items()}
    mix = trained.probe.mix.logits
    return TaskResult(
        task=task,
        accuracy=accuracy_of(right.numpy(), test.labels, balanced=balanced),
        low=low,
        high=high,
        chance=accuracy_of(
            test.labels == np.bincount(examples["train"].labels).argmax(), test.labels, balanced=balanced
        ),
        dev_accuracy=trained.dev_accuracy,
        best_epoch=trained.best_epoch,
        epochs=trained.epochs,
        classes=classes,
        items={split: len(e.labels) for split, e in examples.items()},
        utterances={split: len(np.unique(e.utterances)) for split, e in examples.items()},
        unlabelled={split: e.unlabelled for split, e in examples.items()},
        skipped={split: e.skipped for split, e in examples.items()},
        layer_weights=tuple(mix.detach().softmax(0).tolist()) if len(mix) > 1 else None,
        counts=UtteranceCounts(
            utterances=tuple(ids[number] for number in np.unique(test.utterances)),
            correct=tuple(correct.tolist()),
            items=tuple(items.tolist()),
            classes=None if class_of is None else tuple(class_of.tolist()),
        ),
    )


def per_utterance(
    right: Bool[Tensor, " items"], examples: Examples
) -> tuple[Int[np.ndarray, " utterances"], Int[np.ndarray, " utterances"]]:
    """Count right items and items of each utterance that has any."""
    items = np.bincount(examples.utterances)
    correct = np.bincount(examples.utterances, weights=right.numpy()).astype(np.int64)
    return correct[items > 0], items[items > 0]


def class_of_utterance(examples: Examples) -> Int[np.ndarray, " utterances"]:
    """Give the class of each utterance that has items, all of which share it."""
    _, first = np.unique(examples.utterances, return_index=True)
    return examples.labels[first]


def _check(features: dict[str, SplitFeatures]) -> None:
    for split, f in features.items():
        if not f.ids:
            why = (
                f"; the first of {len(f.skipped)}: {f.skipped[0].utterance}: {f.skipped[0].reason}" if f.skipped else ""
            )
            raise ProbeError(f"no utterance of {split} can be used{why}")
    for one, other in combinations(features, 2):
        shared = set(features[one].ids) & set(features[other].ids)
        if shared:
            raise ProbeError(f"the utterance {min(shared)} stands in {one} and in {other}: prepare the corpus again")


def _nothing(task: Task, split: str, examples: Examples) -> str:
    skip = examples.skipped[0] if examples.skipped else None
    why = f"; the first: {skip.utterance}: {skip.reason}" if skip else ""
    return f"{task}: no utterance of {split} has a label that can be used{why}. Leave the task out of tasks"


def _skips(skipped: dict[str, tuple[Skip, ...]]) -> dict[str, Any]:
    return {
        split: {"count": len(skips), "named": [vars(skip) for skip in skips[:SKIPS_NAMED]]}
        for split, skips in skipped.items()
    }


def _list(values: tuple[float, ...] | None) -> list[float] | None:
    return None if values is None else list(values)
