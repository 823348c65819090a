"""`fnet`: the discrete Fourier transform over time in the place of attention (Lee-Thorp et al. 2021, section 3.1).

The origin replaces attention, values and output by Re(F_n X F_w): a DFT over an utterance's n frames and one over the
w features. With F = C - iS, cosines and sines,

    Re(F_n X F_w) = C_n (X C_w) - S_n (X S_w),

that is two maps over time, each with a map of features before it. A layer of ours has learned maps of features before
and after in any case (values, output), so what is left to the mechanism are the two maps over time: the first half of
the heads (the larger) takes the real part C_n of the DFT over time, the other half the imaginary part -S_n:

    A(p, r) = cos(2 pi p r / n) / sqrt n    or    -sin(2 pi p r / n) / sqrt n,

p and r the places of query and key among the utterance's real frames. Values X C_w and X S_w, and outputs that are
added, then give the origin's transform. ``parts="real"`` takes C_n in all heads, which is what "the real part of the
DFT over time" says by itself; it cannot distinguish a sequence from its mirror image, as cosines are even.

The origin omits 1 / sqrt n. Its inputs had one length; ours differ, and sums that grow with an utterance's length
would reveal it to every frame. ``scaled=False`` is the origin's way.

n is the number of the utterance's own real frames, never the padded length: utterances of one length go through one
FFT together.
"""

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from inattention.attention.base import AttentionMechanism, Card, Drawing
from inattention.attention.ops.padding import full_mask, tracing, zero_invalid
from inattention.attention.ops.precision import wide
from inattention.attention.registry import register

Parts = Literal["both", "real"]


def _flops(time: int, width: int, heads: int, **options: object) -> float:
    return 2.5 * time * math.log2(max(2, time)) * width


@register(
    Card(
        name="fnet",
        label="FNet",
        family="linear",
        citation="Lee-Thorp et al. 2021, FNet: Mixing Tokens with Fourier Transforms",
        options={
            "parts": "'both': half of the heads take the real, half the imaginary part of the DFT over time; 'real': "
            "all take the real part. The origin's DFT over features is left to the layer's maps of values and output",
            "scaled": "whether the DFT is divided by the root of the utterance's length, so that it keeps the size of "
            "what it transforms; the origin does not",
        },
        variants={"real": {"parts": "real"}, "unscaled": {"scaled": False}},
        fields=("NLP",),
        training_cost="O(T log T d H)",
        inference_cost="O(T log T d H)",
        flops=_flops,
        input_independent=True,
        averages=False,
        drawing=Drawing(heads={0: "real part", -1: "imaginary part"}),
    )
)
class FNet(AttentionMechanism):
    """The Fourier transform of the values over an utterance's real frames.

    >>> mixing = FNet(width=8, heads=2)
    >>> hidden, valid = torch.zeros(1, 4, 8), torch.ones(1, 4, dtype=torch.bool)
    >>> (2 * mixing.weights(hidden, valid)[0, 0]).round().int().tolist()
    [[1, 1, 1, 1], [1, 0, -1, 0], [1, -1, 1, -1], [1, 0, -1, 0]]

    Raises:
        ValueError: for other parts.
    """

    def __init__(
        self, *, width: int, heads: int, max_length: int | None = None, parts: Parts = "both", scaled: bool = True
    ) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        if parts not in ("both", "real"):
            raise ValueError(f"parts must be 'both' or 'real', not {parts!r}")
        self.real_heads = heads if parts == "real" else (heads + 1) // 2
        self.scaled = scaled

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch heads time time"]:
        """Return cosines, then sines, between real frames."""
        valid = full_mask(valid, hidden)
        place = (valid.cumsum(-1) - 1).double()
        count = valid.sum(-1).clamp(min=1)[:, None, None].double()
        # The product of places is taken modulo n, so that angles stay small and exact.
        angle = (place[:, :, None] * place[:, None, :]).remainder(count) * (2 * math.pi / count)
        size = count.sqrt() if self.scaled else 1.0
        both = valid[:, :, None] & valid[:, None, :]
        real, imaginary = (
            torch.where(both, part / size, 0.0).to(wide(hidden).dtype) for part in (angle.cos(), -angle.sin())
        )
        return torch.stack([real] * self.real_heads + [imaginary] * (self.heads - self.real_heads), 1)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Transform the values by FFT, utterances of one length together."""
        if valid is not None and tracing():
            return self.reference(hidden, values, valid)  # a graph has no lengths to sort utterances by
        values = zero_invalid(values, valid)
        with torch.autocast(values.device.type, enabled=False):
            sequences = wide(values)
            if valid is None:
                return self._transform(sequences).to(values.dtype)
            output = torch.zeros_like(sequences)
            counts = valid.sum(-1)
            for count in counts.unique().tolist():
                if not count:
                    continue
                some = (counts == count).nonzero()[:, 0]
                frames = valid[some].nonzero()[:, 1].view(len(some), 1, count, 1)
                frames = frames.expand(-1, self.heads, -1, sequences.shape[-1])
                there = sequences.index_select(0, some)
                mixed = torch.zeros_like(there).scatter(2, frames, self._transform(there.gather(2, frames)))
                output = output.index_copy(0, some, mixed)
            return output.to(values.dtype)

    def _transform(
        self, values: Float[Tensor, "batch heads count head_dim"]
    ) -> Float[Tensor, "batch heads count head_dim"]:
        """Return both parts of the DFT; for real input its second half mirrors the first."""
        count = values.shape[2]
        half = torch.fft.rfft(values, dim=2, norm="ortho" if self.scaled else "backward")
        real, imaginary = half[:, : self.real_heads].real, half[:, self.real_heads :].imag
        mirrored = slice(1, (count + 1) // 2)
        return torch.cat(
            [
                torch.cat([real, real[:, :, mirrored].flip(2)], 2),
                torch.cat([imaginary, -imaginary[:, :, mirrored].flip(2)], 2),
            ],
            1,
        )
