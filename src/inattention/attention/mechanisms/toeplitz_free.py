"""`toeplitz-free`: weights that depend on j - i in most heads, and maps that may become anything in the others.

A Gaussian over j - i cannot express "the beginning of the utterance" or "each fourth frame". So the last ``free`` heads
have maps of their own, started at random as a Random Synthesizer's; the others are Gaussians and start as `toeplitz`
does.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inattention.attention.base import Card, Drawing
from inattention.attention.ops.fixed_maps import FixedMaps, crop
from inattention.attention.ops.gaussians import initial_caption, initial_gaussians, log_weights
from inattention.attention.registry import register

FREE_DEVIATION = 0.02  # of the free maps' logits, as of all weights of the encoder


@register(
    Card(
        name="toeplitz-free",
        label="Toeplitz, some maps free",
        family="toeplitz",
        citation="this project",
        options={
            "free": "how many heads have maps of their own",
            "floor": "uniform weight of every key, relative to a Gaussian of height 1",
        },
        fields=("none before",),
        training_cost="O(T² d H)",
        inference_cost="O(T² d H), none of it to make the weights",
        flops=lambda time, width, heads, **options: 2 * time**2 * width,
        input_independent=True,
        needs_max_length=True,
        drawing=Drawing(heads={**{head: initial_caption(head) for head in (0, 1, 5, 8)}, -1: "free"}),
    )
)
class ToeplitzFree(FixedMaps):
    """Softmax of Gaussians over j - i in most heads, and of free maps in the last ones.

    Raises:
        ValueError: if no head is left for a Gaussian, max_length is missing, or the floor is outside of (0, 1).

    >>> ToeplitzFree(width=24, heads=12, max_length=10).logits(4)[0].argmax(-1).tolist()
    [0, 1, 2, 3]
    """

    def __init__(
        self, *, width: int, heads: int, max_length: int | None = None, free: int = 1, floor: float = 1e-5
    ) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        if max_length is None:
            raise ValueError("toeplitz-free needs max_length, the longest input in frames")
        if not 0 <= free < heads:
            raise ValueError(f"free must be between 0 and {heads - 1} (there are {heads} heads), not {free}")
        if not 0 < floor < 1:
            raise ValueError(f"floor must be between 0 and 1, not {floor}")
        self.floor = floor
        offset, gaussian_width = torch.tensor(initial_gaussians(heads - free)).unbind(1)
        self.offset = nn.Parameter(offset)
        self.log_width = nn.Parameter(gaussian_width.log())
        self.maps = nn.Parameter(FREE_DEVIATION * torch.randn(free, max_length, max_length))

    def logits(self, time: int) -> Float[Tensor, "heads time time"]:
        """Return the logarithm of the weights, before rows are scaled to sum to 1."""
        free = crop(self.maps, time)
        return torch.cat([log_weights(self.offset, self.log_width.exp(), self.floor, time), free])
