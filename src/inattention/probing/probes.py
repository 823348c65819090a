"""The four probes of the study: linear classifiers and shallow networks on frozen features.

Notation: `layers` hidden states (1 unless they are weighted), `width` features of a frame, `classes` to distinguish.
"""

from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from inattention.probing.config import Task

HIDDEN_LAYERS: dict[Task, int] = {"speaker-frame": 0, "phone-1-hidden": 1, "phone-2-hidden": 2}


def build(task: Task, *, layers: int, width: int, classes: int, hidden_width: int) -> "Probe":
    """Return a task's probe, initialised from torch's current random state."""
    if task == "speaker-utterance":
        return UtteranceProbe(layers, width, classes)
    return FrameProbe(layers, width, classes, HIDDEN_LAYERS[task], hidden_width)


class LayerMix(nn.Module):
    """Sum of hidden states, weighted by a learned softmax that is initialised to the mean.

    >>> LayerMix(3)(torch.tensor([[[0.0], [3.0], [6.0]]])).tolist()
    [[3.0]]
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(layers))

    def forward(self, hidden: Float[Tensor, "*batch layers width"]) -> Float[Tensor, "*batch width"]:
        """Return the weighted sum of each frame's layers."""
        if len(self.logits) == 1:
            return hidden[..., 0, :]
        return torch.einsum("...lw,l->...w", hidden, self.logits.softmax(0))


class FrameProbe(nn.Module):
    """Classifies each frame independently: zero to two layers of Linear and ReLU, then Linear.

    >>> FrameProbe(layers=1, width=4, classes=3, hidden_layers=2, hidden_width=8)(torch.randn(5, 1, 4)).shape
    torch.Size([5, 3])
    """

    def __init__(self, layers: int, width: int, classes: int, hidden_layers: int = 0, hidden_width: int = 768) -> None:
        super().__init__()
        self.mix = LayerMix(layers)
        widths = [width, *[hidden_width] * hidden_layers]
        hidden = [m for a, b in pairwise(widths) for m in (nn.Linear(a, b), nn.ReLU())]
        self.classify = nn.Sequential(*hidden, nn.Linear(widths[-1], classes))

    def forward(self, hidden: Float[Tensor, "*batch layers width"]) -> Float[Tensor, "*batch classes"]:
        """Return logits."""
        return self.classify(self.mix(hidden))


class UtteranceProbe(nn.Module):
    """Classifies an utterance: mean over its valid frames, then Linear.

    The mean has no parameters, so it is computed once (`inattention.probing.features.utterance_means`), and the probe
    is trained on utterances of a single frame.

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
        """Return logits.

        Args:
            hidden: hidden states; invalid frames may hold anything.
            valid: padding mask, True at real frames, at least one in each utterance; None if all are real.
        """
        if valid is None:
            mean = hidden.mean(1)
        else:
            # `where` instead of a product: NaN times 0 is NaN.
            zeroed = torch.where(valid[:, :, None, None], hidden, 0)
            mean = zeroed.sum(1) / valid.sum(1)[:, None, None]
        return self.classify(self.mix(mean))


Probe = FrameProbe | UtteranceProbe
