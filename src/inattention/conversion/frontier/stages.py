"""Stages of a conversion: what each replaced, what it cost, and which of them is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from inattention.conversion.trained.config import Bound

MOST_BEYOND = 2  # stages in a row beyond the bound that end a conversion
_ROUNDING = 1e-9  # of a word error rate


@dataclass(frozen=True)
class Stage:
    """One more replaced layer, and the distillation that followed.

    Attributes:
        number: from 1.
        layer: the layer that this stage replaced.
        steps: number of optimizer steps.
        seconds: time of training.
        start: relative error of each layer before the distillation of this stage; the last one is that of the output.
        after: the same after it.
        curve: held-out error at some steps.
        words: word error rates of student and teacher; None if they were not measured.
    """

    number: int
    layer: int
    steps: int
    seconds: float
    start: list[float]
    after: list[float]
    curve: list[dict[str, float]]
    words: dict[str, Any] | None

    @property
    def error(self) -> float:
        """Relative error of the encoder's output after this stage."""
        return self.after[-1]

    def within(self, bound: Bound | None) -> bool:
        """Return whether the error is within a bound; every error is if there is none."""
        if bound is None:
            return True
        if bound.measure == "error":
            return self.error <= bound.most
        assert self.words is not None
        return self.words["student"]["word_error_rate"] - self.words["teacher"]["word_error_rate"] <= (
            bound.most + _ROUNDING
        )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data that the stage can be made from again."""
        return asdict(self)


def kept_stage(stages: Sequence[Stage], bound: Bound | None) -> Stage | None:
    """Return the last stage within a bound; None if there is none."""
    return next((stage for stage in reversed(stages) if stage.within(bound)), None)


def ended(stages: Sequence[Stage], bound: Bound | None) -> bool:
    """Return whether the last stages, one after the other, are beyond the bound."""
    last = stages[-MOST_BEYOND:]
    return len(last) == MOST_BEYOND and not any(stage.within(bound) for stage in last)


def joined_curve(stages: Sequence[Stage]) -> list[dict[str, float]]:
    """Return the held-out error over the steps of all stages, with the error at the start of each stage."""
    found: list[dict[str, float]] = []
    steps, seconds = 0, 0.0
    for stage in stages:
        found.append({"step": steps, "seconds": seconds, "held_out": stage.start[-1], "stage": stage.number})
        for point in stage.curve:
            moved = {"step": steps + point["step"], "seconds": seconds + point["seconds"]}
            found.append({**point, **moved, "stage": stage.number})
        steps, seconds = steps + stage.steps, seconds + stage.seconds
    return found


def stage_records(
    stages: Sequence[Stage],
    bound: Bound | None,
    dependence: Mapping[int, float | None],
    errors_alone: Mapping[int, float],
) -> list[dict[str, Any]]:
    """Return the stages as ``conversion.json`` has them.

    Args:
        stages: all stages.
        bound: what was allowed.
        dependence: input dependence of each layer, as far as it decided on the order.
        errors_alone: error of the output if that layer alone is replaced, without distillation; likewise.
    """
    kept = kept_stage(stages, bound)
    return [
        {
            "stage": stage.number,
            "layer": stage.layer,
            "layers": sorted(it.layer for it in stages[: stage.number]),
            "input_dependence": dependence.get(stage.layer),
            "error_alone": errors_alone.get(stage.layer),
            "steps": stage.steps,
            "seconds": stage.seconds,
            "relative_error": {"start": stage.start[-1], "after": stage.error, "layers_after": stage.after},
            "words": stage.words,
            "within": stage.within(bound),
            "kept": stage is kept,
        }
        for stage in stages
    ]
