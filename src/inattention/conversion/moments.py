"""Second moments of attention values and outputs over utterances: the input of the least-squares problem for maps."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from inattention.encoders.attention_modules import recorded_values
from inattention.encoders.base import MapSource


@dataclass
class Moments:
    """Sums over utterances of equal length, for each layer and head.

    Attributes:
        gram: values with values, summed V V'.
        cross: outputs with values, summed O V'.
        energy: squared norm of the output of each frame.
        weights: the attention maps themselves.
        count: number of utterances.
    """

    gram: Float[Tensor, "layers heads time time"]
    cross: Float[Tensor, "layers heads time time"]
    energy: Float[Tensor, "layers heads time"]
    weights: Float[Tensor, "layers heads time time"]
    count: int = 0

    @classmethod
    def none(cls, layers: int, heads: int, time: int) -> "Moments":
        """Return the moments of no utterances."""
        square = torch.zeros(layers, heads, time, time, dtype=torch.float64)
        return cls(square, square.clone(), square[..., 0].clone(), square.clone())

    def add(
        self,
        maps: Float[Tensor, "layers batch heads time time"],
        values: Float[Tensor, "layers batch heads time head_dim"],
    ) -> None:
        """Add utterances.

        Args:
            maps: their attention maps.
            values: the values that the maps average.
        """
        for layer, (weights, value) in enumerate(zip(maps.double(), values.double(), strict=True)):
            # (heads, time, batch * head_dim): one product sums over utterances and dimensions.
            v, o = (x.permute(1, 2, 0, 3).flatten(2) for x in (value, weights @ value))
            self.gram[layer] += v @ v.mT
            self.cross[layer] += o @ v.mT
            self.energy[layer] += o.square().sum(-1)
            self.weights[layer] += weights.sum(0)
        self.count += maps.shape[1]

    @property
    def mean_maps(self) -> Float[Tensor, "layers heads time time"]:
        """Mean map over utterances, with rows that sum to 1."""
        return self.weights / self.weights.sum(-1, keepdim=True)

    def errors(self, maps: Float[Tensor, "layers heads time time"]) -> Float[Tensor, "layers heads"]:
        """Return the error of fixed maps, as a share of the variance of the values.

        The error is E|w V - o|², the mean over all frames; the variance is E|v_j - mean over j|².
        """
        return _errors(maps, self.gram, self.cross, self.energy)

    def error_of(self, at: tuple[int, int], weights: Float[Tensor, "time time"]) -> float:
        """Return the error of a fixed map for one head.

        Args:
            at: layer and head, from 0.
            weights: the map.
        """
        return float(_errors(weights, self.gram[at], self.cross[at], self.energy[at]))


def moments_of(source: MapSource, batches: Iterable[Float[Tensor, "..."]]) -> Moments | None:
    """Return the moments of an encoder on crops of equal length.

    Args:
        source: the encoder.
        batches: inputs of the crops.

    Returns:
        The moments; None if there are no crops.

    Raises:
        ValueError: if the values of the encoder are not accessible.
    """
    moments = None
    for inputs in batches:
        with recorded_values(source) as values:
            maps = source.maps(inputs)
        if moments is None:
            moments = Moments.none(len(maps), *maps.shape[2:4])
        moments.add(maps, torch.stack(values))
    return moments


def _errors(maps: Tensor, gram: Tensor, cross: Tensor, energy: Tensor) -> Float[Tensor, "*heads"]:
    squared = (maps @ gram * maps).sum(-1) - 2 * (maps * cross).sum(-1) + energy
    variance = gram.diagonal(dim1=-2, dim2=-1).mean(-1) - gram.mean((-2, -1))
    return (squared.mean(-1) / variance.clamp(min=1e-30)).clamp(min=0)
