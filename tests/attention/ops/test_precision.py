"""What stays in float32 under autocast, and fused attention in either precision."""

import pytest
import torch
import torch.nn.functional as F

from inattention.attention.ops.precision import products, scaled_dot_product


def test_logits_are_not_rounded_under_autocast() -> None:
    query, key = (20 * torch.randn(1, 7, 8, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    exact = query @ key.transpose(1, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert not torch.equal((query @ key.transpose(1, 2)).float(), exact)
        assert torch.equal(products(query, key), exact)
        assert products(query.bfloat16(), key.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("kind", ["none", "truth", "bias"])
def test_fused_attention_in_bfloat16_is_that_of_float32_rounded_once_while_gradients_are_recorded(kind: str) -> None:
    x = [torch.randn(2, 3, 9, 4).bfloat16() for _ in range(3)]
    bias = torch.randn(9, 9)
    mask = {"none": None, "truth": bias > bias.mean(1, keepdim=True), "bias": bias}[kind]
    shared = None if mask is None else mask[None, None]
    exact = F.scaled_dot_product_attention(*(it.float() for it in x), attn_mask=mask).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(scaled_dot_product(*x, shared), exact)
        with torch.no_grad():
            fused = scaled_dot_product(*x, shared)
    assert fused.dtype == torch.bfloat16
    torch.testing.assert_close(fused, exact, atol=0.05, rtol=0.02)
    with torch.no_grad():  # a model in bfloat16, without autocast
        assert scaled_dot_product(*x, shared).dtype == torch.bfloat16
