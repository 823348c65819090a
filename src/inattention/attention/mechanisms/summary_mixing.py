"""`summary-mixing`: each step is put together with the mean of all steps (Parcollet et al. 2024, section 2.1).

The origin takes two branches of x, and a third map that joins them:

    h_i = c([ f(x_i) ; mean over valid j of s(x_j) ])

with f, s and c each a linear map and GELU. In a layer of ours the values are W_V x, and an output map follows, so

    f(x_i) = GELU(W_f x_i + b_f),    s(x_j) = GELU(value_j),    c(z) = GELU(W_c z + b_c),

all over the full width (the origin's form with one head), and the result is handed on in slices, as heads. What is
more than in the origin is the layer's own output map after c.

There are no weights over time to look at: GELU stands between the values and their mean, and around the whole. What
mixes steps is the mean alone, as in `uniform`. The summary is the same for all steps, so that its half of W_c is
applied once an utterance.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from inattention.attention.base import AttentionMechanism, Card
from inattention.attention.ops.padding import projection, split_heads, zero_invalid
from inattention.attention.registry import register


@register(
    Card(
        name="summary-mixing",
        label="SummaryMixing",
        family="linear",
        citation="Parcollet et al. 2024, SummaryMixing: A Linear-Complexity Alternative to Self-Attention for Speech "
        "Recognition and Understanding",
        fields=("Speech",),
        training_cost="O(T d² H²), its two maps of each step; the mean is O(T d H)",
        inference_cost="O(T d² H²), its two maps of each step; the mean is O(T d H)",
        flops=lambda time, width, heads, **options: 4 * time * width**2 + 2 * width**2,
        averages=False,
        linear_map=False,
    )
)
class SummaryMixing(AttentionMechanism):
    """A map of each step, joined with the mean of what all steps say.

    >>> mixing = SummaryMixing(width=8, heads=2)
    >>> hidden, valid = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
    >>> mixing(hidden, torch.randn(1, 2, 5, 4), valid).shape
    torch.Size([1, 2, 5, 4])
    """

    def __init__(self, *, width: int, heads: int, max_length: int | None = None) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        self.local = projection(width, width)
        # c, cut in two: what it does with the local branch (and its bias), and with the summary.
        self.join_local = projection(width, width)
        self.join_summary = nn.Linear(width, width, bias=False)
        nn.init.normal_(self.join_summary.weight, std=0.02)

    def reference(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """The definition: both branches side by side at every step, through one map."""
        local = F.gelu(self.local(zero_invalid(hidden, valid)))
        said = F.gelu(zero_invalid(values, valid).transpose(1, 2).flatten(2))
        summary = torch.stack([x[v].sum(0) / max(1, int(v.sum())) for x, v in zip(said, valid, strict=True)])
        both = torch.cat([local, summary[:, None].expand_as(local)], dim=-1)
        weight = torch.cat([self.join_local.weight, self.join_summary.weight], dim=1)
        joined = F.gelu(F.linear(both, weight, self.join_local.bias))
        return split_heads(joined, self.heads).to(values.dtype)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """The same with the summary's half of the last map computed once an utterance."""
        local = F.gelu(self.local(zero_invalid(hidden, valid)))
        said = F.gelu(zero_invalid(values, valid))  # which leaves zeros at zero
        count = valid.sum(-1).clamp(min=1)[:, None, None]
        # The sum runs over all of time: float32 at least.
        wide = torch.promote_types(said.dtype, torch.float32)
        summary = (said.sum(2, dtype=wide) / count).flatten(1).to(said.dtype)
        joined = F.gelu(self.join_local(local) + self.join_summary(summary)[:, None])
        return split_heads(joined, self.heads).to(values.dtype)
