"""The self-attention modules of an encoder of `transformers`, for those who replace them."""

import inspect
from typing import Any

from torch import nn

from inattention.encoders.base import AttentionHandle
from inattention.encoders.converted_attention import ConvertedAttention

# Names of the projections of queries, keys, values and output.
_NAMES = (("q_proj", "k_proj", "v_proj", "out_proj"), ("linear_q", "linear_k", "linear_v", "linear_out"))


def attention_handles(model: nn.Module, layers: int) -> list[AttentionHandle]:
    """Return the self-attention modules of an encoder, in order.

    Args:
        model: the encoder, without a decoder.
        layers: number of layers that it must have.

    Raises:
        ValueError: if the attention depends on more than queries and keys, so that no map can take its place, or is
            of an unknown kind.
    """
    config: Any = model.config
    kind = f"{config.model_type}: attention cannot be replaced"
    found = [handle for path, module in model.named_modules() if (handle := _handle(path, module)) is not None]
    if any(isinstance(module, ConvertedAttention) for module in model.modules()):
        raise ValueError(f"{kind} again: that of a converted encoder has no queries and keys")
    if len(found) != layers:
        names = " or ".join(", ".join(names) for names in _NAMES)
        raise ValueError(f"{kind}: {len(found)} of {layers} layers have projections named {names}")
    positions = getattr(config, "position_embeddings_type", None)
    for handle in found:
        if "position_bias" in inspect.signature(handle.module.forward).parameters:
            raise ValueError(
                f"{kind}: a position bias, gated by the input, is added to it and passed from layer to layer; "
                "hidden states, features and maps work"
            )
        if handle.module.__dict__.get("position_embeddings_type", None) is not None:
            raise ValueError(
                f"{kind}: its keys depend on relative positions ({positions!r}); hidden states, features and maps work"
            )
    return found


def _handle(path: str, module: nn.Module) -> AttentionHandle | None:
    for names in _NAMES:
        parts = [getattr(module, name, None) for name in names]
        query, key, value, output = parts
        if (
            isinstance(query, nn.Linear)
            and isinstance(key, nn.Linear)
            and isinstance(value, nn.Linear)
            and isinstance(output, nn.Linear)
        ):
            heads: Any = module.num_heads
            return AttentionHandle(path, module, output.out_features, int(heads), query, key, value, output)
    return None
