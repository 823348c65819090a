"""`lite`: half of the heads attend to all frames, half convolve over a few (Wu et al. 2020, Lite Transformer).

The attention half is that of `qk` over its own heads. In the other half, frame i weighs the frames around it with
weights of its own, the same for all features of a head,

    A(i, i + t - K // 2) = softmax over t of s(i, t),    t = 0 ... K - 1,    s(i, .) = W_h x_i + b_h     ('dynamic')

or with weights that are learned and the same everywhere, s(i, t) = s_h(t) ('lightweight', Wu et al. 2019). As in any
convolution, padding and what lies outside the utterance count as zero: rows near the ends sum to less than
1, so this half is no average. The origin frames its convolution by a gated map and another map, which here are the
layer's maps of values and output; dropout of single weights is omitted.

The fast way cuts time into blocks: the weights of a block's frames are shifted apart into a band, so that one product a
block takes the place of K shifted sums.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from inattention.attention.base import AttentionMechanism, Card, Drawing, Reach
from inattention.attention.ops.padding import full_mask, softmax_over_valid, zero_invalid
from inattention.attention.ops.precision import fused_attention, products, wide
from inattention.attention.ops.projections import projection, split_heads
from inattention.attention.ops.sparse_patterns import split_heads_in_two
from inattention.attention.registry import register

Convolution = Literal["dynamic", "lightweight"]

# Frames that share a product: longer blocks waste work outside the band, shorter ones make for small products.
BLOCK = 32


def _flops(
    time: int,
    width: int,
    heads: int,
    *,
    convolution: str = "dynamic",
    kernel: int = 31,
    attention_heads: int | None = None,
) -> int:
    attending = split_heads_in_two(heads, attention_heads)
    convolving, head_dim = heads - attending, width // heads
    total = attending * head_dim * (4 * time * width + 4 * time**2)
    block = min(BLOCK, time)
    blocks = -(-time // block)
    total += 2 * blocks * block * (block + kernel - 1) * head_dim * convolving
    return total + (2 * time * width * convolving * kernel if convolution == "dynamic" else 0)


@register(
    Card(
        name="lite",
        label="Lite",
        family="query-key",
        citation="Wu et al. 2020, Lite Transformer with Long-Short Range Attention",
        options={
            "convolution": "'dynamic': a frame's weights are made from the frame itself; 'lightweight': they are "
            "learned and the same everywhere",
            "kernel": "K, how many frames the convolution takes in; odd",
            "attention_heads": "how many heads, the first ones, attend; none for half of them",
        },
        variants={"lightweight": {"convolution": "lightweight"}},
        fields=("NLP",),
        training_cost="O(T² d H/2 + T K d H/2); dynamic: O(T K d H²/2) more to make the weights",
        inference_cost="O(T² d H/2 + T K d H/2); dynamic: O(T K d H²/2) more to make the weights",
        flops=_flops,
        averages=False,
        drawing=Drawing(heads={0: "attention", -1: "convolution"}, options={"kernel": 9}),
    )
)
class Lite(AttentionMechanism):
    """Query-key attention in some heads, convolutions with softmaxed weights in the others.

    >>> mixing = Lite(width=8, heads=2, kernel=3)
    >>> hidden, valid = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
    >>> mixing.weights(hidden, valid)[0, 1].gt(0).int().tolist()
    [[1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 0, 1, 1]]

    Raises:
        ValueError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        max_length: int | None = None,
        convolution: Convolution = "dynamic",
        kernel: int = 31,
        attention_heads: int | None = None,
    ) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        if convolution not in ("dynamic", "lightweight"):
            raise ValueError(f"convolution must be 'dynamic' or 'lightweight', not {convolution!r}")
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel must be odd and at least 1 frame, not {kernel}")
        self.kernel = kernel
        self.attending = split_heads_in_two(heads, attention_heads)
        convolving = heads - self.attending
        if self.attending:
            self.query = projection(width, self.attending * self.head_dim)
            self.key = projection(width, self.attending * self.head_dim)
        self.make = self.taps = None
        if convolving and convolution == "dynamic":
            self.make = projection(width, convolving * kernel)
        elif convolving:
            self.taps = nn.Parameter(torch.randn(convolving, kernel))

    def receptive_field(self) -> Reach | None:
        """Return the reach of the convolution; None with heads that attend."""
        return None if self.attending else Reach(self.kernel // 2, self.kernel // 2)

    @property
    def unlimited_by(self) -> str:
        """Heads that attend."""
        return "all frames of the input, in its attending heads (attention_heads)"

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch heads time time"]:
        """Return the softmax of q·k / sqrt d over real keys, then bands of each frame's own weights."""
        hidden = zero_invalid(hidden, valid)
        parts = []
        if self.attending:
            query, key = self._project(hidden)
            scores = products(query, key) / math.sqrt(self.head_dim)
            parts.append(softmax_over_valid(scores, valid))
        taps = self._taps(hidden)
        if taps is not None:
            frames = torch.arange(hidden.shape[1], device=hidden.device)
            offset = frames - frames[:, None] + self.kernel // 2
            inside = (offset >= 0) & (offset < self.kernel)
            taps = taps.expand(len(hidden), -1, len(frames), -1)
            index = offset.clamp(0, self.kernel - 1).expand(*taps.shape[:2], -1, -1)
            parts.append(torch.where(inside & full_mask(valid, hidden)[:, None, None, :], taps.gather(-1, index), 0.0))
        return torch.cat(parts, 1)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Average the values by fused attention, and by a product a block of frames."""
        hidden, values = zero_invalid(hidden, valid), zero_invalid(values, valid)
        parts = []
        if self.attending:
            parts.append(fused_attention(*self._project(hidden), values[:, : self.attending], valid))
        taps = self._taps(hidden)
        if taps is not None:
            parts.append(convolve(values[:, self.attending :], taps.to(values.dtype)))
        return torch.cat(parts, 1)

    def _project(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        return split_heads(self.query(hidden), self.attending), split_heads(self.key(hidden), self.attending)

    def _taps(self, hidden: Tensor) -> Float[Tensor, "#batch convolving #time kernel"] | None:
        """Return each frame's weights, or those that all frames share; None without heads that convolve."""
        if self.make is not None:
            return wide(split_heads(self.make(hidden), self.heads - self.attending)).softmax(-1)
        return None if self.taps is None else wide(self.taps).softmax(-1)[None, :, None]


def convolve(
    values: Float[Tensor, "batch heads time head_dim"], taps: Float[Tensor, "#batch heads #time kernel"]
) -> Float[Tensor, "batch heads time head_dim"]:
    """Return the weighted sum of the frames around each one, zero beyond the ends.

    >>> values = torch.tensor([1.0, 2.0, 4.0]).view(1, 1, 3, 1)
    >>> convolve(values, torch.tensor([1.0, 0.0, 10.0]).view(1, 1, 1, 3)).flatten().tolist()
    [20.0, 41.0, 2.0]
    """
    time, kernel = values.shape[2], taps.shape[3]
    block = min(BLOCK, time)
    spare = -time % block
    near = F.pad(values, (0, 0, kernel // 2, kernel // 2 + spare)).unfold(2, block + kernel - 1, block)
    if taps.shape[2] == 1:
        bands = _band(taps.expand(-1, -1, block, -1))[:, :, None]
    else:
        bands = _band(F.pad(taps, (0, 0, 0, spare)).unflatten(2, (-1, block)))
    return (bands @ near.transpose(-1, -2)).flatten(2, 3)[:, :, :time]


def _band(taps: Float[Tensor, "*rest block kernel"]) -> Float[Tensor, "*rest block reach"]:
    """Shift each row one place further than the one above.

    >>> _band(torch.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[1.0, 2.0, 0.0], [0.0, 3.0, 4.0]]
    """
    block, kernel = taps.shape[-2:]
    # Rows one place longer than the band, laid out one behind another and cut again, fall behind by one each.
    reach = block + kernel - 1
    return F.pad(taps, (0, block)).flatten(-2)[..., : block * reach].unflatten(-1, (block, reach))
