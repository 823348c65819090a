"""Distillation of a student to a trained encoder, resumable to the same bits.

The order of examples and the learning rate follow from the step alone; a checkpoint holds the trained weights, the
optimizer and the step.
"""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.optim import AdamW

from inattention.attention import AttentionMechanism
from inattention.conversion.trained.config import TrainedConversionConfig
from inattention.conversion.trained.saving import save_state
from inattention.conversion.trained.speech import Example
from inattention.conversion.trained.task import RelativeError, Task
from inattention.conversion.trained.teacher import TeacherOutputs
from inattention.files import write_lines
from inattention.model.chunks import evaluating
from inattention.pretraining.stopping import RunDiverged, RunStopped, StopRequests
from inattention.progress import bar as progress_bar
from inattention.seeding import derive_seed

CHECKPOINT, PLAN, CURVE = "checkpoint.pt", "plan.json", "curve.jsonl"
CHECKPOINT_SECONDS = 120.0
WARMUP_STEPS = 20
CLIP = 1.0
REFERENCE_RATE, REFERENCE_WIDTH = 2e-4, 384
_MEASURED = 6  # examples whose time decides on the number of steps
_TEACHER_SHARE = 0.35  # of the time, at most, for running the teacher
_MEASUREMENTS = 10  # of the held-out error in a run


@dataclass(frozen=True)
class Plan:
    """Length of a distillation.

    Attributes:
        steps: number of optimizer steps.
        examples: number of different examples.
        teacher_seconds: measured time of the teacher for one example.
        student_seconds: measured time of a training step for one example.
    """

    steps: int
    examples: int
    teacher_seconds: float | None = None
    student_seconds: float | None = None


@dataclass
class Distillation:
    """The training of one student.

    Attributes:
        task: the family of encoders.
        student: what is trained, in place.
        example: composes an example of a number.
        outputs: returns the teacher's outputs for that number.
        held_out: examples for the relative error, with the teacher's outputs.
        config: settings of the conversion.
        folder: where checkpoint and curve are written.
        title: label of the progress bar.
    """

    task: Task
    student: nn.Module
    example: Callable[[int], Example]
    outputs: Callable[[int], TeacherOutputs]
    held_out: list[tuple[Example, TeacherOutputs]]
    config: TrainedConversionConfig
    folder: Path
    title: str = "distilling"

    def plan(self) -> Plan:
        """Return the number of steps: as configured, or as many as fit the minutes by a measurement."""
        config = self.config
        if config.steps or not config.minutes:
            return Plan(config.steps, config.examples or max(1, config.steps * config.accumulate))
        teacher, student = self._measured_seconds()
        seconds = config.minutes * 60
        examples = config.examples or max(8, int(_TEACHER_SHARE * seconds / teacher))
        # A run that is shorter than an epoch never needs all examples.
        whole = max(1, int(seconds / (teacher + student)))
        if whole <= examples:
            return Plan(max(1, whole // config.accumulate), whole, teacher, student)
        left = seconds - examples * teacher
        return Plan(max(1, int(left / student) // config.accumulate), examples, teacher, student)

    def _measured_seconds(self) -> tuple[float, float]:
        """Return the time of teacher and student for an example of mean length; nothing is changed."""
        teacher, student, share = [], [], self.config.hidden_fraction
        for index in range(_MEASURED):
            example = self.example(index)
            start = time.perf_counter()
            outputs = self.task.teacher_outputs(example)
            teacher.append(time.perf_counter() - start)
            # Both kinds of steps, as often as they come.
            seconds = [self._seconds(example, outputs, decoder=decoder) for decoder in (False, True)]
            student.append(share * seconds[0] + (1 - share) * seconds[1])
        self.student.zero_grad(set_to_none=True)
        return float(np.mean(teacher[1:])), float(np.mean(student[1:]))

    def _seconds(self, example: Example, outputs: TeacherOutputs, *, decoder: bool) -> float:
        start = time.perf_counter()
        self.task.loss(self.student, example, outputs, decoder=decoder).total.backward()
        return time.perf_counter() - start

    def run(self, plan: Plan, *, progress: bool = True) -> list[dict[str, float]]:
        """Train until the plan's last step, from the last checkpoint if there is one.

        Args:
            plan: number of steps and examples.
            progress: show a progress bar.

        Returns:
            The curve: at some steps the held-out error, the parts of the loss, and the seconds of training so far.

        Raises:
            RunStopped: after SIGTERM or SIGINT, once a checkpoint is written.
            RunDiverged: if the loss is no longer a number.
        """
        optimizer, parameters = self._optimizer()
        state = _State(self.folder, self.student, parameters, optimizer)
        step, curve, seconds = state.load()
        every = max(1, plan.steps // _MEASUREMENTS)
        hidden_steps = round(self.config.hidden_fraction * plan.steps)
        order = _order(plan.examples, self.config.seed, step * self.config.accumulate)
        _mechanisms_in_training(self.student)
        stop = StopRequests()
        began = saved = time.monotonic()
        began -= seconds
        bar = progress_bar(total=plan.steps, desc=self.title, unit="step", initial=step, show=progress)
        with bar, stop.noted():
            while step < plan.steps:
                torch.manual_seed(derive_seed(self.config.seed, "step", step))  # mechanisms may draw random numbers
                decoder = step >= hidden_steps
                parts = self._step(optimizer, parameters, order, rate_at(step, plan.steps), decoder)
                step += 1
                if step % every == 0 or step == plan.steps:
                    now = {"step": step, "seconds": time.monotonic() - began}
                    curve.append({**now, "held_out": self.error().output, **parts})
                    write_lines(self.folder / CURVE, curve)
                bar.set_postfix_str(_remark(parts, curve), refresh=False)
                bar.update(1)
                late = time.monotonic() - saved > CHECKPOINT_SECONDS
                if late or stop.received or step == plan.steps:
                    state.save(step, curve, time.monotonic() - began)
                    saved = time.monotonic()
                if stop.received and step < plan.steps:
                    stopped = RunStopped(f"stopped by {stop.received} after step {step}; the same command resumes it")
                    stopped.signal = signal.Signals[stop.received]
                    raise stopped
        self.student.eval()
        return curve

    def _step(
        self,
        optimizer: torch.optim.Optimizer,
        parameters: list[nn.Parameter],
        order: Iterator[int],
        rate: float,
        decoder: bool,
    ) -> dict[str, float]:
        """Make one optimizer step, with the decoder in the loop or not, and return the mean of the loss's parts."""
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * rate
        parts: dict[str, float] = {}
        for index in (next(order) for _ in range(self.config.accumulate)):
            loss = self.task.loss(self.student, self.example(index), self.outputs(index), decoder=decoder)
            if not loss.total.isfinite():
                raise RunDiverged(f"the loss is not a number at example {index}; lower --learning-rate")
            (loss.total / self.config.accumulate).backward()
            for name, value in loss.parts.items():
                parts[name] = parts.get(name, 0.0) + value / self.config.accumulate
        nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return parts

    def error(self) -> RelativeError:
        """Return the relative error of the student on the held-out examples."""
        return held_out_error(self.task, self.student, self.held_out)

    def _optimizer(self) -> tuple[AdamW, list[nn.Parameter]]:
        config = self.config
        kinds = self.task.parameters(self.student)
        for parameter in self.student.parameters():
            parameter.requires_grad_(False)
        width = next(p.shape[-1] for p in kinds["weights"] if p.ndim > 1)
        rate = config.learning_rate or REFERENCE_RATE * (REFERENCE_WIDTH / width) ** 0.5
        rates = {"weights": 1.0, "attention": config.attention_rate, "decoder": config.decoder_rate}
        groups = []
        for kind, parameters in kinds.items():
            for parameter in parameters:
                parameter.requires_grad_(True)
            if parameters:
                groups.append({"params": parameters, "lr": rate, "peak": rate * rates[kind]})
        return AdamW(groups, weight_decay=0.0), [p for parameters in kinds.values() for p in parameters]


@torch.no_grad()
def held_out_error(task: Task, student: nn.Module, held_out: Sequence[tuple[Example, TeacherOutputs]]) -> RelativeError:
    """Return the relative error of a student.

    Args:
        task: the family of encoders.
        student: what is measured.
        held_out: examples, with the teacher's outputs.
    """
    found = RelativeError()
    with evaluating(student):
        for example, outputs in held_out:
            found.add(task.hidden(student, example, outputs.frames).cpu(), outputs.hidden)
    return found


def _remark(parts: dict[str, float], curve: list[dict[str, float]]) -> str:
    """Return what the progress bar shows behind the numbers.

    >>> _remark({"hidden": 0.25, "tokens": 0.5}, [{"step": 10, "held_out": 0.125}])
    'held-out error 0.125, hidden 0.250, tokens 0.500'
    """
    held_out = f"held-out error {curve[-1]['held_out']:.3f}, " if curve else ""
    return held_out + ", ".join(f"{name} {value:.3f}" for name, value in parts.items())


def _mechanisms_in_training(student: nn.Module) -> None:
    """Switch mechanisms to training mode and all else, such as dropout, to evaluation."""
    student.eval()
    for module in student.modules():
        if isinstance(module, AttentionMechanism):
            module.train()


def rate_at(step: int, steps: int) -> float:
    """Return the learning rate relative to its peak: a short warm-up, then linear decay to zero.

    >>> rate_at(0, 1000), rate_at(500, 1000)
    (0.05, 0.5)
    """
    return min(1.0, (step + 1) / min(WARMUP_STEPS, steps)) * (1 - step / steps)


def _order(examples: int, seed: int, start: int) -> Iterator[int]:
    """Return the numbers of examples from a position on: each epoch is a permutation of all."""
    position = start
    while True:
        epoch, place = divmod(position, examples)
        permutation = np.random.default_rng(derive_seed(seed, "epoch", epoch)).permutation(examples)
        for index in permutation[place:]:
            position += 1
            yield int(index)


@dataclass
class _State:
    """Checkpoint of a distillation: step, curve, trained parameters, optimizer."""

    folder: Path
    student: nn.Module
    parameters: list[nn.Parameter]
    optimizer: AdamW

    def load(self) -> tuple[int, list[dict[str, float]], float]:
        """Restore the checkpoint, if there is one; return its step, its curve and the seconds of training."""
        path = self.folder / CHECKPOINT
        if not path.exists():
            return 0, [], 0.0
        saved = torch.load(path, map_location="cpu", weights_only=True)
        with torch.no_grad():
            for parameter, value in zip(self.parameters, saved["parameters"], strict=True):
                parameter.copy_(value)
        peaks = [group["peak"] for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(saved["optimizer"])
        for group, peak in zip(self.optimizer.param_groups, peaks, strict=True):
            group["peak"] = peak
        return saved["step"], saved["curve"], saved.get("seconds", 0.0)

    def save(self, step: int, curve: list[dict[str, float]], seconds: float) -> None:
        """Write a checkpoint, all or nothing."""
        state = {
            "step": step,
            "curve": curve,
            "seconds": seconds,
            "parameters": [parameter.detach().cpu() for parameter in self.parameters],
            "optimizer": self.optimizer.state_dict(),
        }
        save_state(self.folder / CHECKPOINT, state)
