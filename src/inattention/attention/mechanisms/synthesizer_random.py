"""`synthesizer-random`: one learned map per head, the same for every input (Tay et al. 2020; paper, section 3.4.2)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inattention.attention.base import Card
from inattention.attention.ops.fixed_maps import FixedMaps, check_length, crop
from inattention.attention.registry import register


@register(
    Card(
        name="synthesizer-random",
        label="Syn. (Random)",
        family="synthesizer",
        citation="Tay et al. 2020, Synthesizer: Rethinking Self-Attention in Transformer Models",
        options={"rank": "0 for a free map R; k for R = R1 R2' with factors of k columns"},
        variants={"factorised": {"rank": 8}},
        fields=("NLP",),
        training_cost="O(T² d H)",
        inference_cost="O(T² d H), none of it to make the weights",
        flops=lambda time, width, heads, **options: 2 * time**2 * width,
        input_independent=True,
        needs_max_length=True,
    )
)
class RandomSynthesizer(FixedMaps):
    """A = softmax(R[:, :T, :T]) with R of (heads, max_length, max_length) from N(0, 1), learned.

    >>> attention = RandomSynthesizer(width=8, heads=2, max_length=10)
    >>> attention.logits(5).shape
    torch.Size([2, 5, 5])
    """

    def __init__(self, *, width: int, heads: int, max_length: int, rank: int = 0) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        if rank < 0:
            raise ValueError(f"rank must be 0 (a free map) or more, not {rank}")
        self.rank = rank
        if rank:
            # Products of two factors of this deviation have unit variance, like the free map.
            deviation = rank**-0.25
            self.rows = nn.Parameter(deviation * torch.randn(heads, max_length, rank))
            self.columns = nn.Parameter(deviation * torch.randn(heads, max_length, rank))
        else:
            self.maps = nn.Parameter(torch.randn(heads, max_length, max_length))

    def logits(self, time: int) -> Float[Tensor, "heads time time"]:
        """Return the learned maps, cropped to the input."""
        if not self.rank:
            return crop(self.maps, time)
        check_length(time, self.rows.shape[1])
        return self.rows[:, :time] @ self.columns[:, :time].transpose(1, 2)
