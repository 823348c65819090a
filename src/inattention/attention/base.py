"""What an attention mechanism is, and the card that it hands over about itself.

Notation for shapes, here and in every mechanism: ``batch`` utterances, ``time`` steps (T), ``heads`` (H),
``head_dim`` (d), ``width`` = H d.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from jaxtyping import Bool, Float
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How a mechanism is drawn for an input of a few dozen steps.

    Attributes:
        heads: the heads that stand for all of them, negative ones counted from the last, with a word on each.
        mask: draw which keys a query may attend to, rather than the weights.
        options: options that fit so short an input, where the defaults are made for long ones.
    """

    heads: Mapping[int, str] = field(default_factory=lambda: {0: ""})
    mask: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Card:
    """What tables, tests and the command line know of a mechanism.

    Attributes:
        name: the name it is built by, such as ``"sparse-strided"``.
        label: the name that tables print, such as ``"Sparse (strided)"``.
        family: what it is listed under, such as ``"sparse"``.
        citation: who gave it first.
        options: the meaning of each option; the defaults stand in the constructor's signature.
        files: options that may name a safetensors file of maps to start from. They decide no shape: they are left alone
            where weights are loaded, so that a saved model needs no file beside its own.
        variants: options by the name that a study's row gives them: ``qk@identity`` is ``variants["identity"]``.
        fields: the fields of application in the paper's Table 1 (or known since).
        training_cost: how a training step's time grows, in T, d, H and the options; the value, output and feed-forward
            maps, which are the same for all, are left out.
        inference_cost: the same for inference.
        flops: ``flops(time, width, heads, **options)``: floating-point operations of one forward pass for one
            utterance, a multiplication and an addition counting as two. Sorting, gathering and exponentials count
            nothing, as in PyTorch's counter; a Fourier transform of N numbers counts 5 N log2 N, of real ones half.
        hash_flops: the part of ``flops`` that is spent on choosing keys, through which no gradient flows.
        input_independent: the weights are the same for every input.
        needs_max_length: it cannot be built without, or run beyond, a maximum length, whatever its options. Where only
            some options do that, `AttentionMechanism.longest` tells for the mechanism that was built.
        stochastic: it draws random numbers in training.
        shares_qk: one projection serves as query and key.
        averages: its output is a weighted average of the values. Where it is not, rows of weights need not sum to 1,
            and weights may be negative.
        linear_map: for a given input, what it does to the values is a linear map over time in each head, which
            `AttentionMechanism.weights` gives. Where it is not, `weights` raises ValueError and
            `AttentionMechanism.reference` holds the definition.
        drawing: how it is drawn.
    """

    name: str
    label: str
    family: str
    citation: str
    training_cost: str
    inference_cost: str
    flops: Callable[..., float]
    hash_flops: Callable[..., float] | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    input_independent: bool = False
    needs_max_length: bool = False
    stochastic: bool = False
    shares_qk: bool = False
    averages: bool = True
    linear_map: bool = True
    drawing: Drawing = field(default_factory=Drawing)


class AttentionMechanism(nn.Module):
    """Turns a layer's input into weights over time, and averages the values with them.

    A mechanism owns what it needs to make its weights (query and key projections, maps), not the value and output
    projections, which are the same for all. `weights` is the definition; `forward` gives the same result, the fast
    way, and is by default the definition itself. The few that are no linear map over time define `reference` instead.

    What every mechanism keeps to, and `inattention.testing.check_mechanism` checks:

    - ``forward(h, v, m)`` equals ``reference(h, v, m)``, that is ``weights(h, m) @ v``, at valid steps, in evaluation
      and, with the same random state, in training;
    - rows of valid steps sum to 1 (where its card says that it averages) and no weight falls on an invalid key;
    - what stands in invalid steps (NaN included) changes nothing at valid ones;
    - an utterance's output is the same alone, in any batch, and under any extra padding.

    Args:
        width: features of a step, over all heads.
        heads: how many heads share the width.
        max_length: the longest input in steps, for mechanisms that need one.

    A constructor that also takes ``layer`` is told which of how many layers it serves, or None for all of them.
    """

    card: ClassVar[Card]

    def __init__(self, *, width: int, heads: int, max_length: int | None = None) -> None:
        super().__init__()
        self.width = width
        self.heads = heads
        self.head_dim = width // heads
        self.max_length = max_length

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch heads time time"]:
        """Give the weights as the mechanism's definition has them, dense.

        Args:
            hidden: the layer's input.
            valid: True where a step is real; any pattern.

        Returns:
            For each query (second but last axis) its weights over keys (last axis).

        Raises:
            ValueError: if what it does is no linear map over time, as its card then says.
        """
        if not self.card.linear_map:
            raise ValueError(
                f"attention mechanism {self.card.name!r} has no weights: what it does to the values is no linear map "
                "over time (its card: linear_map=False)"
            )
        raise NotImplementedError(f"{type(self).__name__} must define weights")

    def reference(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Give what `forward` must give, straight from the definition: the values averaged with `weights`."""
        from inattention.attention.ops.padding import zero_invalid

        return self.weights(hidden, valid).to(values.dtype) @ zero_invalid(values, valid)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Average the values with the weights: what `weights` defines, computed the fast way."""
        return self.reference(hidden, values, valid)

    @property
    def longest(self) -> int | None:
        """The longest input that it takes, in steps; None if it takes any."""
        return self.max_length if self.card.needs_max_length else None

    def auxiliary_loss(self) -> Float[Tensor, ""] | None:
        """Give what training should keep small beside its own loss, such as a price on spans; None for nothing."""
        return None

    @contextmanager
    def one_pass(self) -> Generator[None]:
        """While one pass over an encoder's layers lasts: what does not depend on the input may be computed once."""
        yield

    def extra_repr(self) -> str:  # noqa: D102 - as PyTorch has it
        return f"width={self.width}, heads={self.heads}, max_length={self.max_length}"
