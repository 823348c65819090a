"""Probing one source on one corpus: features are computed once, then every task is trained and scored."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Bool, Int
from torch import Tensor

from inattention.comparison import UtteranceCounts
from inattention.corpora.core.corpus import SPLITS, Corpus
from inattention.encoders.base import FeatureSource
from inattention.probing.config import ProbeConfig, Task
from inattention.probing.features import ProbeError, SplitFeatures, extract, utterance_means
from inattention.probing.intervals import accuracy_interval
from inattention.probing.labels import Examples, phone_examples, speaker_examples, speakers_of
from inattention.probing.results import ProbeReport, TaskResult
from inattention.probing.training import LabelledFeatures, accuracy_of, score, train
from inattention.seeding import derive_seed

if TYPE_CHECKING:
    from lhotse.cut import Cut


def probe(
    source: FeatureSource, corpus: Corpus, config: ProbeConfig, progress: bool = True, *, utterances: int = 0
) -> ProbeReport:
    """Probe a source: train on train, choose the epoch on dev, score once on test.

    The features of each split are computed once and kept in a temporary folder meanwhile (4 bytes per number; the
    environment variable TMPDIR chooses where).

    Args:
        source: an encoder or the mel features.
        corpus: a prepared corpus.
        config: the settings; the same settings and source give the same numbers on the same machine.
        progress: show progress bars on stderr for what takes long.
        utterances: number of utterances of each split, the first that have all labels; 0 for those of the settings.

    Raises:
        ProbeError: if a task has nothing to train or score on, an utterance is in two splits, or the disk is full.
    """
    if isinstance(config.layer, int) and config.layer > source.layers:
        raise ProbeError(f"there is no layer {config.layer}: {source.name} has hidden states 0 to {source.layers}")
    selections = _selections(corpus, config, utterances)
    with tempfile.TemporaryDirectory(prefix="inattention-probe-") as folder:
        features = _extract(source, selections, Path(folder), config.layer, progress)
        return _report(source, corpus, config, selections, features, str(config.layer), progress)


def probe_layers(
    source: FeatureSource, corpus: Corpus, config: ProbeConfig, *, utterances: int = 0, progress: bool = True
) -> list[ProbeReport]:
    """Probe each hidden state of a source on its own, as `probe` does the last one.

    Args:
        source: an encoder.
        corpus: a prepared corpus.
        config: the settings, except for `layer`.
        utterances: number of utterances of each split, the first that have all labels; 0 for those of the settings.
        progress: show progress bars on stderr for what takes long.

    Returns:
        One report for each hidden state, the embedded input first; its `layer` is the number of the state.

    Raises:
        ProbeError: as `probe`.
    """
    selections = _selections(corpus, config, utterances)
    with tempfile.TemporaryDirectory(prefix="inattention-probe-") as folder:
        features = _extract(source, selections, Path(folder), "weighted", progress)
        reports = []
        for layer in range(source.layers + 1):
            states = {split: replace(f, values=f.values[:, layer : layer + 1]) for split, f in features.items()}
            reports.append(_report(source, corpus, config, selections, states, str(layer), progress))
        return reports


def _selections(corpus: Corpus, config: ProbeConfig, utterances: int = 0) -> dict[str, "_Selection"]:
    if not corpus.phones and any(task.startswith("phone") for task in config.tasks):
        raise ProbeError(f"{corpus.folder} has no phone labels: remove the phone tasks from tasks")
    return {split: _Selection(corpus, split, config, utterances) for split in SPLITS}


def _extract(
    source: FeatureSource,
    selections: dict[str, "_Selection"],
    folder: Path,
    layer: Literal["last", "weighted"] | int,
    progress: bool,
) -> dict[str, SplitFeatures]:
    features = {
        split: extract(
            source,
            selection,
            split=split,
            folder=folder,
            layer=layer,
            total=selection.total,
            progress=progress,
        )
        for split, selection in selections.items()
    }
    _check(features)
    return features


def _report(
    source: FeatureSource,
    corpus: Corpus,
    config: ProbeConfig,
    selections: dict[str, "_Selection"],
    features: dict[str, SplitFeatures],
    layer: str,
    progress: bool,
) -> ProbeReport:
    return ProbeReport(
        source=source.name,
        step_seconds=source.step_seconds,
        width=source.width,
        layer=layer,
        utterances={split: len(f.ids) for split, f in features.items()},
        steps={split: int(f.offsets[-1]) for split, f in features.items()},
        skipped={split: f.skipped for split, f in features.items()},
        unlabelled={split: selection.unlabelled for split, selection in selections.items()},
        tasks=tuple(_run_tasks(source, corpus, features, config, progress)),
    )


@dataclass
class _Selection:
    """The utterances of a split that probes can use, read lazily.

    Attributes:
        corpus: a prepared corpus.
        split: name of the split.
        config: the settings.
        utterances: number of utterances to use of any split; 0 for those of the settings.
        unlabelled: utterances seen so far that have neither a speaker nor phones.
    """

    corpus: Corpus
    split: str
    config: ProbeConfig
    utterances: int = 0
    unlabelled: int = field(default=0, init=False)

    @property
    def limit(self) -> int | None:
        """Number of utterances to use; None for all."""
        wanted = self.config.labelled_utterances if self.split == "train" else 0
        return self.utterances or wanted or None

    @property
    def total(self) -> int | None:
        """Number of utterances to expect; None if the corpus does not say."""
        return self.limit or self.corpus.info["splits"].get(self.split, {}).get("cuts")

    def __iter__(self) -> Iterator["Cut"]:
        return islice(self._labelled(), self.limit)

    def _labelled(self) -> Iterator["Cut"]:
        kinds = {task.partition("-")[0] for task in self.config.tasks}
        for cut in self.corpus.cuts(self.split):  # ty: ignore[not-iterable]
            has = {
                "speaker": any(s.speaker is not None for s in cut.supervisions),
                "phone": any((s.alignment or {}).get("phone") for s in cut.supervisions),
            }
            # A limited number of utterances should each serve all tasks; otherwise any label is of use.
            if all(has[kind] for kind in kinds) if self.limit else any(has.values()):
                yield cut
            elif not any(has.values()):
                self.unlabelled += 1


@dataclass(frozen=True)
class _TaskData:
    """Features and labels of one task in each split, and its number of classes."""

    splits: dict[str, LabelledFeatures]
    classes: int


def _run_tasks(
    source: FeatureSource, corpus: Corpus, features: dict[str, SplitFeatures], config: ProbeConfig, progress: bool
) -> list[TaskResult]:
    """Run the tasks in order; labels and means are computed once for the tasks that share them."""
    data: dict[Task, _TaskData] = {}
    if any(task.startswith("speaker") for task in config.tasks):
        data |= _speaker_data(corpus, features)
    if any(task.startswith("phone") for task in config.tasks):
        data |= _phone_data(source, corpus, features, repeated=config.labels == "repeated")
    for task in config.tasks:
        for split, labelled in data[task].splits.items():
            if not len(labelled.examples.labels):
                raise ProbeError(_nothing(task, split, labelled.examples))
    return [_run_task(task, data[task], features["test"].ids, config, progress) for task in config.tasks]


def _speaker_data(corpus: Corpus, features: dict[str, SplitFeatures]) -> dict[Task, _TaskData]:
    speakers = {split: speakers_of(f, corpus.cuts(split)) for split, f in features.items()}
    known = sorted({speaker for speaker in speakers["train"] if speaker is not None})

    def examples(split: str, per_frame: bool) -> Examples:
        return speaker_examples(features[split], speakers[split], known, per_frame=per_frame)

    utterances = {s: LabelledFeatures(utterance_means(f), examples(s, False)) for s, f in features.items()}
    frames = {s: LabelledFeatures(f.values, examples(s, True)) for s, f in features.items()}
    return {
        "speaker-utterance": _TaskData(utterances, len(known)),
        "speaker-frame": _TaskData(frames, len(known)),
    }


def _phone_data(
    source: FeatureSource, corpus: Corpus, features: dict[str, SplitFeatures], *, repeated: bool
) -> dict[Task, _TaskData]:
    splits = {
        split: LabelledFeatures(
            f.values, phone_examples(f, corpus.cuts(split), corpus.phones, source, repeated=repeated)
        )
        for split, f in features.items()
    }
    data = _TaskData(splits, len(corpus.phones))
    return {"phone-1-hidden": data, "phone-2-hidden": data}


def _run_task(task: Task, data: _TaskData, ids: Sequence[str], config: ProbeConfig, progress: bool) -> TaskResult:
    """Train a task's probe, and score it on test."""
    trained = train(task, data.splits["train"], data.splits["dev"], data.classes, config, progress=progress)
    examples = {split: labelled.examples for split, labelled in data.splits.items()}
    test, balanced = examples["test"], config.balanced(task)
    right, _ = score(trained.probe, data.splits["test"])
    correct, items = per_utterance(right, test)
    class_of = class_of_utterance(test) if balanced else None
    low, high = accuracy_interval(
        correct, items, draws=config.bootstrap_draws, seed=derive_seed(config.seed, "bootstrap"), classes=class_of
    )
    most_frequent = np.bincount(examples["train"].labels).argmax()
    mix = trained.probe.mix.logits
    return TaskResult(
        task=task,
        accuracy=accuracy_of(right.numpy(), test.labels, balanced=balanced),
        low=low,
        high=high,
        chance=accuracy_of(most_frequent == test.labels, test.labels, balanced=balanced),
        dev_accuracy=trained.dev_accuracy,
        best_epoch=trained.best_epoch,
        epochs=trained.epochs,
        classes=data.classes,
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
    """Return the numbers of correct items and of all items of each utterance that has items."""
    items = np.bincount(examples.utterances)
    correct = np.bincount(examples.utterances, weights=right.numpy()).astype(np.int64)
    return correct[items > 0], items[items > 0]


def class_of_utterance(examples: Examples) -> Int[np.ndarray, " utterances"]:
    """Return the class of each utterance that has items; all items of an utterance share it."""
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
            raise ProbeError(f"the utterance {min(shared)} is in {one} and in {other}: prepare the corpus again")


def _nothing(task: Task, split: str, examples: Examples) -> str:
    skip = examples.skipped[0] if examples.skipped else None
    why = f"; the first: {skip.utterance}: {skip.reason}" if skip else ""
    return f"{task}: no utterance of {split} has a label that can be used{why}. Remove the task from tasks"
