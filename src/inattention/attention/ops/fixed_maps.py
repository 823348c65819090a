"""Averaging with maps that do not depend on the input: one product for the whole batch, and padding costs nothing.

With A = softmax(R[:, :T, :T]), the numbers that the definition asks for are a masked softmax per utterance. It is
never formed. As every utterance of a batch shares A, one product of (H, T, T) with (H, T, batch * d) gives

    numerator = A (values, zeroed where invalid),    mass = A (valid),    output = numerator / mass,

since leaving keys out of a softmax only rescales its row. Where the mass all but vanishes (all weight lies on
padding), the division would lose what is left; those rows are computed by the masked softmax itself.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from inattention.attention.ops.cache import KeepsInEvaluation
from inattention.attention.ops.padding import masked_softmax

# Under this mass on valid keys, a row is computed by the masked softmax. Float32 holds the mass to full relative
# precision down to 1e-38; gradients divide by it, and stay finite with this much room.
VANISHING_MASS = 1e-20


class FixedMaps(KeepsInEvaluation):
    """A mechanism whose weights are softmax(R) with one learned or fixed map R a head, the same for every input.

    A subclass gives `logits`. In evaluation the maps of the last length are kept until a parameter changes; during
    one pass over an encoder's layers they are computed once.
    """

    def logits(self, time: int) -> Float[Tensor, "heads time time"]:
        """Give the maps before the softmax, for inputs of so many steps.

        Raises:
            ValueError: if there are more steps than the maps were made for.
        """
        raise NotImplementedError(f"{type(self).__name__} must define logits")

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch heads time time"]:
        """Softmax of the maps over each utterance's valid keys."""
        logits = self.logits(hidden.shape[1]).expand(hidden.shape[0], -1, -1, -1)
        return masked_softmax(logits, valid[:, None, None, :].expand_as(logits)).to(hidden.dtype)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Average the values: one product for the whole batch. Sums are float32 at least, under autocast too."""
        with torch.autocast(values.device.type, enabled=False):
            logits, maps = self._maps(values.shape[2])
            wide = values.to(torch.promote_types(values.dtype, maps.dtype))
            return average(logits, maps, wide, valid).to(values.dtype)

    def _maps(self, time: int) -> tuple[Tensor, Tensor]:
        """The logits and their softmax over all keys, from memory where that is safe."""
        return self.kept(time, lambda: self._make(time))

    def _make(self, time: int) -> tuple[Tensor, Tensor]:
        logits = self.logits(time)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return logits, logits.softmax(-1)


def average(
    logits: Float[Tensor, "heads time time"],
    maps: Float[Tensor, "heads time time"],
    values: Float[Tensor, "batch heads time head_dim"],
    valid: Bool[Tensor, "batch time"],
) -> Float[Tensor, "batch heads time head_dim"]:
    """Average values with ``masked_softmax(logits)``, given ``maps = softmax(logits)`` over all keys.

    Args:
        logits: the maps before the softmax.
        maps: their softmax over all keys.
        values: what is averaged; at invalid steps anything may stand.
        valid: True where a step is real.

    Returns:
        The averages; at invalid steps something finite.
    """
    batch, _, _, head_dim = values.shape
    if bool(valid.all()):
        if batch == 1:
            return (maps @ values[0])[None]
        columns = values.permute(1, 2, 0, 3).flatten(2)
        return (maps @ columns).unflatten(2, (batch, head_dim)).permute(2, 0, 1, 3)
    real = valid.t()[None, :, :, None]  # 1 time batch 1
    columns = torch.where(real, values.permute(1, 2, 0, 3), 0.0)
    # The last column of each utterance is its valid steps: their average is the mass on valid keys.
    columns = torch.cat([columns, real.to(columns.dtype).expand(*columns.shape[:3], 1)], dim=-1)
    sums = (maps @ columns.flatten(2)).unflatten(2, (batch, head_dim + 1)).permute(2, 0, 1, 3)
    numerator, mass = sums[..., :head_dim], sums[..., head_dim:]
    vanishing = mass < VANISHING_MASS
    output = numerator / torch.where(vanishing, 1.0, mass)
    lost = vanishing & valid[:, None, :, None]
    if bool(lost.any()):
        output = _mend(output, lost, logits, values, valid)
    return output


def _mend(output: Tensor, lost: Tensor, logits: Tensor, values: Tensor, valid: Tensor) -> Tensor:
    """Replace lost rows by the masked softmax, an utterance at a time to bound memory."""
    mended = []
    for i in range(output.shape[0]):
        if bool(lost[i].any()):
            maps = masked_softmax(logits, valid[i, None, None, :].expand_as(logits))
            exact = maps @ torch.where(valid[i, None, :, None], values[i], 0.0)
            mended.append(torch.where(lost[i], exact, output[i]))
        else:
            mended.append(output[i])
    return torch.stack(mended)
