"""The interface between the distillation and a family of encoders."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inattention.conversion.trained.config import Precision
from inattention.conversion.trained.speech import Example
from inattention.conversion.trained.teacher import TeacherOutputs

INNER_WEIGHT = 0.5  # of each inner layer's error, relative to that of the encoder's output


@dataclass(frozen=True)
class Loss:
    """Loss of one example.

    Attributes:
        total: what is minimised.
        parts: its parts, for progress and logs.
    """

    total: Float[Tensor, ""]
    parts: dict[str, float] = field(default_factory=dict)


@dataclass
class RelativeError:
    """Squared error of the encoder's output relative to the teacher's variance, summed over examples.

    Attributes:
        error: squared differences, by layer; the last layer is the encoder's output.
        variance: squared deviations of the teacher's output from its mean over the frames of the example.
    """

    error: list[float] = field(default_factory=list)
    variance: list[float] = field(default_factory=list)

    def add(self, student: Float[Tensor, "layers time width"], teacher: Float[Tensor, "layers time width"]) -> None:
        """Add an example."""
        teacher = teacher.float()
        error = (student.float() - teacher).square().sum((1, 2)).tolist()
        variance = (teacher - teacher.mean(1, keepdim=True)).square().sum((1, 2)).tolist()
        self.error = [a + b for a, b in zip(self.error or [0.0] * len(error), error, strict=True)]
        self.variance = [a + b for a, b in zip(self.variance or [0.0] * len(error), variance, strict=True)]

    @property
    def layers(self) -> list[float]:
        """Relative error of each layer."""
        return [error / max(variance, 1e-30) for error, variance in zip(self.error, self.variance, strict=True)]

    @property
    def output(self) -> float:
        """Relative error of the encoder's output."""
        return self.layers[-1]


@runtime_checkable
class Task(Protocol):
    """A family of encoders, as the distillation sees it."""

    def teacher_outputs(self, example: Example) -> TeacherOutputs:
        """Run the teacher."""
        ...

    def hidden(self, student: nn.Module, example: Example, frames: int) -> Float[Tensor, "layers time width"]:
        """Run the student's encoder at its own length, and return the output of each layer."""
        ...

    def loss(self, student: nn.Module, example: Example, outputs: TeacherOutputs, *, decoder: bool = True) -> Loss:
        """Return the loss of a student: of its hidden states, and of its decoder if there is one and it is wanted."""
        ...

    def parameters(self, student: nn.Module) -> dict[str, list[nn.Parameter]]:
        """Return what is trained, by kind: ``weights``, ``attention`` (the mechanisms' own), ``decoder``."""
        ...


def mixed_precision(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which matrix products are computed in the precision of a distillation."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def hidden_loss(
    student: Float[Tensor, "layers time width"], teacher: Float[Tensor, "layers time width"]
) -> Float[Tensor, ""]:
    """Return the squared error of the encoder's output and, with less weight, of its inner layers.

    Each is relative to the variance of the teacher's layer.
    """
    wanted = teacher.to(student.device).float()
    errors = (student.float() - wanted).square().mean((1, 2)) / wanted.flatten(1).var(1).clamp(min=1e-12)
    weights = torch.full_like(errors, INNER_WEIGHT)
    weights[-1] = 1.0
    return (weights * errors).sum()
