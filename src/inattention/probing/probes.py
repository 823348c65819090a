"""The four probes of the study: as little as can read what stands in frozen features.

Notation: `layers` hidden states (1 unless they are weighted), `width` features of a step, `classes` to tell apart.
"""

from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from inattention.probing.config import Task

HIDDEN_LAYERS: dict[Task, int] = {"speaker-frame": 0, "phone-1-hidden": 1, "phone-2-hidden": 2}


def build(task: Task, *, layers: int, width: int, classes: int, hidden_width: int) -> "Probe":
    """Build a task's probe; weights start from torch's current random state."""
    if task == "speaker-utterance":
        return UtteranceProbe(layers, width, classes)
    return StepProbe(layers, width, classes, HIDDEN_LAYERS[task], hidden_width)


class LayerMix(nn.Module):
    """A sum of hidden states under a learned softmax, which starts as their mean.

    >>> LayerMix(3)(torch.tensor([[[0.0], [3.0], [6.0]]])).tolist()
    [[3.0]]
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(layers))

    def forward(self, hidden: Float[Tensor, "*batch layers width"]) -> Float[Tensor, "*batch width"]:
        """Mix the layers of each step."""
        if len(self.logits) == 1:
            return hidden[..., 0, :]
        return torch.einsum("...lw,l->...w", hidden, self.logits.softmax(0))


class StepProbe(nn.Module):
    """Classifies each step by itself: Linear, or one or two layers of Linear and ReLU before it.

    >>> StepProbe(layers=1, width=4, classes=3, hidden_layers=2, hidden_width=8)(torch.randn(5, 1, 4)).shape
    torch.Size([5, 3])
    """

    def __init__(self, layers: int, width: int, classes: int, hidden_layers: int = 0, hidden_width: int = 768) -> None:
        super().__init__()
        self.mix = LayerMix(layers)
        widths = [width, *[hidden_width] * hidden_layers]
        hidden = [m for a, b in pairwise(widths) for m in (nn.Linear(a, b), nn.ReLU())]
        self.classify = nn.Sequential(*hidden, nn.Linear(widths[-1], classes))

    def forward(self, hidden: Float[Tensor, "*batch layers width"]) -> Float[Tensor, "*batch classes"]:
        """Give logits."""
        return self.classify(self.mix(hidden))


class UtteranceProbe(nn.Module):
    """Classifies an utterance: the mean over its valid steps, then Linear.

    The mean learns nothing, so training takes it once (`inattention.probing.features.utterance_means`) and shows the
    probe each utterance as a single step.

    >>> UtteranceProbe(layers=1, width=4, classes=3)(torch.randn(2, 7, 1, 4)).shape
    torch.Size([2, 3])
    """

    def __init__(self, layers: int, width: int, classes: int) -> None:
        super().__init__()
        self.mix = LayerMix(layers)
        self.classify = nn.Linear(width, classes)

    def forward(
        self, hidden: Float[Tensor, "batch time layers width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch classes"]:
        """Give logits.

        Args:
            hidden: at invalid steps anything may stand.
            valid: True where a step is real, at least one in each utterance; all of them if left out.
        """
        if valid is None:
            mean = hidden.mean(1)
        else:
            # `where` and not a product: NaN times 0 is NaN.
            kept = torch.where(valid[:, :, None, None], hidden, 0)
            mean = kept.sum(1) / valid.sum(1)[:, None, None]
        return self.classify(self.mix(mean))


Probe = StepProbe | UtteranceProbe
