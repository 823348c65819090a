"""Mechanisms in the form that is exported: fixed weights as constants, in the cheapest form for each head."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from inattention.attention import AttentionMechanism
from inattention.attention.ops.fixed_maps import VANISHING_MASS
from inattention.attention.ops.padding import full_mask, zero_invalid
from inattention.attention.ops.sparse_patterns import SparseAttention


class Part(NamedTuple):
    """Heads that are mixed in one form."""

    heads: tuple[int, ...]
    form: nn.Module


class ExportedMixing(AttentionMechanism):
    """Averages with fixed weights.

    Args:
        like: the mechanism that it takes the place of.
        parts: the form of each head.
        kernel: (width, 1, taps), of a depthwise convolution of the values that is added; None for none.
    """

    order: Tensor | None
    back: Tensor | None
    kernel: Tensor | None

    def __init__(self, like: AttentionMechanism, parts: Sequence[Part], kernel: Tensor | None = None) -> None:
        super().__init__(width=like.width, heads=like.heads, max_length=like.max_length)
        self.forms = nn.ModuleList(part.form for part in parts)
        self.sizes = [len(part.heads) for part in parts]
        order = [head for part in parts for head in part.heads]
        sorted_already = order == sorted(order)
        self.register_buffer("order", None if sorted_already else torch.tensor(order))
        self.register_buffer("back", None if sorted_already else torch.tensor(order).argsort())
        self.register_buffer("kernel", None if kernel is None else kernel.detach().clone())
        self._in_pass: tuple[list[Tensor | None], Tensor] | None = None
        self._shared = False

    @property
    def longest(self) -> int | None:
        """The longest input is that of the encoder."""
        return None

    @contextmanager
    def one_pass(self) -> Generator[None]:
        """Compute matrices and masses once for all layers of this pass."""
        self._shared = True
        try:
            yield
        finally:
            self._shared, self._in_pass = False, None

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Average the values; the first frames of each utterance are its real ones."""
        clean = zero_invalid(values, valid)
        made, mass = self._in_pass or self._prepared(full_mask(valid, hidden), values)
        if self._shared:
            self._in_pass = made, mass
        mixed = self._sums(clean, made) / mass
        if self.kernel is None:
            return mixed
        channels = clean.transpose(2, 3).flatten(1, 2)
        convolved = F.conv1d(channels, self.kernel, padding=self.kernel.shape[2] // 2, groups=self.width)
        return mixed + convolved.unflatten(1, (self.heads, -1)).transpose(2, 3)

    def _prepared(self, valid: Tensor, values: Tensor) -> tuple[list[Tensor | None], Tensor]:
        """Return what the forms make of the input's length alone, and what each row sums to."""
        made = [form.prepare(values.shape[2]) for form in self.forms]  # ty: ignore[not-callable]
        real = valid[:, None, :, None].to(values.dtype).expand(-1, self.heads, -1, -1)
        mass = self._sums(real, made)
        return made, torch.where(mass < VANISHING_MASS, 1.0, mass)

    def _sums(self, x: Tensor, made: Sequence[Tensor | None]) -> Float[Tensor, "batch heads time columns"]:
        if len(self.forms) == 1:
            return self.forms[0](x, made[0])
        parts = (x if self.order is None else x.index_select(1, self.order)).split(self.sizes, 1)
        sums = torch.cat([form(part, it) for form, part, it in zip(self.forms, parts, made, strict=True)], 1)
        return sums if self.back is None else sums.index_select(1, self.back)


class ByDefinition(AttentionMechanism):
    """A mechanism whose fast way depends on the length, so that a graph of it would hold for some lengths alone.

    Args:
        mechanism: the mechanism, whose dense definition is exported.
    """

    def __init__(self, mechanism: AttentionMechanism) -> None:
        super().__init__(width=mechanism.width, heads=mechanism.heads, max_length=mechanism.max_length)
        self.mechanism = mechanism
        if isinstance(mechanism, SparseAttention) and not mechanism.per_utterance:
            # One pattern for all utterances, not one for each: a list would fix the size of a batch.
            mechanism._lengths = lambda valid: [mechanism.length]

    @property
    def longest(self) -> int | None:
        """The longest input is the mechanism's."""
        return self.mechanism.longest

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Average the values with the dense weights."""
        return self.mechanism.reference(hidden, values, valid)
