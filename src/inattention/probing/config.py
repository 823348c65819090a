"""Every number of the probes, as one record that is saved beside their results."""

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

Task = Literal["speaker-utterance", "speaker-frame", "phone-1-hidden", "phone-2-hidden"]
TASKS: tuple[Task, ...] = get_args(Task)


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """How frozen features are probed. Each task is trained on train, stopped by dev and scored once on test.

    Attributes:
        tasks: which probes to train.
        layer: `last` probes the last layer; `weighted` probes a sum of all hidden states, whose weights (a softmax)
            are learned with the probe.
        labels: `center` gives each step the phone at its centre; `repeated` is the paper's form, in which a step
            stands for each frame stacked in it, with the phone at that frame's centre.
        labelled_utterances: of the train split that probes learn from, the first so many (their order is mixed) that
            have every label that the tasks ask for; 0 for all that have any. Few labels ask more of the features.
        balanced_speakers: speakers count alike, however much each says: mistakes are weighted so in training, and the
            accuracy is the mean over speakers. For corpora in which one speaker has most of the lines.
        epochs: the most passes over the train split.
        patience: passes in which neither the accuracy nor the loss on dev gets better, after which a probe of steps
            stops.
        utterance_patience: the same for the probe of utterances, whose passes are short.
        learning_rate: of Adam, constant.
        averaging: what is scored is the running average of the weights, with this decay a batch; 0 takes the weights as
            they are, as the study did.
        step_batch_size: steps in a batch of the probes of steps.
        utterance_batch_size: utterances in a batch of the probe of utterances.
        hidden_width: of the hidden layers.
        seed: of the probes' starts, the order of batches and the bootstrap.
        bootstrap_draws: resamplings of the test utterances behind each interval.
        device: where probes are trained; `auto` takes a GPU if there is one.

    >>> ProbeConfig(tasks=("phone-1-hidden",)).hidden_width
    768
    """

    tasks: tuple[Task, ...] = TASKS
    layer: Literal["last", "weighted"] = "last"
    labels: Literal["center", "repeated"] = "center"
    labelled_utterances: int = 0
    balanced_speakers: bool = False
    epochs: int = 200
    patience: int = 2
    utterance_patience: int = 20
    learning_rate: float = 1e-3
    averaging: float = 0.98
    step_batch_size: int = 128
    utterance_batch_size: int = 16
    hidden_width: int = 768
    seed: int = 0
    bootstrap_draws: int = 1000
    device: str = "auto"

    def __post_init__(self) -> None:
        if not self.tasks:
            raise ValueError(f"tasks must name at least one of {', '.join(TASKS)}")
        for task in self.tasks:
            _check_choice("tasks", task, TASKS)
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError(f"tasks names a task twice: {', '.join(self.tasks)}")
        _check_choice("layer", self.layer, ("last", "weighted"))
        _check_choice("labels", self.labels, ("center", "repeated"))
        for name in (
            "epochs",
            "patience",
            "utterance_patience",
            "step_batch_size",
            "utterance_batch_size",
            "hidden_width",
            "bootstrap_draws",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.labelled_utterances < 0:
            raise ValueError(f"labelled_utterances must not be negative, as {self.labelled_utterances} is")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        if not 0 <= self.averaging < 1:
            raise ValueError(f"averaging must lie in [0, 1), not {self.averaging}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, as {self.seed} is")

    def balanced(self, task: Task) -> bool:
        """Whether all classes of a task count alike."""
        return self.balanced_speakers and task.startswith("speaker")

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data for JSON."""
        return {**asdict(self), "tasks": list(self.tasks)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ProbeConfig":
        """Read it from plain data, in which tasks may be a list.

        Raises:
            ValueError: for a setting that does not exist, or a value that cannot be.
        """
        for name in data:
            _check_choice("probe settings", name, tuple(field.name for field in fields(cls)))
        settings = dict(data)
        settings["tasks"] = tuple(data.get("tasks", TASKS))
        return cls(**settings)


def _check_choice(setting: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        close = difflib.get_close_matches(str(value), choices, n=1)
        perhaps = f"; perhaps {close[0]!r}?" if close else ";"
        raise ValueError(f"{setting}: there is no {value!r}{perhaps} Known: {', '.join(choices)}")
