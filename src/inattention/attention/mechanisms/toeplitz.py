"""`toeplitz`: weights that depend on j - i alone, the same for every input.

    w(i, j) = floor + exp(-((j - i - offset) / width)² / 2),    A(i, j) = w(i, j) / sum of w(i, .) over real keys

with one learned offset and one learned width a head (`form="bumps"`), after the hard-coded Gaussians of You et al.
2020, and with widths from half a frame to 64. There is no maximum length. The uniform weight `floor` keeps every row
from being empty, whichever frames are real. The width is learned as its logarithm, so it stays positive and moves by
ratios.

The fast way adds a banded product, one direct sum over the keys that a Gaussian reaches, to the mean that the uniform
weight takes (`inattention.attention.ops.gaussians`). A traced graph computes the definition, as the bands' sizes follow
from learned numbers.

`form="table"` has free logits instead, one for each j - i, started at the same Gaussians: A = softmax(table[j - i]). It
has 2 max_length - 1 of them a head, and takes no longer input. Short inputs take one dense product; long ones, Fourier
transforms (`inattention.attention.ops.correlation`).
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from inattention.attention.base import AttentionMechanism, Card, Drawing, Reach
from inattention.attention.ops.banded import multiply_flops
from inattention.attention.ops.correlation import (
    average_correlated,
    correlation_flops,
    faster_than_dense,
    make_taps,
)
from inattention.attention.ops.fixed_maps import FixedMaps
from inattention.attention.ops.gaussians import (
    average_banded,
    band_limits,
    gaussians,
    initial_caption,
    initial_gaussians,
    log_weights,
    make_banded,
    toeplitz_matrices,
)
from inattention.attention.ops.padding import tracing
from inattention.attention.ops.toeplitz_band import band_within
from inattention.attention.registry import register

Form = Literal["bumps", "table"]


def _flops(time: int, width: int, heads: int, *, form: Form = "bumps", floor: float = 1e-5) -> int:
    if form == "table":
        return round(correlation_flops(time, width)) if faster_than_dense(time, cached=True) else 2 * time**2 * width
    limits = tuple(band_limits(*gaussian, floor, time) for gaussian in initial_gaussians(heads))
    return multiply_flops(time, limits, width // heads)


@register(
    Card(
        name="toeplitz",
        label="Toeplitz",
        family="toeplitz",
        citation="this project, after You et al. 2020, Hard-Coded Gaussian Attention for Neural Machine Translation",
        options={
            "form": "'bumps': one Gaussian per head, for input of any length; 'table': free logits, one for each j - i "
            "under max_length, which it needs and which is the longest input",
            "floor": "uniform weight of every key, relative to a Gaussian of height 1",
        },
        variants={"table": {"form": "table"}},
        fields=("NLP",),
        training_cost="O(T w d H), w the reach of a Gaussian (at most T, about 14 times its width); "
        "table: O(T log T d H)",
        inference_cost="O(T w d H), none of it to make the weights; table: O(T log T d H)",
        flops=_flops,
        input_independent=True,
        drawing=Drawing(heads={head: initial_caption(head) for head in (0, 1, 4, 5, 8, 10)}),
    )
)
class Toeplitz(FixedMaps):
    """One Gaussian over j - i per head, or a free function of j - i.

    The card's `needs_max_length` holds for all options, so a table checks max_length itself and reports it as
    `longest`.

    >>> attention = Toeplitz(width=24, heads=12)
    >>> attention.weights(torch.randn(1, 5, 24))[0, 1].argmax(-1).tolist()
    [1, 2, 3, 4, 4]

    Raises:
        ValueError: for another form, a floor outside of (0, 1), or a table without max_length.
    """

    def __init__(
        self, *, width: int, heads: int, max_length: int | None = None, form: Form = "bumps", floor: float = 1e-5
    ) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        if form not in ("bumps", "table"):
            raise ValueError(f"form must be 'bumps' or 'table', not {form!r}")
        if not 0 < floor < 1:
            raise ValueError(f"floor must be between 0 and 1, not {floor}")
        if form == "table" and max_length is None:
            raise ValueError(
                "toeplitz with form='table' needs max_length, the longest input in frames; 'bumps' does not"
            )
        self.form = form
        self.floor = floor
        offset, gaussian_width = torch.tensor(initial_gaussians(heads)).unbind(1)
        if max_length is not None and form == "table":
            start = gaussians(offset, gaussian_width, 1 - max_length, max_length - 1)
            self.table = nn.Parameter((floor + start).log())
        else:
            self.offset = nn.Parameter(offset)
            self.log_width = nn.Parameter(gaussian_width.log())

    def logits(self, time: int) -> Float[Tensor, "heads time time"]:
        """Return the logarithm of the weights, before rows are scaled to sum to 1."""
        if self.form == "bumps":
            return log_weights(self.offset, self.log_width.exp(), self.floor, time)
        if tracing():  # a part of the table would exclude the full length from the graph
            self._check(time)
            frames = torch.arange(time, device=self.table.device)
            return self.table[:, frames - frames[:, None] + self.table.shape[1] // 2]
        return toeplitz_matrices(self._offsets(time), time)

    def _check(self, time: int) -> None:
        """Raise ValueError if the table is too short for inputs of ``time`` frames."""
        longest = self.table.shape[1] // 2 + 1
        if time > longest:
            raise ValueError(
                f"toeplitz with form='table' was made for at most {longest} frames (max_length), not {time}; "
                "form='bumps' takes any length"
            )

    def _offsets(self, time: int) -> Float[Tensor, "heads offsets"]:
        """Return the part of the table that inputs of ``time`` frames use."""
        self._check(time)
        middle = self.table.shape[1] // 2
        return self.table[:, middle + 1 - time : middle + time]

    def receptive_field(self) -> Reach | None:
        """Return the length of a table; None for Gaussians."""
        return Reach(self.table.shape[1] // 2, self.table.shape[1] // 2) if self.form == "table" else None

    @property
    def unlimited_by(self) -> str:
        """The uniform weight, or a table whose weights differ by too many orders of magnitude for float32."""
        if self.form == "table":
            return "a table whose weights span too many orders of magnitude for sums in float32"
        return "all frames of the input, by the uniform weight under its Gaussians (floor)"

    def limited(self, bound: float = 0.0) -> AttentionMechanism | None:
        """Return a band of the table: all of it, without a bound; weights beyond the table are 0."""
        return band_within(self, self.table.detach(), bound) if self.form == "table" else None

    @property
    def longest(self) -> int | None:
        """The longest input in frames: max_length for a table, no limit for Gaussians."""
        return self.max_length if self.form == "table" else None

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Average by banded products, and a sum for the uniform weight; a long table by Fourier transforms."""
        time = values.shape[2]
        if tracing():
            return super().forward(hidden, values, valid)
        if self.form == "table":
            computed = self.training or (torch.is_grad_enabled() and self.table.requires_grad)
            if not faster_than_dense(time, cached=not computed):
                return super().forward(hidden, values, valid)
            with torch.autocast(values.device.type, enabled=False):
                dtype = torch.promote_types(torch.promote_types(values.dtype, self.table.dtype), torch.float32)
                taps = self.cached((time, dtype), lambda: make_taps(self._offsets(time).to(dtype), self.head_dim))
                return average_correlated(taps, values.to(dtype), valid).to(values.dtype)
        with torch.autocast(values.device.type, enabled=False):
            dtype = torch.promote_types(values.dtype, self.offset.dtype)
            banded = self.cached(
                (time, dtype), lambda: make_banded(self.offset, self.log_width.exp(), self.floor, time, dtype)
            )
            return average_banded(banded, self.floor, values, valid).to(values.dtype)
