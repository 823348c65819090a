"""`toeplitz-convolution`: bumps over j - i in each head, and a depthwise convolution of the values beside them.

    output_i = sum over j of A(i, j) v_j  +  sum over |k| <= reach of c_k * v_{i+k}

A bump gives all features of a head one and the same positive weights. The convolution has weights of its own for each
feature, negative ones too, so that a layer can take differences over time. It starts at zero: an encoder starts as
one with `toeplitz`. Invalid steps count as zeros.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from inattention.attention.base import Card, Drawing
from inattention.attention.mechanisms.toeplitz import Toeplitz, limits, starts
from inattention.attention.ops.banded import multiply_flops
from inattention.attention.ops.padding import zero_invalid
from inattention.attention.registry import register


def _flops(time: int, width: int, heads: int, *, reach: int = 3, floor: float = 1e-5) -> int:
    reached = tuple(limits(*start, floor, time) for start in starts(heads))
    return multiply_flops(time, reached, width // heads) + 2 * time * width * (2 * reach + 1)


@register(
    Card(
        name="toeplitz-convolution",
        label="Toeplitz and convolution",
        family="toeplitz",
        citation="this project",
        options={
            "reach": "steps to each side that the convolution takes in",
            "floor": "what every key counts beside a bump of height 1",
        },
        fields=("none before",),
        training_cost="O(T (w + k) d H), w the reach of a bump and k that of the convolution",
        inference_cost="O(T (w + k) d H), none of it to make the weights",
        flops=_flops,
        input_independent=True,
        averages=False,
        linear_map=False,
        drawing=Drawing(heads={0: "bump"}),
    )
)
class ToeplitzConvolution(Toeplitz):
    """What `toeplitz` gives, and a depthwise convolution of the values.

    Raises:
        ValueError: if the reach is below 1, or the floor not a share.

    >>> attention = ToeplitzConvolution(width=24, heads=12, reach=2)
    >>> attention.kernel.shape
    torch.Size([24, 1, 5])
    """

    def __init__(
        self, *, width: int, heads: int, max_length: int | None = None, reach: int = 3, floor: float = 1e-5
    ) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length, floor=floor)
        if reach < 1:
            raise ValueError(f"reach must be at least 1 step, not {reach}")
        self.reach = reach
        self.kernel = nn.Parameter(torch.zeros(width, 1, 2 * reach + 1))

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch heads time time"]:
        """There are none: the convolution weighs each feature of a head in its own way.

        Raises:
            ValueError: always.
        """
        raise ValueError("toeplitz-convolution has no weights over time that all features of a head share")

    def reference(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """The definition: the bumps' weights, and the convolution's, one shift after the other."""
        real = zero_invalid(values, valid)
        output = super().weights(hidden, valid).to(values.dtype) @ real
        time = values.shape[2]
        kernel = self.kernel.to(values.dtype).unflatten(0, (self.heads, self.head_dim))[:, :, 0]  # heads head_dim taps
        padded = F.pad(real, (0, 0, self.reach, self.reach))
        for tap in range(2 * self.reach + 1):
            output = output + padded[:, :, tap : tap + time] * kernel[:, None, :, tap]
        return output

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """The same by banded products and PyTorch's convolution."""
        channels = zero_invalid(values, valid).transpose(2, 3).flatten(1, 2)  # batch width time
        beside = F.conv1d(channels, self.kernel.to(values.dtype), padding=self.reach, groups=self.width)
        return super().forward(hidden, values, valid) + beside.unflatten(1, (self.heads, -1)).transpose(2, 3)
