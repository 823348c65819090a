"""Averaging with maps that do not depend on the input: one product for the whole batch, and padding costs nothing.

With A = softmax(R[:, :T, :T]), the definition asks for a masked softmax per utterance, which is never formed. As all
utterances of a batch share A, one product of (H, T, T) with (H, T, batch * d) gives

    numerator = A (values, zeroed at padding),    mass = A (valid),    output = numerator / mass,

since a softmax over fewer keys only rescales its row. Where nearly all of a row's weight lies on padding, the division
would lose what is left. That cannot happen while every weight of A exceeds `VANISHING_MASS`, which is checked once for
the maps, never for the input; maps that span more than that take the masked softmax itself.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from inattention.attention.ops.cache import CachesInEvaluation
from inattention.attention.ops.padding import masked_softmax, softmax_over_valid, tracing, zero_invalid
from inattention.attention.ops.precision import unrounded, wide

# The least mass on real keys that may be divided by. Float32 holds a mass to full relative precision down to 1e-38;
# gradients divide by it, and stay finite with this much room.
VANISHING_MASS = 1e-20


@dataclass
class Maps:
    """Maps of one length.

    Attributes:
        logits: the maps before the softmax.
        weights: their softmax over all keys.
    """

    logits: Float[Tensor, "heads time time"]
    weights: Float[Tensor, "heads time time"]
    _rescalable: bool | None = field(default=None, repr=False)

    def rescalable(self) -> bool:
        """Return whether each weight is large enough to be all that padding leaves of a row; False if not known."""
        if self._rescalable is None:
            # In a traced graph the maps have no contents.
            self._rescalable = not tracing() and bool(self.weights.detach().amin() > VANISHING_MASS)
        return self._rescalable


class FixedMaps(CachesInEvaluation):
    """A mechanism whose weights are softmax(R) with one learned or fixed map R a head, the same for every input.

    A subclass defines `logits`. In evaluation the maps of the last length are cached until a parameter changes; during
    one pass over an encoder's layers they are computed once.
    """

    def logits(self, time: int) -> Float[Tensor, "heads time time"]:
        """Return the maps before the softmax, for inputs of ``time`` frames.

        Raises:
            ValueError: if the maps are shorter than that.
        """
        raise NotImplementedError(f"{type(self).__name__} must define logits")

    @property
    def unlimited_by(self) -> str:
        """The maps."""
        return "all frames of the input, by a map that ends at max_length"

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch heads time time"]:
        """Return the softmax of the maps over each utterance's real keys."""
        with unrounded(hidden):
            logits = self.logits(hidden.shape[1]).expand(hidden.shape[0], -1, -1, -1)
            return softmax_over_valid(logits, valid)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Average the values by one product for the whole batch, in float32 at least, under autocast too."""
        time = values.shape[2]
        with torch.autocast(values.device.type, enabled=False):
            maps = self.cached(time, lambda: self._maps(time))
            promoted = values.to(torch.promote_types(values.dtype, maps.weights.dtype))
            return average(maps, promoted, valid).to(values.dtype)

    def _maps(self, time: int) -> Maps:
        logits = wide(self.logits(time))
        return Maps(logits, logits.softmax(-1))


def average(
    maps: Maps, values: Float[Tensor, "batch heads time head_dim"], valid: Bool[Tensor, "batch time"] | None
) -> Float[Tensor, "batch heads time head_dim"]:
    """Return the averages of values with ``softmax_over_valid(maps.logits)``; at padding they are finite.

    Args:
        maps: the maps, shared by all utterances.
        values: what is averaged; at padding anything may stand.
        valid: True at real frames; None if all are.
    """
    batch, _, _, head_dim = values.shape
    if valid is None:
        if batch == 1:
            return (maps.weights @ values[0])[None]
        columns = values.permute(1, 2, 0, 3).flatten(2)
        return (maps.weights @ columns).unflatten(2, (batch, head_dim)).permute(2, 0, 1, 3)
    if not maps.rescalable():
        return _average_by_definition(maps, values, valid)
    real = valid.t()[None, :, :, None]  # 1 time batch 1
    columns = torch.where(real, values.permute(1, 2, 0, 3), 0.0)
    # The last column of each utterance is its mask: its average is the mass on real keys.
    columns = torch.cat([columns, real.to(columns.dtype).expand(*columns.shape[:3], 1)], dim=-1)
    sums = (maps.weights @ columns.flatten(2)).unflatten(2, (batch, head_dim + 1)).permute(2, 0, 1, 3)
    numerator, mass = sums[..., :head_dim], sums[..., head_dim:]
    return numerator / torch.where(mass < VANISHING_MASS, 1.0, mass)  # 0 in an utterance without real frames


def _average_by_definition(maps: Maps, values: Tensor, valid: Tensor) -> Tensor:
    """Average with the masked softmax, an utterance at a time to bound memory."""
    values = zero_invalid(values, valid)
    if tracing():  # a loop would fix the batch size in the graph
        return masked_softmax(maps.logits[None], valid[:, None, None, :]) @ values
    return torch.stack(
        [masked_softmax(maps.logits, mask[None, None, :]) @ x for mask, x in zip(valid, values, strict=True)]
    )


def crop(maps: Float[Tensor, "heads longest longest"], time: int) -> Float[Tensor, "heads time time"]:
    """Return the first ``time`` rows and columns of maps.

    Raises:
        ValueError: if the maps are smaller than that.
    """
    check_length(time, maps.shape[-1])
    if tracing():  # a view would have other strides at the full length, and so exclude it from the graph
        frames = torch.arange(time, device=maps.device)
        return maps[:, frames[:, None], frames]
    return maps[:, :time, :time]


def check_length(time: int, longest: int) -> None:
    """Raise ValueError if an input is longer than the maps were made for."""
    if time > longest:
        raise ValueError(
            f"the input has {time} frames and the attention maps were made for {longest} (max_length); "
            "use AudioTransformer.extract, which takes long input in overlapping chunks, or crop the input"
        )
