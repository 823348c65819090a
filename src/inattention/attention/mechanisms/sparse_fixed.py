"""`sparse-fixed`: some heads see their own block, the others the ends of all (Child et al. 2019; paper, section 3.3).

With the paper's eq. 15, query i attends to key j where floor(i / l) = floor(j / l) in heads of the first kind, and
where j mod l >= l - c in the others: the last c columns of each block, c = 1 in the paper. Both directions: the origin
is causal, an encoder is not. l = floor(sqrt T), and half of the heads are of either kind.

A last block that is not full may have no summary column, and an utterance shorter than a block has none at all: its
queries then attend to themselves.
"""

from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from inattention.attention.base import Card, Drawing, Reach
from inattention.attention.ops.sparse_patterns import Pattern, SparseAttention, sparse_flops, split_heads_in_two
from inattention.attention.ops.windows import attend, attention_flops
from inattention.attention.registry import register


def block_attention(
    query: Float[Tensor, "batch time heads head_dim"],
    key: Float[Tensor, "batch time heads head_dim"],
    values: Float[Tensor, "batch time heads head_dim"],
    valid: Bool[Tensor, "batch time"] | None,
    length: int,
) -> Float[Tensor, "batch time heads head_dim"]:
    """Attend to the real frames of one's own block; a last block that is not full is a call of its own."""
    batch, time = query.shape[:2]
    full = time // length * length
    parts = []
    if full:
        query_, key_, values_ = (x[:, :full].unflatten(1, (-1, length)).flatten(0, 1) for x in (query, key, values))
        allowed = None if valid is None else valid[:, :full].reshape(-1, 1, length)
        parts.append(attend(query_, key_, values_, allowed).reshape(batch, full, *query.shape[2:]))
    if full < time:
        allowed = None if valid is None else valid[:, None, full:]
        parts.append(attend(query[:, full:], key[:, full:], values[:, full:], allowed))
    return torch.cat(parts, 1)


def summary_attention(
    query: Float[Tensor, "batch time heads head_dim"],
    key: Float[Tensor, "batch time heads head_dim"],
    values: Float[Tensor, "batch time heads head_dim"],
    valid: Bool[Tensor, "batch time"] | None,
    length: int,
    columns: int,
) -> Float[Tensor, "batch time heads head_dim"]:
    """Attend to the real ones among the last ``columns`` frames of every block."""
    time, first = query.shape[1], max(0, length - columns)
    frames = [j for start in range(0, time, length) for j in range(start + first, min(start + length, time))]
    if not frames:
        return values
    summary = torch.tensor(frames, device=query.device)
    if valid is None:
        return attend(query, key[:, summary], values[:, summary], None)
    seen = valid[:, summary]
    output = attend(query, key[:, summary], values[:, summary], seen[:, None, :])
    return torch.where(seen.any(-1)[:, None, None, None], output, values)


def _block_flops(time: int, length: int, width: int) -> int:
    blocks, rest = divmod(time, length)
    return blocks * attention_flops(length, length, width) + attention_flops(rest, rest, width)


def _summary_flops(time: int, length: int, width: int, columns: int) -> int:
    blocks, rest = divmod(time, length)
    keys = blocks * min(columns, length) + max(0, rest - max(0, length - columns))
    return attention_flops(time, keys, width)


OWN_BLOCK = Pattern(
    allowed=lambda i, j, length: i // length == j // length,
    attend=block_attention,
    flops=_block_flops,
    reach=lambda length: Reach(length - 1, length - 1, grid=length),
)


def _patterns(heads: int, head_split: int | None, columns: int) -> tuple[tuple[int, Pattern], ...]:
    summary = Pattern(
        allowed=lambda i, j, length: (j % length >= length - columns).expand(i.shape[0], -1),
        attend=partial(summary_attention, columns=columns),
        flops=partial(_summary_flops, columns=columns),
        named="the ends of all blocks of the input",
    )
    near = split_heads_in_two(heads, head_split)
    return (near, OWN_BLOCK), (heads - near, summary)


def _flops(
    time: int,
    width: int,
    heads: int,
    *,
    stride: int = 0,
    summary: int = 1,
    head_split: int | None = None,
    share: bool = True,
    **options: object,
) -> int:
    return sparse_flops(_patterns(heads, head_split, summary), time, width, heads, stride, share)


@register(
    Card(
        name="sparse-fixed",
        label="Sparse (fixed)",
        family="sparse",
        citation="Child et al. 2019, Generating Long Sequences with Sparse Transformers",
        options={
            "stride": "l, the frames of a block; 0 for floor(sqrt(max_length))",
            "per_utterance": "l = floor(sqrt(real frames)) of each utterance",
            "summary": "c, how many of the last columns of each block all queries see; 1 in the paper",
            "head_split": "how many heads, from the first on, see their block; the rest the summary; none for half",
            "share": "one projection serves as query and key, as the paper has it; the origin has two",
        },
        variants={"per-utterance": {"per_utterance": True}, "separate": {"share": False}},
        fields=("CV",),
        training_cost="O(T (l + c T/l) d H); with l = sqrt T, O(T^1.5 d H)",
        inference_cost="O(T (l + c T/l) d H); with l = sqrt T, O(T^1.5 d H)",
        flops=_flops,
        shares_qk=True,
        drawing=Drawing(mask=True, heads={0: "own block", -1: "block ends"}),
    )
)
class SparseFixed(SparseAttention):
    """Softmax(q·k / sqrt d) over one's own block in some heads, over the ends of all blocks in the others.

    >>> attention = SparseFixed(width=8, heads=2, stride=3)
    >>> hidden, valid = torch.randn(1, 7, 8), torch.ones(1, 7, dtype=torch.bool)
    >>> attention.weights(hidden, valid)[0, :, 4].gt(0).int().tolist()
    [[0, 0, 0, 1, 1, 1, 0], [0, 0, 1, 0, 0, 1, 0]]
    """

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        max_length: int | None = None,
        stride: int = 0,
        per_utterance: bool = False,
        summary: int = 1,
        head_split: int | None = None,
        share: bool = True,
    ) -> None:
        if summary < 1:
            raise ValueError(f"summary must be at least 1 column a block, not {summary}")
        super().__init__(
            width=width,
            heads=heads,
            max_length=max_length,
            patterns=_patterns(heads, head_split, summary),
            length=stride,
            per_utterance=per_utterance,
            share=share,
        )
