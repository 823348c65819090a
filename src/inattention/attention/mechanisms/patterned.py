"""`patterned`: a Random Synthesizer started from hand-made maps, the paper's own mechanism (section 3.5, Fig. 2).

The seven hand-made maps follow the authors' code; five more of twelve heads start at random. The authors put the
maps in as *logits*, which the softmax all but flattens: at 500 frames the identity head peaks at 2.7 times uniform.
Putting them in as *log-weights* makes the layer start at the very maps that Fig. 2(a) shows.

``categories`` sets instead how many heads start from a map of each category of Fig. 4: diagonal=5, increasing=1,
decreasing=1, sparse=5 are the counts of Fig. 2(a) and, for twelve heads, the authors' own split. The diagonal maps are
taken in the order of `DIAGONALS`, then further offsets, +2, -2, +3, and so on.

``init="bumps"`` starts every head at the Gaussian that `toeplitz` starts at, and leaves the maps free.

``init`` may also name a file of maps, such as those derived from a trained encoder: they are put in as log-weights,
brought to ``max_length`` as `inattention.attention.ops.map_files` says.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inattention.attention.base import Card, Drawing
from inattention.attention.ops.fixed_maps import FixedMaps, crop
from inattention.attention.ops.gaussians import initial_gaussians
from inattention.attention.ops.gaussians import log_weights as gaussian_log_weights
from inattention.attention.ops.map_files import FLOOR, SUFFIX, log_weights, maps_for, names_file
from inattention.attention.registry import register
from inattention.text import nearest

DIAGONALS = ("self", "next", "previous", "past", "future")
PATTERNS = (*DIAGONALS, "increasing", "decreasing")
# `mixed` heads fit no category: like the sparse ones, they start at random.
CATEGORIES = ("diagonal", "increasing", "decreasing", "sparse", "mixed")
UNIFORM_WEIGHT = 1e-5  # of every key, relative to a Gaussian of height 1, as in toeplitz
INITS = ("log-weights", "logits", "bumps")


def hand_made_map(pattern: str, length: int) -> Float[Tensor, "length length"]:
    """Return one of the authors' maps: rows are queries, columns keys; rows sum to 1 or, without any key, are zero.

    Args:
        pattern: ``self`` (j = i), ``next`` (j = i + 1, wrapping round), ``previous`` (j = i - 1, wrapping round),
            ``past`` ((j + 1)³ on j <= i - 2), ``future`` ((j + 1)³ on j >= i + 2), ``increasing`` ((j + 1)³),
            ``decreasing`` ((length - j)³), or an offset such as ``+2`` or ``-3`` (j = i + 2, ...; not wrapping round:
            rows whose key lies beyond the ends are zero).
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
    if pattern in maps:
        rows = maps[pattern]()
    elif pattern[:1] in ("+", "-") and pattern[1:].isdecimal():
        rows = (keys == keys[:, None] + int(pattern)).double()
    else:
        raise ValueError(f"there is no hand-made map {pattern!r}; known: {', '.join(PATTERNS)}, +2, -2, ...")
    return (rows / rows.sum(-1, keepdim=True).clamp(min=1)).float()


def patterns_for(heads: int) -> list[str]:
    """Return the pattern that each head starts from, in the paper's split of 7 hand-made to 5 random.

    >>> patterns_for(4)
    ['self', 'next', 'random', 'random']
    """
    hand_made = max(1, round(heads * len(PATTERNS) / 12))
    return [PATTERNS[head % len(PATTERNS)] if head < hand_made else "random" for head in range(heads)]


def patterns_of(categories: str, heads: int) -> list[str]:
    """Return the pattern that each head starts from, for counts of heads by category.

    Args:
        categories: counts by category, such as ``diagonal=5,increasing=1,decreasing=1,sparse=5``.
        heads: what the counts must add up to.

    Raises:
        ValueError: if the text cannot be parsed, a category is unknown, or the counts add up to another number.

    >>> patterns_of("increasing=1,diagonal=6,sparse=1", heads=8)
    ['increasing', 'self', 'next', 'previous', 'past', 'future', '+2', 'random']
    """
    given = f"categories={categories!r}"
    patterns: list[str] = []
    seen: set[str] = set()
    for part in categories.split(","):
        category, _, count = (word.strip() for word in part.partition("="))
        if category not in CATEGORIES:
            raise ValueError(f"{given}: there is no category {category!r}{nearest(category, CATEGORIES)}")
        if not count.isdecimal():
            raise ValueError(f"{given}: {category} needs a count of heads, as in {category}=2")
        if category in seen:
            raise ValueError(f"{given}: {category} is given twice")
        seen.add(category)
        patterns += [_pattern(category, number) for number in range(int(count))]
    if len(patterns) != heads:
        raise ValueError(f"{given}: the counts add up to {len(patterns)}; the encoder has {heads} heads")
    return patterns


def _pattern(category: str, number: int) -> str:
    """Return the pattern of a category's n-th head, counted from 0."""
    if category != "diagonal":
        return category if category in PATTERNS else "random"
    if number < len(DIAGONALS):
        return DIAGONALS[number]
    further, back = divmod(number - len(DIAGONALS), 2)
    return f"{'-' if back else '+'}{further + 2}"


@register(
    Card(
        name="patterned",
        label="Ours (patterned)",
        family="synthesizer",
        citation="Wu et al. 2021, Input-independent Attention Weights Are Expressive Enough",
        options={
            "init": "'log-weights': the softmax starts at the hand-made maps; 'logits': the maps are the logits, "
            "as the authors ran it; 'bumps': the softmax starts at the Gaussians that toeplitz starts at; or a "
            "safetensors file of maps, which are put in as log-weights",
            "categories": "how many heads start from a map of each category, such as "
            "diagonal=5,increasing=1,decreasing=1,sparse=5 (Fig. 2a); '' for the authors' split",
        },
        files=("init",),
        variants={"logits": {"init": "logits"}, "log-weights": {"init": "log-weights"}, "bumps": {"init": "bumps"}},
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
    """A = softmax(R[:, :T, :T]), R started from hand-made maps or from a file's, and learned.

    Raises:
        ValueError: for another ``init``, a file that cannot be used, counts that do not fit, or both of them.

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
        init: str = "log-weights",
        categories: str = "",
        layer: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        if names_file(init):
            if categories:
                raise ValueError(f"categories={categories!r} and the maps of {init} are two ways to start: choose one")
            self.maps = nn.Parameter(log_weights(maps_for(init, heads=heads, layer=layer), max_length))
            return
        if init not in INITS:
            raise ValueError(
                f"init must be 'log-weights', 'logits', 'bumps', or a file of maps that ends in {SUFFIX}, not {init!r}"
                f"{nearest(init, INITS)}"
            )
        if init == "bumps":
            if categories:
                raise ValueError(f"categories={categories!r} and init='bumps' are two ways to start: choose one")
            offset, gaussian_width = torch.tensor(initial_gaussians(heads)).unbind(1)
            start = gaussian_log_weights(offset, gaussian_width, UNIFORM_WEIGHT, max_length)
            self.maps = nn.Parameter(start.contiguous())
            return
        random = torch.randn(heads, max_length, max_length)
        maps = []
        for head, pattern in enumerate(patterns_of(categories, heads) if categories else patterns_for(heads)):
            if pattern == "random":
                maps.append(random[head])
            elif init == "logits":
                maps.append(hand_made_map(pattern, max_length))
            else:
                maps.append((hand_made_map(pattern, max_length) + FLOOR / max_length).log())
        self.maps = nn.Parameter(torch.stack(maps))

    def logits(self, time: int) -> Float[Tensor, "heads time time"]:
        """Return the learned maps, cropped to the input."""
        return crop(self.maps, time)
