"""`synthesizer-random`: one learned map a head, the same for every input (Tay et al. 2020; paper, section 3.4.2)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inattention.attention.base import Card
from inattention.attention.ops.fixed_maps import FixedMaps
from inattention.attention.registry import register


def cut(maps: Float[Tensor, "heads longest longest"], time: int) -> Float[Tensor, "heads time time"]:
    """Give the first ``time`` rows and columns of maps.

    Raises:
        ValueError: if the maps are smaller than that.
    """
    if time > maps.shape[-1]:
        raise ValueError(
            f"the input has {time} steps and the attention maps were made for {maps.shape[-1]} (max_length); "
            "use AudioTransformer.extract, which takes long input in overlapping chunks, or crop the input"
        )
    return maps[:, :time, :time]


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
            # Products of two factors of this spread have unit variance, like the free map.
            spread = rank**-0.25
            self.rows = nn.Parameter(spread * torch.randn(heads, max_length, rank))
            self.columns = nn.Parameter(spread * torch.randn(heads, max_length, rank))
        else:
            self.maps = nn.Parameter(torch.randn(heads, max_length, max_length))

    def logits(self, time: int) -> Float[Tensor, "heads time time"]:
        """The learned maps, cut to the input."""
        if not self.rank:
            return cut(self.maps, time)
        longest = self.rows.shape[1]
        if time > longest:
            return cut(self.rows.new_empty(0, longest, longest), time)  # raises
        return self.rows[:, :time] @ self.columns[:, :time].transpose(1, 2)
