"""`toeplitz-free`: weights that depend on j - i in most heads, and maps that may become anything in the others.

A bump over j - i cannot say "the beginning of the utterance" or "each fourth step". So the last ``free`` heads have
maps of their own, started at random as a Random Synthesizer's; the others start as `toeplitz` does, and stay bumps.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inattention.attention.base import Card, Drawing
from inattention.attention.mechanisms.synthesizer_random import cut
from inattention.attention.mechanisms.toeplitz import bumps, offset_and_width, spread, starts
from inattention.attention.ops.fixed_maps import FixedMaps
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
            "floor": "what every key counts beside a bump of height 1",
        },
        fields=("none before",),
        training_cost="O(T² d H)",
        inference_cost="O(T² d H), none of it to make the weights",
        flops=lambda time, width, heads, **options: 2 * time**2 * width,
        input_independent=True,
        needs_max_length=True,
        drawing=Drawing(heads={**{head: offset_and_width(head) for head in (0, 1, 5, 8)}, -1: "free"}),
    )
)
class ToeplitzFree(FixedMaps):
    """Softmax of bumps over j - i, and of free maps.

    Raises:
        ValueError: if there are more free heads than heads, or none that is not, or the floor is no share.

    >>> ToeplitzFree(width=24, heads=12, max_length=10).logits(4)[0].argmax(-1).tolist()
    [0, 1, 2, 3]
    """

    def __init__(
        self, *, width: int, heads: int, max_length: int | None = None, free: int = 1, floor: float = 1e-5
    ) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        if max_length is None:
            raise ValueError("toeplitz-free needs max_length, the longest input in steps")
        if not 0 <= free < heads:
            raise ValueError(f"free must lie between 0 and {heads - 1}, for {heads} heads, not at {free}")
        if not 0 < floor < 1:
            raise ValueError(f"floor must lie between 0 and 1, not at {floor}")
        self.floor = floor
        offset, bump_width = torch.tensor(starts(heads - free)).unbind(1)
        self.offset = nn.Parameter(offset)
        self.log_width = nn.Parameter(bump_width.log())
        self.maps = nn.Parameter(FREE_DEVIATION * torch.randn(free, max_length, max_length))

    def logits(self, time: int) -> Float[Tensor, "heads time time"]:
        """The logarithm of the weights, before rows are scaled to sum to 1."""
        free = cut(self.maps, time)
        bands = (self.floor + bumps(self.offset, self.log_width.exp(), 1 - time, time - 1)).log()
        return torch.cat([spread(bands, time), free])
