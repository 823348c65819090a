"""Self-attention of a trained encoder's layer with a mechanism in place of its queries and keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from inattention import attention
from inattention.attention.ops.padding import mask_or_none, zero_invalid
from inattention.attention.ops.projections import split_heads
from inattention.attention.registry import without_files
from inattention.attention.rows import parse_row

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Replacement:
    """Replacement of the attention of one layer.

    Attributes:
        row: mechanism and options, in the notation of studies.
        heads: indices of the replaced heads; None for all.
    """

    row: str
    heads: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        row = parse_row(self.row)
        if row.untrained:
            raise ValueError(f"{self.row}: a conversion trains its mechanism; leave out @untrained")
        if self.heads is None:
            return
        if not self.heads or list(self.heads) != sorted(set(self.heads)):
            raise ValueError(f"heads must be different indices in ascending order, not {self.heads}")
        if not attention.card(row.mechanism).input_independent:
            raise ValueError(f"{self.row}: single heads can be replaced by input-independent mechanisms only")


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """The attention of a converted encoder, as its ``config.json`` records it.

    Attributes:
        layers: the replacement of each layer; None where the layer keeps its own attention.
        max_length: greatest number of frames of the input, for mechanisms that need one.
    """

    layers: tuple[Replacement | None, ...]
    max_length: int

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data."""
        layers = [
            None if it is None else {"row": it.row, "heads": None if it.heads is None else list(it.heads)}
            for it in self.layers
        ]
        return {"format": FORMAT, "max_length": self.max_length, "layers": layers}

    @classmethod
    def from_dict(cls, data: Any) -> "Conversion":
        """Read JSON data.

        Raises:
            ValueError: if they are of another form or format, or a row is unknown.
        """
        if not isinstance(data, dict) or not isinstance(data.get("layers"), list):
            raise ValueError("the config does not describe a conversion ('inattention' must hold 'layers')")
        if data.get("format") != FORMAT:
            raise ValueError(f"conversion of format {data.get('format')!r}; this version reads format {FORMAT}")
        length = data.get("max_length")
        if not isinstance(length, int) or not 0 < length <= 100_000:
            raise ValueError(f"max_length of a conversion must be a number of frames, not {length!r}")
        return cls(layers=tuple(_replacement(item) for item in data["layers"]), max_length=length)


def _replacement(item: Any) -> Replacement | None:
    if item is None:
        return None
    if not isinstance(item, dict) or not isinstance(item.get("row"), str):
        raise ValueError(f"a converted layer must have a 'row', not {item!r}")
    heads = item.get("heads")
    if heads is not None and not (isinstance(heads, list) and all(type(head) is int for head in heads)):
        raise ValueError(f"heads of a converted layer must be indices, not {heads!r}")
    return Replacement(row=item["row"], heads=None if heads is None else tuple(heads))


class ConvertedAttention(nn.Module):
    """Replacement of a layer's self-attention: the value and output projections are the layer's own.

    Heads that are not replaced keep their queries and keys.

    Args:
        module: self-attention with ``v_proj``, ``out_proj`` and, where heads are kept, ``q_proj`` and ``k_proj``.
        heads: number of heads.
        replacement: the mechanism.
        max_length: greatest number of frames of the input.
        layer: index of the layer and number of layers.

    Raises:
        ValueError: if a head does not exist, or the mechanism cannot be built with this width.
    """

    def __init__(
        self, module: nn.Module, *, heads: int, replacement: Replacement, max_length: int, layer: tuple[int, int]
    ) -> None:
        super().__init__()
        value, output = module.v_proj, module.out_proj
        assert isinstance(value, nn.Linear)
        assert isinstance(output, nn.Linear)
        self.v_proj, self.out_proj, self.heads = value, output, heads
        self.num_heads = heads  # the name in `transformers`
        self.width = value.out_features
        self.head_dim = self.width // heads
        replaced = tuple(range(heads)) if replacement.heads is None else replacement.heads
        if replaced[-1] >= heads:
            raise ValueError(f"the encoder has heads 0 to {heads - 1}; there is no head {replaced[-1]}")
        self.replaced = replaced
        self.kept = tuple(head for head in range(heads) if head not in replaced)
        row = parse_row(replacement.row)
        self.mechanism = attention.build(
            row.mechanism,
            width=len(replaced) * self.head_dim,
            heads=len(replaced),
            max_length=max_length,
            layer=layer,
            **without_files(row.mechanism, row.options),
        )
        if self.kept:
            query = getattr(module, "q_proj", None)
            if not isinstance(query, nn.Linear) or query.out_features != self.width:
                raise ValueError(f"layer {layer[0]} is converted already: its heads can only be replaced all together")
            self.q_proj = self._kept_rows(query, float(getattr(module, "scaling", self.head_dim**-0.5)))
            self.k_proj = self._kept_rows(module.k_proj, 1.0)
        self.to(value.weight)
        self.train(module.training)

    def _kept_rows(self, projection: Any, scale: float) -> nn.Linear:
        """Return the rows of the kept heads of a query or key projection, times a factor."""
        rows = torch.cat([torch.arange(head * self.head_dim, (head + 1) * self.head_dim) for head in self.kept])
        linear = nn.Linear(projection.in_features, len(rows))
        with torch.no_grad():
            linear.weight.copy_(projection.weight[rows] * scale)
            linear.bias.zero_() if projection.bias is None else linear.bias.copy_(projection.bias[rows] * scale)
        return linear

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
        mixed = self._mix(hidden_states, values, valid)
        weights = self.weights(hidden_states, valid) if output_attentions else None
        return self.out_proj(zero_invalid(mixed, valid).transpose(1, 2).flatten(2)), weights

    def _mix(self, hidden: Tensor, values: Tensor, valid: Tensor | None) -> Float[Tensor, "batch heads time head_dim"]:
        if not self.kept:
            return self.mechanism(hidden, values, valid)
        own = self.mechanism(hidden[..., : self.mechanism.width], values[:, list(self.replaced)], valid)
        query, key = (split_heads(it(zero_invalid(hidden, valid)), len(self.kept)) for it in (self.q_proj, self.k_proj))
        mask = None if valid is None else (valid | ~valid.any(-1, keepdim=True))[:, None, None, :]
        real = zero_invalid(values[:, list(self.kept)], valid)
        kept = nn.functional.scaled_dot_product_attention(query, key, real, attn_mask=mask, scale=1.0)
        return _in_order(own, kept, self.replaced, self.kept)

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch heads time time"]:
        """Return the dense weights of all heads.

        Raises:
            ValueError: if the mechanism has none.
        """
        if not self.kept:
            return self.mechanism.weights(hidden, valid)
        own = self.mechanism.weights(hidden[..., : self.mechanism.width], valid)
        query, key = (split_heads(it(hidden), len(self.kept)) for it in (self.q_proj, self.k_proj))
        scores = query @ key.transpose(-1, -2)
        if valid is not None:
            scores = scores.masked_fill(~valid[:, None, None, :], float("-inf"))
        return _in_order(own, scores.softmax(-1), self.replaced, self.kept)


def _in_order(own: Tensor, kept: Tensor, replaced: Sequence[int], others: Sequence[int]) -> Tensor:
    """Return heads of two kinds in the order of their indices."""
    order = sorted(range(len(replaced) + len(others)), key=lambda place: (*replaced, *others)[place])
    return torch.cat([own, kept], dim=1)[:, order]


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
