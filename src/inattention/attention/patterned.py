"""`patterned`: a Random Synthesizer started from hand-made maps, the paper's own mechanism (section 3.5, Fig. 2).

The seven hand-made maps follow the authors' code; five more of twelve heads start at random. The authors put the
maps in as *logits*, which the softmax all but flattens: at 500 steps the identity head peaks at 2.7 times uniform.
Putting them in as *log-weights* makes the layer start at the very maps that Fig. 2(a) shows.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inattention.attention.contract import Card, Drawing
from inattention.attention.fixed_maps import FixedMaps
from inattention.attention.registry import register
from inattention.attention.synthesizer_random import cut

PATTERNS = ("self", "next", "previous", "past", "future", "increasing", "decreasing")


def hand_made_map(pattern: str, length: int) -> Float[Tensor, "length length"]:
    """Give one of the authors' maps: rows are queries, columns keys; rows sum to 1 or, where nothing fits, are empty.

    Args:
        pattern: ``self`` (j = i), ``next`` (j = i + 1, wrapping round), ``previous`` (j = i - 1, wrapping round),
            ``past`` ((j + 1)³ on j <= i - 2), ``future`` ((j + 1)³ on j >= i + 2), ``increasing`` ((j + 1)³) or
            ``decreasing`` ((length - j)³).
        length: rows and columns.

    Raises:
        ValueError: for any other pattern.

    >>> hand_made_map("next", 3).tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    keys = torch.arange(length, dtype=torch.float64)
    rising = ((keys + 1) ** 3).expand(length, length)
    maps = {
        "self": lambda: torch.eye(length, dtype=torch.float64),
        "next": lambda: torch.eye(length, dtype=torch.float64).roll(1, dims=1),
        "previous": lambda: torch.eye(length, dtype=torch.float64).roll(-1, dims=1),
        "past": lambda: rising.tril(-2),
        "future": lambda: rising.triu(2),
        "increasing": lambda: rising,
        "decreasing": lambda: rising.flip(1),
    }
    if pattern not in maps:
        raise ValueError(f"there is no hand-made map {pattern!r}; known: {', '.join(PATTERNS)}")
    rows = maps[pattern]()
    return (rows / rows.sum(-1, keepdim=True).clamp(min=1)).float()


def patterns_for(heads: int) -> list[str]:
    """Say which pattern each head starts from; the paper's split of 7 hand-made to 5 random is kept for any number.

    >>> patterns_for(4)
    ['self', 'next', 'random', 'random']
    """
    hand_made = max(1, round(heads * len(PATTERNS) / 12))
    return [PATTERNS[head % len(PATTERNS)] if head < hand_made else "random" for head in range(heads)]


@register(
    Card(
        name="patterned",
        label="Ours (patterned)",
        family="synthesizer",
        citation="Wu et al. 2021, Input-independent Attention Weights Are Expressive Enough",
        options={
            "init": "'log-weights': the softmax starts at the hand-made maps; 'logits': the maps are the logits, "
            "as the authors ran it",
        },
        variants={"logits": {"init": "logits"}, "log-weights": {"init": "log-weights"}},
        fields=("none before",),
        training_cost="O(T² d H)",
        inference_cost="O(T² d H), none of it to make the weights",
        flops=lambda time, width, heads, **options: 2 * time**2 * width,
        input_independent=True,
        needs_max_length=True,
        drawing=Drawing(heads={**{head: PATTERNS[head] for head in range(len(PATTERNS))}, -1: "random"}),
    )
)
class Patterned(FixedMaps):
    """A = softmax(R[:, :T, :T]), R started from hand-made maps and learned.

    >>> attention = Patterned(width=24, heads=12, max_length=10)
    >>> attention.logits(4)[0].argmax(-1).tolist()
    [0, 1, 2, 3]
    """

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        max_length: int,
        init: Literal["log-weights", "logits"] = "log-weights",
    ) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        if init not in ("log-weights", "logits"):
            raise ValueError(f"init must be 'log-weights' or 'logits', not {init!r}")
        random = torch.randn(heads, max_length, max_length)
        maps = []
        for head, pattern in enumerate(patterns_for(heads)):
            if pattern == "random":
                maps.append(random[head])
            elif init == "logits":
                maps.append(hand_made_map(pattern, max_length))
            else:  # the floor keeps every key in reach of the gradient, and spreads an empty row evenly
                maps.append((hand_made_map(pattern, max_length) + 1e-3 / max_length).log())
        self.maps = nn.Parameter(torch.stack(maps))

    def logits(self, time: int) -> Float[Tensor, "heads time time"]:
        """The learned maps, cut to the input."""
        return cut(self.maps, time)
