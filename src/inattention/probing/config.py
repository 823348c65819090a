"""Settings of the probes, saved with their results."""

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

Task = Literal["speaker-utterance", "speaker-frame", "phone-1-hidden", "phone-2-hidden"]
TASKS: tuple[Task, ...] = get_args(Task)


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """Settings of the probes of frozen features. Each task is trained on train, stopped by dev and scored once on test.

    Attributes:
        tasks: probes to train.
        layer: `last` probes the last layer, a number that hidden state (0 is the embedded input, 1 the first layer);
            `weighted` probes a sum of all hidden states, whose weights (a softmax) are learned with the probe.
        labels: `center` labels each frame with the phone at its centre; `repeated` is the paper's form, in which a
            frame counts once for each log-mel frame stacked in it, with the phone at the centre of that one.
        labelled_utterances: number of training utterances, the first of the train split (whose order is mixed) that
            have every label that the tasks need; 0 for all that have any label.
        balanced_speakers: give all speakers equal weight in the training loss, and report the mean accuracy over
            speakers. For corpora in which one speaker has most of the utterances.
        epochs: maximum number of epochs.
        patience: epochs without improvement of accuracy or loss on dev after which a probe of frames stops.
        utterance_patience: the same for the probe of utterances, whose epochs are short.
        learning_rate: of Adam, constant.
        averaging: decay per batch of the running average of the weights, which is what is scored; 0 scores the weights
            themselves, as the paper did.
        step_batch_size: frames per batch.
        utterance_batch_size: utterances per batch of the probe of utterances.
        hidden_width: of the hidden layers.
        seed: of the initial weights, the order of batches and the bootstrap.
        bootstrap_draws: bootstrap draws of the test utterances for each interval.
        device: where probes are trained; `auto` uses a GPU if there is one.

    >>> ProbeConfig(tasks=("phone-1-hidden",)).hidden_width
    768
    """

    tasks: tuple[Task, ...] = TASKS
    layer: Literal["last", "weighted"] | int = "last"
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
        _check_layer(self.layer)
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
        """Return whether all classes of a task have equal weight."""
        return self.balanced_speakers and task.startswith("speaker")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON data."""
        return {**asdict(self), "tasks": list(self.tasks)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ProbeConfig":
        """Read settings from JSON data.

        Raises:
            ValueError: if a setting does not exist or its value is invalid.
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


def _check_layer(layer: str | int) -> None:
    if not isinstance(layer, int):
        _check_choice("layer", layer, ("last", "weighted"))
    elif layer < 0:
        raise ValueError(f"layer must be last, weighted, or a number from 0, not {layer}")
