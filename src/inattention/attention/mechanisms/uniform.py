"""`uniform`: every frame gets the plain mean of all real frames. A control: what averaging alone can do."""

from jaxtyping import Bool, Float
from torch import Tensor

from inattention.attention.base import AttentionMechanism, Card
from inattention.attention.ops.padding import full_mask, zero_invalid
from inattention.attention.ops.precision import wide
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
    """Weights of 1 / (number of real frames)."""

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch heads time time"]:
        """Return the same weight for every real key."""
        batch, time, _ = hidden.shape
        valid = full_mask(valid, hidden)
        keys = valid.to(wide(hidden).dtype) / valid.sum(-1, keepdim=True).clamp(min=1)
        return keys[:, None, None, :].expand(batch, self.heads, time, time)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Return one mean for all frames."""
        count = values.shape[2] if valid is None else valid.sum(-1).clamp(min=1)[:, None, None, None]
        return (wide(zero_invalid(values, valid)).sum(2, keepdim=True) / count).to(values.dtype).expand_as(values)
