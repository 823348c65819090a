"""Query-key attention by PyTorch's fused kernel, which forms no (time, time) tensor of its own."""

from jaxtyping import Bool, Float
from torch import Tensor

from inattention.attention.ops.padding import zero_invalid
from inattention.attention.ops.precision import scaled_dot_product


def fused_attention(
    query: Float[Tensor, "batch heads time head_dim"],
    key: Float[Tensor, "batch heads time head_dim"],
    values: Float[Tensor, "batch heads time head_dim"],
    valid: Bool[Tensor, "batch time"] | None,
    bias: Float[Tensor, "heads time time"] | None = None,
) -> Float[Tensor, "batch heads time head_dim"]:
    """Return ``softmax(query key' / sqrt(head_dim) + bias) values`` over real keys; at padding the output is finite."""
    added = None if bias is None else bias[None]
    if valid is None:
        return scaled_dot_product(query, key, values, added)
    # A row without any real key would be NaN; it may attend to all frames, whose values are zero.
    allowed = (valid | ~valid.any(-1, keepdim=True))[:, None, None, :]
    wide = allowed.expand(-1, -1, query.shape[2], -1)
    mask = wide if added is None else added.masked_fill(~allowed, float("-inf"))
    return scaled_dot_product(query, key, zero_invalid(values, valid), mask)
