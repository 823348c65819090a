"""The attention modules inside an encoder, and the values that they average."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from inattention.attention.ops.projections import split_heads
from inattention.encoders.base import MapSource
from inattention.encoders.converted_attention import ConvertedAttention
from inattention.model.encoder import MultiHeadAttention


def attention_modules(model: nn.Module) -> list[nn.Module]:
    """Return the self-attention modules of an encoder, in order.

    Args:
        model: one of our encoders, or a Hugging Face encoder whose attention has q_proj, k_proj and v_proj, or is
            converted.

    Returns:
        The modules; empty for an encoder with attention of another kind.
    """
    return [
        module
        for module in model.modules()
        if isinstance(module, MultiHeadAttention | ConvertedAttention)
        or all(hasattr(module, f"{x}_proj") for x in "qkv")
    ]


@contextmanager
def recorded_values(source: MapSource) -> Generator[list[Float[Tensor, "batch heads time head_dim"]]]:
    """Record the values of every layer while the encoder runs.

    Yields:
        A list that each layer appends its values to, in order, on the CPU.

    Raises:
        ValueError: if the encoder's attention is of no known kind.
    """
    model = getattr(source, "model", None)
    modules = attention_modules(model) if isinstance(model, nn.Module) else []
    if not modules:
        raise ValueError(
            f"{source.name}: its values are not accessible; maps can be derived from our encoders and "
            "from Hugging Face encoders whose attention has q_proj, k_proj and v_proj"
        )
    values: list[Tensor] = []

    def record(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        hidden = args[0] if args else kwargs["hidden_states"]
        project = module.value if isinstance(module, MultiHeadAttention) else module.v_proj
        values.append(split_heads(project(hidden), source.heads).detach().cpu())  # ty: ignore[not-callable]

    hooks = [module.register_forward_pre_hook(record, with_kwargs=True) for module in modules]
    try:
        yield values
    finally:
        for hook in hooks:
            hook.remove()
