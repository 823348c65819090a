"""Attention that computes its weights, and one map per head, while an encoder of `transformers` runs."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch.nn.functional as F


@contextmanager
def eager_attention(model: Any) -> Generator[None]:
    """Switch to eager attention, which computes its weights, and back afterwards."""
    before = getattr(model.config, "_attn_implementation", None)
    if before in (None, "eager"):
        yield
        return
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


@contextmanager
def weights_per_head() -> Generator[None]:
    """Prevent PyTorch's attention function from averaging its weights over heads.

    WavLM calls it; `transformers` would return the same averaged map for every head.
    """
    forward = F.multi_head_attention_forward

    def without_average(*args: Any, **kwargs: Any) -> Any:
        return forward(*args, **{**kwargs, "average_attn_weights": False})

    with patch.object(F, "multi_head_attention_forward", without_average):
        yield
