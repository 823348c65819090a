"""`summary-mixing`: each frame is joined with the mean of all frames (Parcollet et al. 2024, section 2.1).

The origin takes two branches of x, and a third map that joins them:

    h_i = c([ f(x_i) ; mean over valid j of s(x_j) ])

with f, s and c each a linear map and GELU. In a layer of ours the values are W_V x, and an output map follows, so

    f(x_i) = GELU(W_f x_i + b_f),    s(x_j) = GELU(value_j),    c(z) = GELU(W_c z + b_c),

all over the full width (the origin's form with one head), and the result is returned in slices, as heads. The layer's
own output map after c is not in the origin.

There are no weights over time: GELU stands between the values and their mean, and around the whole. Only the mean
mixes frames, as in `uniform`. The summary is the same for all frames, so that its half of W_c is
applied once an utterance.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from inattention.attention.base import AttentionMechanism, Card
from inattention.attention.ops.padding import full_mask, zero_invalid
from inattention.attention.ops.projections import projection, split_heads
from inattention.attention.registry import register


@register(
    Card(
        name="summary-mixing",
        label="SummaryMixing",
        family="linear",
        citation="Parcollet et al. 2024, SummaryMixing: A Linear-Complexity Alternative to Self-Attention for Speech "
        "Recognition and Understanding",
        fields=("Speech",),
        training_cost="O(T d² H²), its two maps of each frame; the mean is O(T d H)",
        inference_cost="O(T d² H²), its two maps of each frame; the mean is O(T d H)",
        flops=lambda time, width, heads, **options: 4 * time * width**2 + 2 * width**2,
        averages=False,
        linear_map=False,
    )
)
class SummaryMixing(AttentionMechanism):
    """A map of each frame, joined with the mean of a map of all frames.

    >>> mixing = SummaryMixing(width=8, heads=2)
    >>> hidden, valid = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
    >>> mixing(hidden, torch.randn(1, 2, 5, 4), valid).shape
    torch.Size([1, 2, 5, 4])
    """

    def __init__(self, *, width: int, heads: int, max_length: int | None = None) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        self.local = projection(width, width)
        # c in two parts: for the local branch (with c's bias) and for the summary.
        self.join_local = projection(width, width)
        self.join_summary = nn.Linear(width, width, bias=False)
        nn.init.normal_(self.join_summary.weight, std=0.02)

    def reference(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Join both branches at every frame by one map: the definition."""
        local = F.gelu(self.local(zero_invalid(hidden, valid)))
        branch = F.gelu(zero_invalid(values, valid).transpose(1, 2).flatten(2))
        summary = branch.sum(1) / full_mask(valid, hidden).sum(-1, keepdim=True).clamp(min=1)
        both = torch.cat([local, summary[:, None].expand_as(local)], dim=-1)
        weight = torch.cat([self.join_local.weight, self.join_summary.weight], dim=1)
        joined = F.gelu(F.linear(both, weight, self.join_local.bias))
        return split_heads(joined, self.heads).to(values.dtype)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Do the same with the summary's half of the last map computed once an utterance."""
        local = F.gelu(self.local(zero_invalid(hidden, valid)))
        branch = F.gelu(zero_invalid(values, valid))  # which leaves zeros at zero
        count = values.shape[2] if valid is None else valid.sum(-1).clamp(min=1)[:, None, None]
        # The sum runs over all of time: float32 at least.
        wide = torch.promote_types(branch.dtype, torch.float32)
        summary = (branch.sum(2, dtype=wide) / count).flatten(1).to(branch.dtype)
        joined = F.gelu(self.join_local(local) + self.join_summary(summary)[:, None])
        return split_heads(joined, self.heads).to(values.dtype)
