"""The encoder: post-norm BERT layers around any attention mechanism, with weights shared over depth or not.

    hidden ─┬─> values ─> mechanism(hidden, values) ─> output ─(+)─> norm ─┬─> feed-forward ─(+)─> norm ─>
            └────────────────────────────────────────────────────┘         └──────────────────┘

The mechanism owns what its weights are made of. Values, output and feed-forward are the same for all mechanisms, and
are initialised before it from the same random stream: two models of one seed differ in their mechanism alone.
"""

from contextlib import ExitStack
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from inattention import attention
from inattention.attention import AttentionMechanism
from inattention.attention.ops.padding import mask_or_none, tracing, zero_invalid
from inattention.attention.ops.projections import projection, split_heads
from inattention.model.config import AudioTransformerConfig

# Frames that go through the feed-forward part at once on a CPU without gradients: enough for matrix products to run at
# full rate, few enough for their wide activations to stay in the last-level cache.
FRAMES_IN_CACHE = 512


@dataclass
class EncoderOutput:
    """Output of an encoder.

    Attributes:
        last_hidden_state: (batch, time, width), the last layer.
        hidden_states: the embedded input and every layer, if requested; else None.
        attention_maps: (layers, batch, heads, time, time), if requested; else None.
    """

    last_hidden_state: Float[Tensor, "batch time width"]
    hidden_states: tuple[Float[Tensor, "batch time width"], ...] | None = None
    attention_maps: Float[Tensor, "layers batch heads time time"] | None = None


# So that `torch.export` can return it and save it.
torch.export.register_dataclass(EncoderOutput, serialized_type_name="inattention.model.encoder.EncoderOutput")


class MultiHeadAttention(nn.Module):
    """Values and output around a mechanism, which is passed at each call, as layers may share it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.value = projection(width, width)
        self.output = projection(width, width)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        valid: Bool[Tensor, "batch time"] | None,
        mechanism: AttentionMechanism,
    ) -> Float[Tensor, "batch time width"]:
        """Mix values over time and project them."""
        values = split_heads(self.value(hidden), self.heads)
        mixed = mechanism(hidden, values, valid)
        return self.output(mixed.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """One post-norm layer: attention, then feed-forward with exact GELU, each added and normalised."""

    def __init__(self, config: AudioTransformerConfig) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(config.width, config.heads)
        self.attention_norm = nn.LayerNorm(config.width, eps=config.norm_epsilon)
        self.expand = projection(config.width, config.feed_forward)
        self.contract = projection(config.feed_forward, config.width)
        self.feed_forward_norm = nn.LayerNorm(config.width, eps=config.norm_epsilon)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        valid: Bool[Tensor, "batch time"] | None,
        mechanism: AttentionMechanism,
    ) -> Float[Tensor, "batch time width"]:
        """Apply the layer."""
        hidden = self.attention_norm(hidden + self.dropout(self.attention(hidden, valid, mechanism)))
        return self.feed_forward_norm(hidden + self.dropout(self.feed_forward(hidden)))

    def feed_forward(self, hidden: Float[Tensor, "batch time width"]) -> Float[Tensor, "batch time width"]:
        """Expand, exact GELU, contract.

        Without gradients, a CPU takes the frames in pieces whose wide activations stay in its cache, and changes them
        in place: a large batch is limited by memory traffic, not by arithmetic.
        """
        if torch.is_grad_enabled() or hidden.device.type != "cpu" or tracing():
            return self.contract(F.gelu(self.expand(hidden)))
        frames = hidden.flatten(0, 1)
        pieces = [self.contract(torch.ops.aten.gelu_(self.expand(piece))) for piece in frames.split(FRAMES_IN_CACHE)]
        return torch.cat(pieces).view_as(hidden)


class Encoder(nn.Module):
    """Input projection, positions, and layers.

    Args:
        config: the model's settings.

    Raises:
        ValueError: if the mechanism does not exist or refuses its options.

    Attributes:
        gradient_checkpointing: compute layers again in the backward pass, instead of keeping what it needs. Named as
            in `transformers`, which sets it.
    """

    gradient_checkpointing = False

    def __init__(self, config: AudioTransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = projection(config.input_size, config.width)
        self.embed_norm = nn.LayerNorm(config.width, eps=config.norm_epsilon)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(config) for _ in range(1 if config.share_layers else config.layers))
        self.mechanisms = nn.ModuleList(
            attention.build(
                config.attention,
                width=config.width,
                heads=config.heads,
                max_length=config.max_length,
                layer=layer,
                **config.attention_options,
            )
            for layer in ([None] if config.maps == "shared" else [(i, config.layers) for i in range(config.layers)])
        )

    def depth(self) -> list[tuple[Layer, AttentionMechanism]]:
        """Return the layer and the mechanism at each depth, shared or not."""
        pairs = []
        for i in range(self.config.layers):
            layer, mechanism = self.layers[i % len(self.layers)], self.mechanisms[i % len(self.mechanisms)]
            assert isinstance(layer, Layer)
            assert isinstance(mechanism, AttentionMechanism)
            pairs.append((layer, mechanism))
        return pairs

    @property
    def _recomputes(self) -> bool:
        """Whether layers run again in the backward pass, when nothing of this pass is kept."""
        return self.gradient_checkpointing and self.training

    def _layer(
        self, layer: Layer, hidden: Tensor, valid: Tensor | None, mechanism: AttentionMechanism
    ) -> Float[Tensor, "batch time width"]:
        if self._recomputes:
            return checkpoint(layer, hidden, valid, mechanism, use_reentrant=False)
        return layer(hidden, valid, mechanism)

    def forward(
        self,
        features: Float[Tensor, "batch time size"],
        valid: Bool[Tensor, "batch time"] | None = None,
        *,
        output_hidden_states: bool = False,
        output_attention_maps: bool = False,
        first_frame: int = 0,
    ) -> EncoderOutput:
        """Encode.

        Args:
            features: input frames; at padding anything may stand.
            valid: True at real frames; None if all are. Mechanisms get None for a mask that is True everywhere, too.
            output_hidden_states: return the embedded input and every layer too.
            output_attention_maps: return every layer's weights too, from the mechanism's definition.
            first_frame: position of the first frame, in a part of a longer input.
        """
        valid = mask_or_none(valid)
        features = zero_invalid(features, valid)
        # Positions in the features' type: under autocast they make the hidden states, which layers add to, float32.
        embedded = self.embed(features) + positions(features.shape[1], self.config.width, features, first_frame)
        hidden = self.dropout(self.embed_norm(embedded))
        states, maps = [hidden], []
        with ExitStack() as stack:
            for mechanism in [] if self._recomputes else self.mechanisms:
                assert isinstance(mechanism, AttentionMechanism)
                stack.enter_context(mechanism.one_pass())
            for layer, mechanism in self.depth():
                if output_attention_maps:
                    maps.append(mechanism.weights(hidden, valid))
                hidden = self._layer(layer, hidden, valid, mechanism)
                if output_hidden_states:
                    states.append(hidden)
        return EncoderOutput(
            hidden,
            tuple(states) if output_hidden_states else None,
            torch.stack(maps) if output_attention_maps else None,
        )


def positions(time: int, width: int, like: Tensor, first: int = 0) -> Float[Tensor, "time width"]:
    """Return fixed sinusoidal positions, sine and cosine interleaved, base 10000 (Vaswani et al. 2017).

    >>> positions(2, 4, torch.zeros(1))[0].tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    frame = torch.arange(first, first + time, dtype=torch.float32, device=like.device)
    angle = frame[:, None] * position_frequencies(width, like.device)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1).to(like.dtype)


def position_frequencies(width: int, device: torch.device | str = "cpu") -> Float[Tensor, " pairs"]:
    """Return how fast the angle of each pair of a sine and a cosine grows, per frame."""
    even = torch.arange(0, width, 2, dtype=torch.float32, device=device)
    return torch.pow(torch.tensor(10_000.0, device=device), -even / width)
