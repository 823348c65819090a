"""Query-key attention by PyTorch's fused kernel, which forms no (time, time) tensor."""

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from inattention.attention.ops.padding import zero_invalid


def fused_attention(
    query: Float[Tensor, "batch heads time head_dim"],
    key: Float[Tensor, "batch heads time head_dim"],
    values: Float[Tensor, "batch heads time head_dim"],
    valid: Bool[Tensor, "batch time"] | None,
) -> Float[Tensor, "batch heads time head_dim"]:
    """Return ``softmax(query key' / sqrt(head_dim)) values`` over real keys; at padding the output is finite."""
    if valid is None:
        return F.scaled_dot_product_attention(query, key, values)
    # A row without any real key would be NaN; it may attend to all frames, whose values are zero.
    allowed = valid | ~valid.any(-1, keepdim=True)
    return F.scaled_dot_product_attention(
        query, key, zero_invalid(values, valid), attn_mask=allowed[:, None, None, :].expand(-1, -1, query.shape[2], -1)
    )
