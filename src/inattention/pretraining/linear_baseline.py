"""Linear baseline for masked frames: least squares from the neighbouring input frames.

An encoder has learned more than linear interpolation only if its loss is below this one. On a task that leaks, the
baseline's loss is close to zero.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from inattention.audio.reader import AudioError
from inattention.pretraining.examples import HELD_OUT, Batch, Example
from inattention.pretraining.manifest import Run

REACH = 2  # neighbouring frames on either side
RIDGE = 1e-2  # relative to the mean diagonal: limits the weights of dimensions that hardly vary
ROWS = 10_000  # masked frames to fit on
EPOCHS = 50  # passes over a small training split to collect them


@dataclass(frozen=True)
class LinearBaseline:
    """Held-out loss of the linear baseline.

    Attributes:
        l1: mean absolute error over the masked bins of the dev split.
    """

    l1: float

    def to_dict(self) -> dict[str, float]:
        """Return the result as JSON data."""
        return {"neighbour_l1": self.l1}

    @classmethod
    def from_dict(cls, data: dict[str, float]) -> "LinearBaseline":
        """Read the result from JSON data.

        Raises:
            ValueError: if the loss is missing.
        """
        if "neighbour_l1" not in data:
            raise ValueError("'neighbour_l1' is missing from the linear baseline")
        return cls(float(data["neighbour_l1"]))


def measure_linear_baseline(run: Run) -> LinearBaseline:
    """Fit the baseline on the training split of a run, and measure it on the run's held-out batches.

    Raises:
        ValueError: if the training split has no masked frame.
    """
    examples = run.examples()

    def training() -> Iterator[Example]:
        for epoch in range(EPOCHS):
            for cut in run.corpus.cuts("train"):  # ty: ignore[not-iterable]
                with suppress(AudioError):
                    yield examples.example(cut, HELD_OUT, draw=run.training.held_out_draws + epoch)

    regression = NeighbourRegression(groups=run.training.masking.span_steps).fit(training())
    error = bins = 0.0
    for item in run.held_out(run.training.held_out_draws):
        summed, count = regression.error(examples[item])
        error, bins = error + summed, bins + count
    return LinearBaseline(error / max(bins, 1))


class NeighbourRegression:
    """Least squares from the inputs of the frames within `REACH` to a masked frame's target.

    The first, second, ... frame of a masked span have regressions of their own, as they see other neighbours.

    Args:
        groups: number of regressions, the last one for all later frames of a span.
    """

    def __init__(self, groups: int) -> None:
        self.groups = groups
        self.solutions: dict[int, Float[Tensor, "inputs target_size"]] = {}

    def fit(self, examples: Iterable[Example]) -> "NeighbourRegression":
        """Fit on examples until `ROWS` masked frames are seen.

        Raises:
            ValueError: if there is no masked frame.
        """
        pairs_of: dict[int, list[tuple[Tensor, Tensor]]] = {}
        rows = 0
        for example in examples:
            inputs, targets, group = self._rows(example.features, example.target, example.masked)
            for g in group.unique().tolist():
                pairs_of.setdefault(g, []).append((inputs[group == g], targets[group == g]))
            rows += len(group)
            if rows >= ROWS:
                break
        if not pairs_of:
            raise ValueError("there are no masked frames to fit the linear baseline on")
        for g, pairs in pairs_of.items():
            x, y = (torch.cat(part) for part in zip(*pairs, strict=True))
            products = (x.t() @ x).double()
            ridge = RIDGE * products.diagonal().mean() * torch.eye(len(products), dtype=products.dtype)
            self.solutions[g] = torch.linalg.solve(products + ridge, (x.t() @ y).double()).float()
        return self

    def error(self, batch: Batch) -> tuple[float, int]:
        """Return the sum of absolute errors over a batch's masked bins, and the number of bins."""
        total, bins = 0.0, 0
        for features, target, masked, valid in zip(
            batch.features, batch.target, batch.masked, batch.valid, strict=True
        ):
            inputs, targets, group = self._rows(features[valid], target[valid], masked[valid])
            for g in group.unique().tolist():
                solution = self.solutions.get(g, next(iter(self.solutions.values())))
                total += float((inputs[group == g] @ solution - targets[group == g]).abs().sum())
            bins += targets.numel()
        return total, bins

    def _rows(
        self,
        features: Float[Tensor, "time size"],
        target: Float[Tensor, "time target_size"],
        masked: Bool[Tensor, " time"],
    ) -> tuple[Float[Tensor, "rows inputs"], Float[Tensor, "rows target_size"], Int[Tensor, " rows"]]:
        """Return the neighbours of each masked frame, its target, and its position in its masked span."""
        padded = torch.nn.functional.pad(features, (0, 0, REACH, REACH))
        neighbours = [padded[REACH + o : REACH + o + len(features)] for o in range(-REACH, REACH + 1) if o]
        inputs = torch.cat([*neighbours, torch.ones(len(features), 1)], dim=1)
        position = torch.zeros(len(masked), dtype=torch.long)
        for i in masked.nonzero().flatten().tolist():
            position[i] = position[i - 1] + 1 if i and masked[i - 1] else 0
        return inputs[masked], target[masked], position[masked].clamp(max=self.groups - 1)
