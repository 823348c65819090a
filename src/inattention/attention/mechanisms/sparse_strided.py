"""`sparse-strided`: some heads see a window, the others every l-th frame (Child et al. 2019; paper, section 3.3).

With the paper's eq. 15, query i attends to key j where |i - j| <= l in heads of the first kind, and where
(i - j) mod l = 0 in the others, in both directions: the origin is causal, an encoder is not. l = floor(sqrt T), and
half of the heads are of either kind.
"""

from inattention.attention.base import Card, Drawing
from inattention.attention.ops.sparse_patterns import Pattern, SparseAttention, sparse_flops, split_heads_in_two
from inattention.attention.ops.windows import WINDOW, residue_attention, residue_flops
from inattention.attention.registry import register

STRIDED = Pattern(
    allowed=lambda i, j, length: (i - j) % length == 0,
    attend=residue_attention,
    flops=residue_flops,
    named="every l-th frame of the input",
)


def _patterns(heads: int, head_split: int | None) -> tuple[tuple[int, Pattern], ...]:
    near = split_heads_in_two(heads, head_split)
    return (near, WINDOW), (heads - near, STRIDED)


def _flops(
    time: int,
    width: int,
    heads: int,
    *,
    stride: int = 0,
    head_split: int | None = None,
    share: bool = True,
    **options: object,
) -> int:
    return sparse_flops(_patterns(heads, head_split), time, width, heads, stride, share)


@register(
    Card(
        name="sparse-strided",
        label="Sparse (strided)",
        family="sparse",
        citation="Child et al. 2019, Generating Long Sequences with Sparse Transformers",
        options={
            "stride": "l, window and stride in frames; 0 for floor(sqrt(max_length))",
            "per_utterance": "l = floor(sqrt(real frames)) of each utterance",
            "head_split": "how many heads, from the first on, see the window; the rest stride; none for half",
            "share": "one projection serves as query and key, as the paper has it; the origin has two",
        },
        variants={"per-utterance": {"per_utterance": True}, "separate": {"share": False}},
        fields=("CV",),
        training_cost="O(T (l + T/l) d H); with l = sqrt T, O(T^1.5 d H)",
        inference_cost="O(T (l + T/l) d H); with l = sqrt T, O(T^1.5 d H)",
        flops=_flops,
        shares_qk=True,
        drawing=Drawing(mask=True, heads={0: "near", -1: "at strides"}),
    )
)
class SparseStrided(SparseAttention):
    """Softmax(q·k / sqrt d) over a window in some heads, over every l-th frame in the others.

    >>> import torch
    >>> attention = SparseStrided(width=8, heads=2, stride=2)
    >>> hidden, valid = torch.randn(1, 7, 8), torch.ones(1, 7, dtype=torch.bool)
    >>> attention.weights(hidden, valid)[0, :, 3].gt(0).int().tolist()
    [[0, 1, 1, 1, 1, 1, 0], [0, 1, 0, 1, 0, 1, 0]]
    """

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        max_length: int | None = None,
        stride: int = 0,
        per_utterance: bool = False,
        head_split: int | None = None,
        share: bool = True,
    ) -> None:
        super().__init__(
            width=width,
            heads=heads,
            max_length=max_length,
            patterns=_patterns(heads, head_split),
            length=stride,
            per_utterance=per_utterance,
            share=share,
        )
