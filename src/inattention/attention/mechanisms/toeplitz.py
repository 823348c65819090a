"""`toeplitz`: weights that depend on j - i alone, the same for every input.

    w(i, j) = floor + exp(-((j - i - offset) / width)² / 2),    A(i, j) = w(i, j) / sum of w(i, .) over valid keys

with one learned offset and one learned width a head (`form="bumps"`), after the hard-coded Gaussians of You et al.
2020, and with widths from half a step to 64. There is no maximum length. The floor keeps every row from being empty,
wherever the valid steps are. The width is learned as its logarithm, so it stays positive and moves by ratios.

The fast way adds a banded product, one direct sum over the keys that a bump reaches, to the mean that the floor takes.
A bump is cut where it falls under 1e-6 of the floor: whatever steps are valid, what is left out is at most that part
of a row, since the floor alone gives every valid key a million times what is cut.

`form="table"` has free logits instead, one for each j - i, started at the same bumps: A = softmax(table[j - i]). It has
2 max_length - 1 of them a head, and takes no longer input.
"""

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from inattention.attention.base import Card, Drawing
from inattention.attention.ops.banded import Bands, make_bands, multiply, multiply_flops
from inattention.attention.ops.fixed_maps import FixedMaps
from inattention.attention.ops.padding import zero_invalid
from inattention.attention.registry import register

Form = Literal["bumps", "table"]

# Where a bump is cut, as a part of the floor.
CUT = 1e-6

STARTS = (
    *((0.0, 0.5), (1.0, 0.5), (-1.0, 0.5), (3.0, 1.0), (-3.0, 1.0), (6.0, 2.0), (-6.0, 2.0)),
    *((0.0, 2.0), (0.0, 4.0), (0.0, 8.0), (0.0, 16.0), (0.0, 64.0)),
)


def starts(heads: int) -> list[tuple[float, float]]:
    """Say at which (offset, width) each head starts.

    Heads take `STARTS` in order; each further round of twelve takes them at twice the scale of the one before.

    >>> starts(14)[11:]
    [(0.0, 64.0), (0.0, 1.0), (2.0, 1.0)]
    """
    scaled = ((STARTS[head % len(STARTS)], 2 ** (head // len(STARTS))) for head in range(heads))
    return [(offset * scale, width * scale) for (offset, width), scale in scaled]


def offset_and_width(head: int) -> str:
    """Say where a head's bump starts, as drawings do."""
    offset, width = STARTS[head]
    return f"{offset:g} ± {width:g}".replace("-", "\N{MINUS SIGN}")


def limits(offset: float, width: float, floor: float, time: int) -> tuple[int, int]:
    """Give the lowest and the highest j - i at which a bump counts, among ``time`` steps; (0, -1) where none does.

    >>> limits(3.0, 1.0, floor=1e-5, time=500)
    (-4, 10)
    """
    reach = width * math.sqrt(-2 * math.log(CUT * floor))
    low, high = max(math.ceil(offset - reach), 1 - time), min(math.floor(offset + reach), time - 1)
    return (low, high) if low <= high else (0, -1)


def bumps(
    offset: Float[Tensor, " heads"], width: Float[Tensor, " heads"], lowest: int, highest: int
) -> Float[Tensor, "heads offsets"]:
    """Give each head's bump for every j - i from ``lowest`` to ``highest``."""
    steps = torch.arange(lowest, highest + 1, device=offset.device, dtype=offset.dtype)
    return torch.exp(-(((steps - offset[:, None]) / width[:, None]) ** 2) / 2)


def spread(rows: Float[Tensor, "heads offsets"], time: int) -> Float[Tensor, "heads time time"]:
    """Turn one number for each j - i, from 1 - time to time - 1, into maps.

    >>> spread(torch.tensor([[-1, 0, 1]]).float(), 2).tolist()
    [[[0.0, 1.0], [-1.0, 0.0]]]
    """
    return rows.unfold(1, time, 1).flip(1)


def _flops(time: int, width: int, heads: int, *, form: Form = "bumps", floor: float = 1e-5) -> int:
    if form == "table":
        return 2 * time**2 * width
    reached = tuple(limits(*start, floor, time) for start in starts(heads))
    return multiply_flops(time, reached, width // heads)


@register(
    Card(
        name="toeplitz",
        label="Toeplitz",
        family="toeplitz",
        citation="this project, after You et al. 2020, Hard-Coded Gaussian Attention for Neural Machine Translation",
        options={
            "form": "'bumps': an offset and a width a head, for input of any length; 'table': free logits, one for "
            "each j - i under max_length, which it needs, and beyond which it refuses input",
            "floor": "what every key counts beside a bump of height 1",
        },
        variants={"table": {"form": "table"}},
        fields=("NLP",),
        training_cost="O(T w d H), w the reach of a bump: at most T, and about 14 times its width; table: O(T² d H)",
        inference_cost="O(T w d H), none of it to make the weights; table: O(T² d H)",
        flops=_flops,
        input_independent=True,
        drawing=Drawing(heads={head: offset_and_width(head) for head in (0, 1, 4, 5, 8, 10)}),
    )
)
class Toeplitz(FixedMaps):
    """One bump over j - i a head, or a free function of j - i.

    The card cannot say that max_length is needed, for it holds for all options; a table says so itself, when it is
    built and by `longest`.

    >>> attention = Toeplitz(width=24, heads=12)
    >>> hidden, valid = torch.randn(1, 5, 24), torch.ones(1, 5, dtype=torch.bool)
    >>> attention.weights(hidden, valid)[0, 1].argmax(-1).tolist()
    [1, 2, 3, 4, 4]

    Raises:
        ValueError: for another form, a floor that is not positive, or a table without max_length.
    """

    def __init__(
        self, *, width: int, heads: int, max_length: int | None = None, form: Form = "bumps", floor: float = 1e-5
    ) -> None:
        super().__init__(width=width, heads=heads, max_length=max_length)
        if form not in ("bumps", "table"):
            raise ValueError(f"form must be 'bumps' or 'table', not {form!r}")
        if not 0 < floor < 1:
            raise ValueError(f"floor must lie between 0 and 1, not at {floor}")
        if form == "table" and max_length is None:
            raise ValueError(
                "toeplitz with form='table' needs max_length, the longest input in steps; 'bumps' does not"
            )
        self.form = form
        self.floor = floor
        offset, bump_width = torch.tensor(starts(heads)).unbind(1)
        if max_length is not None and form == "table":
            self.table = nn.Parameter((floor + bumps(offset, bump_width, 1 - max_length, max_length - 1)).log())
        else:
            self.offset = nn.Parameter(offset)
            self.log_width = nn.Parameter(bump_width.log())

    def logits(self, time: int) -> Float[Tensor, "heads time time"]:
        """The logarithm of the weights, before rows are scaled to sum to 1."""
        if self.form == "bumps":
            return spread((self.floor + bumps(self.offset, self.log_width.exp(), 1 - time, time - 1)).log(), time)
        middle = self.table.shape[1] // 2
        if time > middle + 1:
            raise ValueError(
                f"toeplitz with form='table' was made for at most {middle + 1} steps (max_length), not {time}; "
                "form='bumps' takes any length"
            )
        return spread(self.table[:, middle + 1 - time : middle + time], time)

    @property
    def longest(self) -> int | None:
        """The longest input that it takes, in steps: max_length for a table, any for bumps."""
        return self.max_length if self.form == "table" else None

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """The same by banded products and a sum for the floor; a table by one dense product for the whole batch."""
        if self.form == "table":
            return super().forward(hidden, values, valid)
        batch, _, time, head_dim = values.shape
        with torch.autocast(values.device.type, enabled=False):
            dtype = torch.promote_types(values.dtype, self.offset.dtype)
            bands, mass = self.kept((time, dtype), lambda: self._bands(time, dtype))
            # Utterances stand side by side in the columns: they share the bands.
            columns = zero_invalid(values, valid).to(dtype).permute(1, 2, 0, 3).flatten(2)
            if not bool(valid.all()):
                mass = self._mass(bands, valid.t().to(dtype).contiguous())
            # In place, as fresh memory is what such short passes over the output mostly cost.
            sums = multiply(bands, columns).add_(self.floor * columns.sum(1, keepdim=True))
            output = sums.unflatten(2, (batch, head_dim)).div_(mass[..., None])
            return output.permute(2, 0, 1, 3).to(values.dtype)

    def _bands(self, time: int, dtype: torch.dtype) -> tuple[Bands, Float[Tensor, "heads time 1"]]:
        """The bumps, cut where they no longer count, and each row's mass where all steps are valid."""
        offset, width = self.offset, self.log_width.exp()
        reached = tuple(limits(*bump, self.floor, time) for bump in zip(offset.tolist(), width.tolist(), strict=True))
        lowest, highest = min(low for low, _ in reached), max(high for _, high in reached)
        bands = make_bands(bumps(offset, width, lowest, highest).to(dtype), lowest, reached)
        return bands, self._mass(bands, torch.ones(time, 1, dtype=dtype, device=offset.device))

    def _mass(self, bands: Bands, real: Float[Tensor, "time batch"]) -> Float[Tensor, "heads time batch"]:
        """What a row's weights sum to; that of an empty utterance is no matter, but not 0."""
        return multiply(bands, real.expand(self.heads, -1, -1)) + self.floor * real.sum(0).clamp(min=1)
