"""`toeplitz-convolution`: Gaussians over j - i in each head, and a parallel depthwise convolution of the values.

    output_i = sum over j of A(i, j) v_j  +  sum over |k| <= reach of c_k * v_{i+k}

A Gaussian gives all features of a head one and the same positive weights. The convolution has weights of its own for
each feature, negative ones too, so that a layer can take differences over time. It starts at zero: an encoder starts as
one with `toeplitz`. Padding counts as zeros.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from inattention.attention.base import Card, Drawing
from inattention.attention.ops.banded import multiply_flops
from inattention.attention.ops.cache import CachesInEvaluation
from inattention.attention.ops.gaussians import (
    average_banded,
    band_limits,
    initial_gaussians,
    log_weights,
    make_banded,
)
from inattention.attention.ops.padding import softmax_over_valid, tracing, zero_invalid
from inattention.attention.registry import register


def _flops(time: int, width: int, heads: int, *, reach: int = 3, floor: float = 1e-5) -> int:
    limits = tuple(band_limits(*gaussian, floor, time) for gaussian in initial_gaussians(heads))
    return multiply_flops(time, limits, width // heads) + 2 * time * width * (2 * reach + 1)


@register(
    Card(
        name="toeplitz-convolution",
        label="Toeplitz and convolution",
        family="toeplitz",
        citation="this project",
        options={
            "reach": "frames to each side that the convolution takes in",
            "floor": "uniform weight of every key, relative to a Gaussian of height 1",
        },
        fields=("none before",),
        training_cost="O(T (w + k) d H), w the reach of a Gaussian and k that of the convolution",
        inference_cost="O(T (w + k) d H), none of it to make the weights",
        flops=_flops,
        input_independent=True,
        averages=False,
        linear_map=False,
        drawing=Drawing(heads={0: "bump"}),
    )
)
class ToeplitzConvolution(CachesInEvaluation):
    """The average that `toeplitz` takes, plus a depthwise convolution of the values.

    Raises:
        ValueError: for a floor outside of (0, 1), or a reach below 1.

    >>> attention = ToeplitzConvolution(width=24, heads=12, reach=2)
    >>> attention.kernel.shape
    torch.Size([24, 1, 5])
    """

    def __init__(
        self, *, width: int, heads: int, max_length: int | None = None, reach: int = 3, floor: float = 1e-5
    ) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        if not 0 < floor < 1:
            raise ValueError(f"floor must be between 0 and 1, not {floor}")
        if reach < 1:
            raise ValueError(f"reach must be at least 1 frame, not {reach}")
        self.floor = floor
        self.reach = reach
        offset, gaussian_width = torch.tensor(initial_gaussians(heads)).unbind(1)
        self.offset = nn.Parameter(offset)
        self.log_width = nn.Parameter(gaussian_width.log())
        self.kernel = nn.Parameter(torch.zeros(width, 1, 2 * reach + 1))

    @property
    def unlimited_by(self) -> str:
        """The uniform weight."""
        return "all frames of the input, by the uniform weight under its Gaussians (floor)"

    def reference(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Add the convolution, one shift after the other, to the average with dense weights."""
        batch, _, time, _ = values.shape
        real = zero_invalid(values, valid)
        logits = log_weights(self.offset, self.log_width.exp(), self.floor, time)
        output = softmax_over_valid(logits.expand(batch, -1, -1, -1), valid).to(values.dtype) @ real
        kernel = self.kernel.to(values.dtype).unflatten(0, (self.heads, self.head_dim))[:, :, 0]  # heads head_dim taps
        padded = F.pad(real, (0, 0, self.reach, self.reach))
        for tap in range(2 * self.reach + 1):
            output = output + padded[:, :, tap : tap + time] * kernel[:, None, :, tap]
        return output

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Add PyTorch's convolution to the average by banded products."""
        if tracing():
            return self.reference(hidden, values, valid)
        time = values.shape[2]
        channels = zero_invalid(values, valid).transpose(2, 3).flatten(1, 2)  # batch width time
        convolved = F.conv1d(channels, self.kernel.to(values.dtype), padding=self.reach, groups=self.width)
        with torch.autocast(values.device.type, enabled=False):
            dtype = torch.promote_types(values.dtype, self.offset.dtype)
            banded = self.cached(
                (time, dtype), lambda: make_banded(self.offset, self.log_width.exp(), self.floor, time, dtype)
            )
            averaged = average_banded(banded, self.floor, values, valid).to(values.dtype)
        return averaged + convolved.unflatten(1, (self.heads, -1)).transpose(2, 3)
