"""The self-attention modules of an encoder of `transformers`, for those who look into them or replace them."""

import inspect
from typing import Any

from torch import nn

from inattention.encoders.base import AttentionHandle
from inattention.encoders.converted_attention import ConvertedAttention

# Names of the projections of queries, keys, values and output.
_NAMES = (("q_proj", "k_proj", "v_proj", "out_proj"), ("linear_q", "linear_k", "linear_v", "linear_out"))


def attention_handles(model: nn.Module) -> list[AttentionHandle]:
    """Return the self-attention modules of an encoder in order, replaced ones too.

    Args:
        model: an encoder, or a model that contains one; modules of a decoder are left out.
    """
    return [
        handle
        for path, module in model.named_modules()
        if "decoder" not in path.split(".") and (handle := _handle(path, module)) is not None
    ]


def replaceable_handles(model: nn.Module) -> list[AttentionHandle]:
    """Return the self-attention modules of an encoder whose attention can be replaced.

    Args:
        model: an encoder of `transformers`, or a model that contains one.

    Raises:
        ValueError: if the attention depends on more than queries and keys, so that no map can take its place, or is
            of an unknown kind.
    """
    config: Any = getattr(model, "config", None)
    kind = f"{getattr(config, 'model_type', type(model).__name__)}: attention cannot be replaced"
    found, layers = attention_handles(model), getattr(config, "num_hidden_layers", 0)
    if not found or len(found) != layers:
        names = " or ".join(", ".join(names) for names in _NAMES)
        raise ValueError(f"{kind}: {len(found)} of {layers} layers have projections named {names}")
    for handle in found:
        if "position_bias" in inspect.signature(handle.module.forward).parameters:
            raise ValueError(
                f"{kind}: a position bias, gated by the input, is added to it and passed from layer to layer; "
                "hidden states, features and maps work"
            )
        if (positions := handle.module.__dict__.get("position_embeddings_type")) is not None:
            raise ValueError(
                f"{kind}: its keys depend on relative positions ({positions!r}); hidden states, features and maps work"
            )
    return found


def _handle(path: str, module: Any) -> AttentionHandle | None:
    if isinstance(module, ConvertedAttention):
        return AttentionHandle(path, module, module.width, module.heads, None, None, module.v_proj, module.out_proj)
    for names in _NAMES:
        linear = [it for name in names if isinstance(it := getattr(module, name, None), nn.Linear)]
        if len(linear) == len(names):
            query, key, value, output = linear
            return AttentionHandle(path, module, output.out_features, int(module.num_heads), query, key, value, output)
    return None
