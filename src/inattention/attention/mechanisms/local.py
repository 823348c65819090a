"""`local`: attention within a window, |i - j| <= w, in every head. A control.

It is the first half of `sparse-strided` alone. The paper explains the good phonemes of its sparse rows by the window
that they always contain (section 4.2); this row shows whether the window is enough.
"""

from inattention.attention.base import Card, Drawing
from inattention.attention.ops.sparse_patterns import SparseAttention, sparse_flops
from inattention.attention.ops.windows import WINDOW
from inattention.attention.registry import register


def _flops(time: int, width: int, heads: int, *, window: int = 0, share: bool = True, **options: object) -> int:
    return sparse_flops(((heads, WINDOW),), time, width, heads, window, share)


@register(
    Card(
        name="local",
        label="Control: local window",
        family="control",
        citation="a control of this project",
        options={
            "window": "w, how far a frame sees on either side; 0 for floor(sqrt(max_length)), as sparse-strided has it",
            "per_utterance": "w = floor(sqrt(real frames)) of each utterance",
            "share": "one projection serves as query and key, as in the paper's sparse rows",
        },
        variants={"per-utterance": {"per_utterance": True}},
        training_cost="O(T w d H); with w = sqrt T, O(T^1.5 d H)",
        inference_cost="O(T w d H); with w = sqrt T, O(T^1.5 d H)",
        flops=_flops,
        shares_qk=True,
        drawing=Drawing(mask=True),
    )
)
class Local(SparseAttention):
    """Softmax(q·k / sqrt d) over the frames at most ``window`` away.

    >>> import torch
    >>> attention = Local(width=8, heads=2, window=1)
    >>> hidden, valid = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
    >>> attention.weights(hidden, valid).count_nonzero(dim=-1)[0, 0].tolist()
    [2, 3, 3, 3, 2]
    """

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        max_length: int | None = None,
        window: int = 0,
        per_utterance: bool = False,
        share: bool = True,
    ) -> None:
        super().__init__(
            width=width,
            heads=heads,
            max_length=max_length,
            patterns=((heads, WINDOW),),
            length=window,
            per_utterance=per_utterance,
            share=share,
            named="window",
        )
