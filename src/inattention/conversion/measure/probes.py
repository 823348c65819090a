"""Speaker and phone probes on each layer of a converted encoder and of its teacher."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from inattention.comparison import Difference, PairedBootstrap, UtteranceCounts
from inattention.conversion.measure.config import MeasureConfig
from inattention.conversion.measure.features import feature_source
from inattention.corpora.core.corpus import Corpus
from inattention.encoders.trained import TrainedModel
from inattention.probing.config import ProbeConfig, Task
from inattention.probing.results import TaskResult
from inattention.probing.run import probe_layers

SPEAKER: Task = "speaker-utterance"
PHONE: Task = "phone-1-hidden"
# Ten probes and more on little speech: larger batches and a smaller hidden layer than for a single encoder.
SETTINGS: dict[str, Any] = {
    "balanced_speakers": True,
    "epochs": 50,
    "utterance_patience": 10,
    "step_batch_size": 512,
    "hidden_width": 256,
}


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of a probe on test, with its 95 % interval over utterances."""

    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class LayerProbe:
    """One probe on one layer of both encoders.

    Attributes:
        task: name of the probe.
        layer: number of the layer, from 0; its output is probed.
        student: of the converted encoder.
        teacher: of its teacher.
        difference: student less teacher, paired over utterances.
        chance: accuracy of the class that is most frequent in training.
        utterances: number of test utterances.
    """

    task: str
    layer: int
    student: Accuracy
    teacher: Accuracy
    difference: Difference | None
    chance: float
    utterances: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        found = self.difference
        return {
            **{name: value for name, value in vars(self).items() if name != "difference"},
            "student": asdict(self.student),
            "teacher": asdict(self.teacher),
            "difference": None if found is None else [found.estimate, found.low, found.high],
        }


def encoder_probes(
    student: TrainedModel, teacher: TrainedModel, corpus: Corpus, config: MeasureConfig, *, progress: bool = True
) -> list[LayerProbe]:
    """Probe all layers of both encoders on the same utterances, with the same settings.

    The teacher hears what it was trained on, for Whisper 30 s; the student hears its own length unless only 30 s are
    measured.

    Args:
        student: the converted encoder.
        teacher: the encoder that it was converted from.
        corpus: a prepared corpus with speakers, and phones if they are to be probed.
        config: settings of the measurement.
        progress: show progress bars.

    Raises:
        ProbeError: if there is nothing to train or score on.
    """
    tasks = tasks_of(corpus)
    settings = ProbeConfig(tasks=tasks, device=student.model.device.type, **SETTINGS)
    sources = {
        "teacher": feature_source(teacher, "teacher", own_length=False),
        "student": feature_source(student, "student", own_length=config.lengths != "30"),
    }
    reports = {
        name: probe_layers(source, corpus, settings, utterances=config.probe_utterances, progress=progress)[1:]
        for name, source in sources.items()
    }
    return [
        compare_probes(task, layer, {name: found[layer][task] for name, found in reports.items()})
        for task in tasks
        for layer in range(len(reports["teacher"]))
    ]


def tasks_of(corpus: Corpus) -> tuple[Task, ...]:
    """Return the probes that a corpus has labels for."""
    return (SPEAKER, PHONE) if corpus.phones else (SPEAKER,)


def compare_probes(task: Task, layer: int, results: Mapping[str, TaskResult]) -> LayerProbe:
    """Compare the same probe of two encoders on the same utterances.

    Args:
        task: name of the probe.
        layer: number of the layer.
        results: of ``student`` and ``teacher``.
    """
    counts: dict[tuple[str, int], dict[str, UtteranceCounts]] = {
        (name, 0): {task: it.counts} for name, it in results.items() if it.counts is not None
    }
    paired = PairedBootstrap(counts, deterministic=("student", "teacher"))
    accuracies = {name: Accuracy(it.accuracy, it.low, it.high) for name, it in results.items()}
    teacher = results["teacher"]
    return LayerProbe(
        task,
        layer,
        accuracies["student"],
        accuracies["teacher"],
        paired.difference(["student"], ["teacher"], [task]),
        teacher.chance,
        teacher.utterances["test"],
    )
