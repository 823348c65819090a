"""Fixed attention maps in a Hugging Face encoder: self-attention is replaced, its value and output projections stay.

    source = HuggingFaceMaps(model)
    derived = derive_maps(source, corpus, crop_steps=99)
    replace_attention(model, derived.maps, max_length=400)

Supported are encoders whose attention has `q_proj`, `k_proj`, `v_proj` and `out_proj` and returns its output and its
weights: wav2vec 2.0, HuBERT, Data2Vec, UniSpeech and similar ones. WavLM also passes a position bias from layer to
layer and is refused. `transformers` records attention weights by the class of the attention module, so a model with
replaced attention returns none (`output_attentions`); each `FixedMapAttention` does when called by itself.
"""

import inspect
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor, nn

from inattention.attention.mechanisms.patterned import Patterned
from inattention.attention.ops.map_files import log_weights
from inattention.attention.ops.padding import mask_or_none, zero_invalid
from inattention.attention.ops.projections import split_heads

_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "out_proj")


class FixedMapAttention(nn.Module):
    """Replacement of an encoder layer's self-attention.

    Args:
        attention: the module whose value and output projections are reused.
        maps: maps with non-negative rows that sum to 1.
        max_length: greatest number of frames of the input; maps are resampled to it.
    """

    def __init__(self, attention: nn.Module, maps: Float[Tensor, "heads time time"], max_length: int) -> None:
        super().__init__()
        value, output = attention.v_proj, attention.out_proj
        assert isinstance(value, nn.Linear)
        assert isinstance(output, nn.Linear)
        self.v_proj, self.out_proj, self.heads = value, output, len(maps)
        self.mechanism = Patterned(width=value.out_features, heads=len(maps), max_length=max_length, init="logits")
        self.mechanism.maps = nn.Parameter(log_weights(maps, max_length))
        self.to(value.weight)
        self.train(attention.training)

    def forward(
        self,
        hidden_states: Float[Tensor, "batch time width"],
        attention_mask: Tensor | None = None,
        output_attentions: bool | None = False,
        **kwargs: Any,
    ) -> tuple[Float[Tensor, "batch time width"], Float[Tensor, "batch heads time time"] | None]:
        """Average values over time.

        Args:
            hidden_states: input of the layer.
            attention_mask: padding mask over keys as `transformers` passes it: None, boolean or additive.
            output_attentions: return the weights too.
            **kwargs: ignored arguments of `transformers`.
        """
        valid = mask_or_none(valid_frames(attention_mask, hidden_states))
        values = split_heads(self.v_proj(hidden_states), self.heads)
        mixed = self.mechanism(hidden_states, values, valid)
        weights = self.mechanism.weights(hidden_states, valid) if output_attentions else None
        return self.out_proj(zero_invalid(mixed, valid).transpose(1, 2).flatten(2)), weights


def valid_frames(mask: Tensor | None, hidden: Float[Tensor, "batch time width"]) -> Bool[Tensor, "batch time"] | None:
    """Return the padding mask as booleans (None: no padding), from any form that `transformers` passes.

    Raises:
        ValueError: for a mask of another form.
    """
    batch, time = hidden.shape[:2]
    if mask is None:
        return None
    if mask.ndim == 4 and mask.shape[-1] == time:  # (batch, 1, queries, keys): the same keys for every query
        mask = mask[:, 0, 0]
    if mask.shape != (batch, time):
        raise ValueError(
            f"an attention mask of {tuple(mask.shape)} is not supported; expected (batch, time) or "
            "(batch, 1, queries, keys)"
        )
    if mask.is_floating_point():
        return mask == 0
    return mask.bool()


def replace_attention(model: nn.Module, maps: Float[Tensor, "layers heads time time"], *, max_length: int) -> int:
    """Replace every self-attention of an encoder by fixed maps, in place.

    Args:
        model: such as ``Wav2Vec2Model`` or ``HubertModel``.
        maps: maps of each layer.
        max_length: greatest number of frames of the input.

    Returns:
        Number of parameters of the removed query and key projections.

    Raises:
        ValueError: if the attention is of another kind, or the encoder has another number of layers or heads.
    """
    found = [
        (parent, name, module)
        for parent in model.modules()
        for name, module in parent.named_children()
        if all(isinstance(getattr(module, part, None), nn.Linear) for part in _PROJECTIONS)
    ]
    kind = type(model).__name__
    if not found or any("position_bias" in inspect.signature(it.forward).parameters for *_, it in found):
        raise ValueError(f"{kind}: only attention with {', '.join(_PROJECTIONS)} and no position bias can be replaced")
    heads = {int(module.num_heads) for *_, module in found}  # ty: ignore[invalid-argument-type]
    if len(found) != len(maps) or heads != {maps.shape[1]}:
        raise ValueError(
            f"{kind} has {len(found)} layers of {', '.join(map(str, sorted(heads)))} heads; "
            f"the maps are for {len(maps)} of {maps.shape[1]}"
        )
    removed = 0
    for (parent, name, module), layer in zip(found, maps, strict=True):
        removed += sum(p.numel() for part in _PROJECTIONS[:2] for p in getattr(module, part).parameters())
        setattr(parent, name, FixedMapAttention(module, layer, max_length))
    return removed
