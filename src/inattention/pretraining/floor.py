"""What a linear look at the neighbours can do: the masked loss that any encoder must beat to have learned more.

A masked step is predicted from the inputs of the steps around it, as the model sees them, by least squares. On a
leaking task this floor is next to nothing.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from inattention.pretraining.examples import Batch, Example

REACH = 2  # steps to either side
RIDGE = 1e-2  # of the mean diagonal: keeps dimensions that hardly vary from exploding
ROWS = 10_000  # masked steps to fit on


class NeighbourRegression:
    """Least squares from the inputs of the steps within `REACH` to a masked step's target.

    The first, second, ... masked step of a run of them have regressions of their own, as they see other neighbours.
    """

    def __init__(self, groups: int) -> None:
        self.groups = groups
        self.solutions: dict[int, Tensor] = {}

    def fit(self, examples: Iterable[Example]) -> "NeighbourRegression":
        """Fit on examples until there are enough rows.

        Raises:
            ValueError: if there is nothing to fit on.
        """
        waiting: dict[int, list[tuple[Tensor, Tensor]]] = {}
        rows = 0
        for example in examples:
            inputs, wanted, group = self._rows(example.features, example.target, example.chosen)
            for g in group.unique().tolist():
                waiting.setdefault(g, []).append((inputs[group == g], wanted[group == g]))
            rows += len(group)
            if rows >= ROWS:
                break
        if not waiting:
            raise ValueError("there are no masked steps to fit the neighbour regression on")
        for g, pairs in waiting.items():
            x, y = (torch.cat(part) for part in zip(*pairs, strict=True))
            products = (x.t() @ x).double()
            ridge = RIDGE * products.diagonal().mean() * torch.eye(len(products), dtype=products.dtype)
            self.solutions[g] = torch.linalg.solve(products + ridge, (x.t() @ y).double()).float()
        return self

    def error(self, batch: Batch) -> tuple[float, int]:
        """Give the sum of absolute errors over a batch's masked cells, and how many cells there are."""
        total, cells = 0.0, 0
        for features, target, chosen, valid in zip(
            batch.features, batch.target, batch.chosen, batch.valid, strict=True
        ):
            inputs, wanted, group = self._rows(features[valid], target[valid], chosen[valid])
            for g in group.unique().tolist():
                solution = self.solutions.get(g, next(iter(self.solutions.values())))
                total += float((inputs[group == g] @ solution - wanted[group == g]).abs().sum())
            cells += wanted.numel()
        return total, cells

    def _rows(
        self,
        features: Float[Tensor, "time size"],
        target: Float[Tensor, "time target_size"],
        chosen: Bool[Tensor, " time"],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What is around each masked step, what it is, and its place in its run of masked steps."""
        padded = torch.nn.functional.pad(features, (0, 0, REACH, REACH))
        around = [padded[REACH + o : REACH + o + len(features)] for o in range(-REACH, REACH + 1) if o]
        inputs = torch.cat([*around, torch.ones(len(features), 1)], dim=1)
        place = torch.zeros(len(chosen), dtype=torch.long)
        for i in chosen.nonzero().flatten().tolist():
            place[i] = place[i - 1] + 1 if i and chosen[i - 1] else 0
        return inputs[chosen], target[chosen], place[chosen].clamp(max=self.groups - 1)
