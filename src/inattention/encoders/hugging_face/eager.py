"""Attention that computes its weights, and one map per head, while an encoder of `transformers` runs."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch.nn.functional as F
from torch import Tensor, nn

from inattention.encoders.converted_attention import ConvertedAttention


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


@contextmanager
def recorded_weights(modules: Iterable[nn.Module]) -> Generator[list[Tensor | None]]:
    """Record the weights of attention modules while an encoder runs with eager attention.

    Yields:
        A list that each module appends its weights to, in the order in which they run.
    """
    found: list[Tensor | None] = []

    def record(module: nn.Module, args: tuple, kwargs: dict[str, Any], output: Any) -> None:
        if isinstance(module, ConvertedAttention):
            found.append(module.weights(args[0] if args else kwargs["hidden_states"]))
        else:
            found.append(output[1])

    hooks = [module.register_forward_hook(record, with_kwargs=True) for module in modules]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
