"""The teacher's attention heads: what they do, how much they depend on the input, and what replacing one of them costs.

All is measured on windows of held-out speech of equal length: for Whisper 30 s, as it was trained. A head is replaced
alone by its mean weight at each relative position, without distillation, whatever mechanism the conversion is to.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from inattention.analysis.measures import CATEGORIES, categorise, input_dependence, measure, usual_category
from inattention.conversion.trained.maps import spaced
from inattention.conversion.trained.setup import Setup
from inattention.conversion.trained.speech import LONGEST_SECONDS, SAMPLING_RATE, Example, Examples
from inattention.conversion.trained.starts import FLOOR, HeadMaps, attention_inputs, maps_or_none
from inattention.conversion.trained.task import RelativeError, Task
from inattention.encoders.attention_handles import attention_handles
from inattention.files import once
from inattention.model.chunks import evaluating
from inattention.progress import bar as progress_bar

NEAR_FRAMES = 64  # distance up to which weight counts as near
MOST_HEADS = 96  # that are replaced alone; of evenly spaced layers if there are more
_WINDOWS, _REPLACED_WINDOWS = 6, 2
_WAVEFORM_SECONDS = 10.0  # of a window for encoders that take any length
# Categories are those of sections of maps, as long as the crops of `inattention analyze`, from the first part of a
# window: Whisper's may end in silence.
_SECTION, _SECTIONS, _SPOKEN = 128, 8, 0.8


@dataclass(frozen=True)
class TeacherHead:
    """A head of the teacher.

    Attributes:
        layer: number of its layer, from 0.
        head: its number, from 0.
        near_mass: mean share of its weight at most 64 frames away.
        input_dependence: share of the variation of its maps that their mean does not explain.
        category: that of more than half of the sections of its maps; else mixed.
    """

    layer: int
    head: int
    near_mass: float
    input_dependence: float
    category: str


@dataclass
class _Layer:
    """Sums over the maps of a layer.

    Attributes:
        mean: mean map so far.
        squares: summed squared deviation of each weight from its mean.
        near: summed share of near weight, by head.
        categories: number of sections of each category, by head.
        count: number of maps.
    """

    mean: Float[Tensor, "heads time time"]
    squares: Float[Tensor, "heads time time"]
    near: Float[Tensor, " heads"]
    categories: Int[np.ndarray, "heads categories"]
    count: int = 0

    @classmethod
    def none(cls, heads: int, time: int) -> "_Layer":
        """Return the sums over no maps."""
        mean, squares = (torch.zeros(heads, time, time, dtype=torch.float64) for _ in range(2))
        return cls(mean, squares, torch.zeros(heads), np.zeros((heads, len(CATEGORIES)), dtype=int))

    def add(self, maps: Float[Tensor, "heads time time"]) -> None:
        """Add the maps of a window."""
        frames = torch.arange(maps.shape[-1])
        near = (frames[:, None] - frames).abs() <= NEAR_FRAMES
        self.near += (maps * near).sum((1, 2)) / len(frames)
        found = categorise(measure(sections(maps.numpy())))
        self.categories += np.eye(len(CATEGORIES), dtype=int)[found].sum(1)
        self.count += 1
        change = maps - self.mean
        self.mean.add_(change, alpha=1 / self.count)
        self.squares.addcmul_(change, maps - self.mean)

    def heads(self, layer: int) -> list[TeacherHead]:
        """Return the properties of each head."""
        variance = self.squares.numpy() / max(1, self.count - 1)
        dependence = input_dependence(self.mean.numpy(), variance, self.count)
        category = usual_category(self.categories)
        return [
            TeacherHead(layer, head, float(near) / self.count, float(dependence[head]), CATEGORIES[category[head]])
            for head, near in enumerate(self.near)
        ]


def sections(maps: Float[np.ndarray, "heads time time"]) -> Float[np.ndarray, "heads sections some some"]:
    """Return square sections along the diagonal of maps, with rows that sum to 1; short maps are one section.

    Relative to the many frames of a long map all weight is near the diagonal, so that its category would tell little.
    """
    time = maps.shape[-1]
    size = min(time, _SECTION)
    last = max(0, int(_SPOKEN * time) - size)
    starts = sorted(set(np.linspace(0, last, _SECTIONS).astype(int)))
    found = np.stack([maps[:, start : start + size, start : start + size] for start in starts], axis=1)
    return (found + FLOOR / time) / (found + FLOOR / time).sum(-1, keepdims=True)


def describe_heads(setup: Setup, task: Task, outputs: Path) -> list[TeacherHead]:
    """Return the properties of all heads of the teacher that have maps, computed once.

    Args:
        setup: the conversion.
        task: the family of encoders.
        outputs: folder of the teacher's outputs.
    """
    found = once(outputs / "heads.json", lambda: {"heads": [asdict(it) for it in _Report(setup, task).heads()]})
    return [TeacherHead(**it) for it in found["heads"]]


def head_report(setup: Setup, task: Task, outputs: Path) -> list[dict[str, Any]]:
    """Return the properties of the teacher's heads with the error that results from replacing each alone, as JSON data.

    The error is None of heads that were not replaced, as there are too many. Nothing is computed if the settings ask
    for no report.

    Args:
        setup: the conversion.
        task: the family of encoders.
        outputs: folder of the teacher's outputs.
    """
    if not setup.config.head_report:
        return []
    heads = describe_heads(setup, task, outputs)
    errors = once(outputs / "head-errors.json", lambda: {"errors": _Report(setup, task).errors(heads)})["errors"]
    by_head = {(layer, head): error for layer, head, error in errors}
    return [{**asdict(it), "error_alone": by_head.get((it.layer, it.head))} for it in heads]


@dataclass
class _Report:
    """Measurements of the teacher's heads."""

    setup: Setup
    task: Task

    def __post_init__(self) -> None:
        self.model = self.setup.loaded.model
        self.longest = self.setup.conversion.max_length
        seconds = LONGEST_SECONDS if self.setup.loaded.is_whisper else _WAVEFORM_SECONDS
        examples = Examples(self.setup.speech.held_out, 0, "30", self.setup.skipped)
        found = [examples.window(index) for index in range(_WINDOWS)]
        samples = min(int(seconds * SAMPLING_RATE), *(len(it.waveform) for it in found))
        self.windows = [replace(it, waveform=it.waveform[:samples]) for it in found]

    @torch.no_grad()
    def heads(self) -> list[TeacherHead]:
        """Return the properties of all heads that have maps."""
        inputs = self._inputs(range(len(attention_handles(self.model))), self.windows)
        found: list[TeacherHead] = []
        bar = progress_bar(inputs.items(), desc="heads of the teacher", unit="layer", show=self.setup.progress)
        for layer, hidden in bar:
            sums: _Layer | None = None
            for maps in self._maps(layer, hidden):
                sums = sums or _Layer.none(*maps.shape[:2])
                sums.add(maps)
            found += sums.heads(layer) if sums else []
        return found

    @torch.no_grad()
    def errors(self, heads: Sequence[TeacherHead]) -> list[tuple[int, int, float]]:
        """Return the layer, the number and the error of each head that was replaced alone."""
        count = attention_handles(self.model)[0].heads
        layers = spaced(sorted({it.layer for it in heads}), max(1, MOST_HEADS // count))
        inputs = self._inputs(layers, self.windows)
        clean = [self._run(window) for window in self.windows[:_REPLACED_WINDOWS]]
        found: list[tuple[int, int, float]] = []
        total = len(layers) * count
        with progress_bar(total=total, desc="heads replaced alone", unit="head", show=self.setup.progress) as bar:
            for layer in layers:
                maps = list(self._maps(layer, inputs[layer]))
                for head, fixed in enumerate(_mean_maps(maps)):
                    error = RelativeError()
                    for window, wanted, hidden, own in zip(self.windows, clean, inputs[layer], maps, strict=False):
                        change = self._change(layer, head, fixed - own[head], hidden)
                        with _added(self._module(layer), change):
                            error.add(self._run(window), wanted)
                    found.append((layer, head, error.output))
                    bar.update(1)
        return found

    def _maps(self, layer: int, inputs: Sequence[Tensor]) -> Iterator[Float[Tensor, "heads time time"]]:
        """Return the maps of a layer, window by window; none of a mechanism without any."""
        for hidden in inputs:
            maps = maps_or_none(self._module(layer), hidden)
            if maps is not None:
                yield maps[0].float().cpu()

    def _change(
        self, layer: int, head: int, change: Float[Tensor, "time time"], hidden: Float[Tensor, "1 time width"]
    ) -> Float[Tensor, "time width"]:
        """Return the change of a layer's attention output if the map of a head changes."""
        handle = attention_handles(self.model)[layer]
        part = slice(head * handle.head_dim, (head + 1) * handle.head_dim)
        values = handle.value(hidden)[0, :, part]
        return change.to(values) @ values @ handle.output.weight[:, part].T

    def _module(self, layer: int) -> nn.Module:
        return attention_handles(self.model)[layer].module

    def _run(self, window: Example) -> Float[Tensor, "layers time width"]:
        with evaluating(self.model):
            return self.task.hidden(self.model, window, self.longest).cpu()

    def _inputs(self, layers: Sequence[int], windows: Sequence[Example]) -> dict[int, list[Tensor]]:
        """Return the inputs of the attention of some layers, window by window."""
        found: dict[int, list[Tensor]] = {layer: [] for layer in layers}
        with attention_inputs(self.model, layers, lambda layer, _, hidden: found[layer].append(hidden)):
            for window in windows:
                self._run(window)
        return found


def _mean_maps(maps: Sequence[Float[Tensor, "heads time time"]]) -> Iterator[Float[Tensor, "time time"]]:
    """Return the map of each head that has its mean weight at each relative position."""
    time = maps[0].shape[-1]
    means = HeadMaps(time, dense=False)
    for it in maps:
        means.add(it)
    frames = torch.arange(time)
    for weights in means.by_offset + FLOOR:
        fixed = weights[frames[None, :] - frames[:, None] + time - 1]
        yield fixed / fixed.sum(-1, keepdim=True)


@contextmanager
def _added(module: nn.Module, change: Float[Tensor, "time width"]) -> Generator[None]:
    """Add something to the output of an attention module."""

    def hook(module: nn.Module, args: tuple, output: Any) -> Any:
        return (output[0] + change, *output[1:]) if isinstance(output, tuple) else output + change

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
