"""`uniform`: every step is the plain mean of all valid steps. A control: what averaging alone can do."""

from jaxtyping import Bool, Float
from torch import Tensor

from inattention.attention.base import AttentionMechanism, Card
from inattention.attention.ops.padding import zero_invalid
from inattention.attention.registry import register


@register(
    Card(
        name="uniform",
        label="Control: uniform",
        family="control",
        citation="a control of this project",
        training_cost="O(T d H)",
        inference_cost="O(T d H)",
        flops=lambda time, width, heads, **options: 0,
        input_independent=True,
    )
)
class Uniform(AttentionMechanism):
    """Weights of 1 / (number of valid steps)."""

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch heads time time"]:
        """The same weight for every valid key."""
        batch, time, _ = hidden.shape
        keys = valid.to(hidden.dtype) / valid.sum(-1, keepdim=True).clamp(min=1)
        return keys[:, None, None, :].expand(batch, self.heads, time, time)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """One mean for all steps."""
        count = valid.sum(-1).clamp(min=1)[:, None, None, None]
        return (zero_invalid(values, valid).sum(2, keepdim=True) / count).to(values.dtype).expand_as(values)
