"""The values that the attention of an encoder averages."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from inattention.attention.ops.projections import split_heads
from inattention.encoders.attention_handles import attention_handles
from inattention.encoders.base import MapSource
from inattention.model.encoder import MultiHeadAttention


@contextmanager
def recorded_values(source: MapSource) -> Generator[list[Float[Tensor, "batch heads time head_dim"]]]:
    """Record the values of every layer while the encoder runs.

    Yields:
        A list that each layer appends its values to, in order, on the CPU.

    Raises:
        ValueError: if the encoder's attention is of no known kind.
    """
    model = getattr(source, "model", None)
    projections = _value_projections(model) if isinstance(model, nn.Module) else []
    if not projections:
        raise ValueError(
            f"{source.name}: its values are not accessible; maps can be derived from our encoders and "
            "from Hugging Face encoders whose attention has q_proj, k_proj and v_proj"
        )
    values: list[Tensor] = []

    def record(project: nn.Module) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
            hidden = args[0] if args else kwargs["hidden_states"]
            values.append(split_heads(project(hidden), source.heads).detach().cpu())

        return hook

    hooks = [module.register_forward_pre_hook(record(value), with_kwargs=True) for module, value in projections]
    try:
        yield values
    finally:
        for hook in hooks:
            hook.remove()


def _value_projections(model: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    """Return the self-attention modules of an encoder in order, each with its projection of values."""
    found: list[tuple[nn.Module, nn.Module]] = [
        (module, module.value) for module in model.modules() if isinstance(module, MultiHeadAttention)
    ]
    return found or [(handle.module, handle.value) for handle in attention_handles(model)]
