"""`none`: every frame attends to itself alone. A control: the encoder without any mixing over time."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from inattention.attention.base import AttentionMechanism, Card, Reach
from inattention.attention.ops.padding import full_mask, zero_invalid
from inattention.attention.ops.precision import wide
from inattention.attention.registry import register


@register(
    Card(
        name="none",
        label="Control: no mixing",
        family="control",
        citation="a control of this project",
        training_cost="O(1)",
        inference_cost="O(1)",
        flops=lambda time, width, heads, **options: 0,
        input_independent=True,
    )
)
class NoMixing(AttentionMechanism):
    """The identity map in every head; the value and output projections stay."""

    def receptive_field(self) -> Reach:
        """Return the frame alone."""
        return Reach(0, 0)

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch heads time time"]:
        """Return the identity map, with zero rows at padding."""
        return torch.diag_embed(full_mask(valid, hidden).to(wide(hidden).dtype))[:, None].expand(-1, self.heads, -1, -1)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Return the values as they are."""
        return zero_invalid(values, valid)
