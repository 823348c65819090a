"""`synthesizer-dense`: each frame makes its own row of weights, one map for all heads (Tay et al. 2020; paper, 3.4.1).

    B = W2 ReLU(W1 x + b1) + b2,    A = softmax(B) over real keys

with W1: width -> bottleneck and W2: bottleneck -> max_length, cut to the input's columns. Frames are
not compared: W2 knows no more of a key than its position.

As all heads share the map, their values stand side by side and are averaged by one product. Queries are taken some
hundreds at a time, so that their rows are still in the processor's cache when they meet the values.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from inattention.attention.base import AttentionMechanism, Card
from inattention.attention.ops.padding import masked_softmax, zero_invalid
from inattention.attention.ops.precision import unrounded, wide
from inattention.attention.ops.projections import projection
from inattention.attention.registry import register

Start = Literal["fan-in", "normal"]

# Rows of the map that are made and used at a time. Of 64 to 4000, 512 was the fastest on CPU.
QUERIES = 512

OPTIONS = {
    "bottleneck": "features between the two maps",
    "start": "'fan-in', PyTorch's and the authors' start, from U(-1/√n, 1/√n) for n inputs; 'normal', N(0, 0.02) and "
    "biases 0 as in the rest of the model, from which all weights start equal to within a few per cent",
}


class RowNetwork(nn.Module):
    """The two maps that turn a frame into its row of logits.

    Args:
        width: features of a frame.
        bottleneck: features between the maps.
        max_length: the longest input in frames.
        start: how weights and biases start, see `OPTIONS`.

    Raises:
        ValueError: for another start or an empty bottleneck.
    """

    def __init__(self, width: int, bottleneck: int, max_length: int, start: Start) -> None:
        super().__init__()
        if bottleneck < 1:
            raise ValueError(f"bottleneck must be at least 1 feature, not {bottleneck}")
        if start not in ("fan-in", "normal"):
            raise ValueError(f"start must be 'fan-in' or 'normal', not {start!r}")
        linear = nn.Linear if start == "fan-in" else projection
        self.first = linear(width, bottleneck)
        self.second = linear(bottleneck, max_length)

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch bottleneck"]:
        """Return the features that rows are made from."""
        return F.relu(self.first(x))

    def columns(self, time: int) -> tuple[Float[Tensor, "time bottleneck"], Float[Tensor, " time"]]:
        """Return the weights and biases of the second map for inputs of ``time`` frames.

        Raises:
            ValueError: if the map was made for fewer.
        """
        if time > self.second.out_features:
            raise ValueError(
                f"the input has {time} frames and rows of weights were made for {self.second.out_features} "
                "(max_length); use AudioTransformer.extract, which takes long input in overlapping chunks, or crop it"
            )
        return self.second.weight[:time], self.second.bias[:time]


def row_logits(
    features: Float[Tensor, "*batch queries bottleneck"],
    weight: Float[Tensor, "time bottleneck"],
    bias: Float[Tensor, " time"],
) -> Float[Tensor, "*batch queries time"]:
    """Return rows of logits from their features, in float32 at least, under autocast too."""
    with unrounded(features):
        return F.linear(wide(features), wide(weight), wide(bias))


@register(
    Card(
        name="synthesizer-dense",
        label="Syn. (Dense)",
        family="synthesizer",
        citation="Tay et al. 2020, Synthesizer: Rethinking Self-Attention in Transformer Models",
        options=OPTIONS,
        variants={"normal": {"start": "normal"}},
        fields=("NLP",),
        training_cost="O(T² (d H + b) + T d H b), b the bottleneck",
        inference_cost="O(T² (d H + b) + T d H b)",
        flops=lambda time, width, heads, *, bottleneck=16, **options: (
            2 * time * width * bottleneck + 2 * time**2 * (bottleneck + width)
        ),
        needs_max_length=True,
    )
)
class DenseSynthesizer(AttentionMechanism):
    """One map per utterance, for all heads, each row made from its own frame.

    >>> attention = DenseSynthesizer(width=8, heads=2, max_length=10)
    >>> hidden, valid = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
    >>> attention.weights(hidden, valid).shape
    torch.Size([1, 2, 5, 5])
    """

    def __init__(
        self, *, width: int, heads: int, max_length: int, bottleneck: int = 16, start: Start = "fan-in"
    ) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        self.rows = RowNetwork(width, bottleneck, max_length, start)

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch heads time time"]:
        """Return the softmax over real keys of each frame's row, the same for all heads."""
        features, columns = self.rows(zero_invalid(hidden, valid)), self.rows.columns(hidden.shape[1])
        return _maps(features, *columns, valid)[:, None].expand(-1, self.heads, -1, -1)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Average the values of all heads side by side, some rows of the map at a time."""
        features, columns = self.rows(zero_invalid(hidden, valid)), self.rows.columns(hidden.shape[1])
        side_by_side = zero_invalid(values, valid).transpose(1, 2).flatten(2)
        parts = [_maps(some, *columns, valid).to(values.dtype) @ side_by_side for some in features.split(QUERIES, 1)]
        output = torch.cat(parts, 1) if len(parts) > 1 else parts[0]
        return output.unflatten(2, (self.heads, -1)).transpose(1, 2)


def _maps(
    features: Float[Tensor, "batch queries bottleneck"],
    weight: Float[Tensor, "time bottleneck"],
    bias: Float[Tensor, " time"],
    valid: Bool[Tensor, "batch time"] | None,
) -> Float[Tensor, "batch queries time"]:
    logits = row_logits(features, weight, bias)
    return logits.softmax(-1) if valid is None else masked_softmax(logits, valid[:, None, :])
