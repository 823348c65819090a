"""The interface of attention mechanisms, and the card that describes each.

Notation for shapes, here and in every mechanism: ``batch`` utterances, ``time`` frames (T), ``heads`` (H),
``head_dim`` (d), ``width`` = H d.
"""

import functools
import inspect
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Settings for drawing a mechanism on an input of a few dozen frames.

    Attributes:
        heads: caption by head, for the heads that stand for all; negative ones are counted from the last.
        mask: draw which keys a query may attend to, rather than the weights.
        options: options for so short an input, where the defaults are meant for long ones.
    """

    heads: Mapping[int, str] = field(default_factory=lambda: {0: ""})
    mask: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reach:
    """Frames that an output frame depends on.

    Attributes:
        back: number of frames before it.
        ahead: number of frames behind it.
        grid: a block of a longer input may begin at multiples of it, where a pattern counts frames from the first one.
    """

    back: int
    ahead: int
    grid: int = 1


@dataclass(frozen=True, kw_only=True)
class Card:
    """Description of a mechanism for tables, tests and the command line.

    Attributes:
        name: the name it is built by, such as ``"sparse-strided"``.
        label: the name in tables, such as ``"Sparse (strided)"``.
        family: the group it is listed in, such as ``"sparse"``.
        citation: the first publication.
        options: the meaning of each option; the defaults are those of the constructor.
        files: options that may name a safetensors file of initial maps. They decide no shape and are ignored where
            weights are loaded, so that a saved model needs no file beside its own.
        variants: options by the name of a variant: the row ``qk@identity`` has ``variants["identity"]``.
        fields: the fields of application in the paper's Table 1 (or known since).
        training_cost: growth of the time of a training step in T, d, H and the options, without the value, output and
            feed-forward maps, which are the same for all.
        inference_cost: the same for inference.
        flops: ``flops(time, width, heads, **options)``: floating-point operations of one forward pass for one
            utterance, a multiplication and an addition counting as two. Sorting, gathering and exponentials count
            nothing, as in PyTorch's counter; a Fourier transform of N numbers counts 5 N log2 N, of real ones half.
        hash_flops: the part of ``flops`` that selects keys, through which no gradient flows.
        input_independent: the weights are the same for every input.
        needs_max_length: it needs a maximum length to be built and takes no longer input, whatever its options. Where
            that depends on the options, see `AttentionMechanism.longest`.
        stochastic: it draws random numbers in training.
        shares_qk: one projection serves as query and key.
        averages: its output is a weighted average of the values. Otherwise rows of weights need not sum to 1, and
            weights may be negative.
        linear_map: for a given input, its output is a linear map of the values over time in each head, which
            `AttentionMechanism.weights` returns. Otherwise `weights` raises ValueError, and
            `AttentionMechanism.reference` is the definition.
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
    """Base class of mechanisms, which make weights over time from a layer's input and average the values with them.

    A mechanism owns what its weights are made of (query and key projections, maps), not the value and output
    projections, which are the same for all. `weights` is the definition; `forward` computes the same result fast and
    is, by default, the definition itself. The few that are no linear map over time define `reference` instead.

    Every mechanism keeps these promises, which `inattention.testing.check_mechanism` checks:

    - ``forward(h, v, m)`` equals ``reference(h, v, m)``, that is ``weights(h, m) @ v``, at real frames, in evaluation
      and, with the same random state, in training;
    - rows of real frames sum to 1 (if its card says that it averages) and no weight falls on padding;
    - the content of padding (NaN included) changes nothing at real frames;
    - an utterance's output is the same alone, in any batch, and under any extra padding;
    - None for ``valid`` means that all frames are real;
    - frames outside of `receptive_field`, if it is limited, change nothing.

    A method whose ``valid`` has no default value never receives None: it gets a mask that is True everywhere. So only
    mechanisms that gain from None need to know about it.

    Args:
        width: features of a frame, over all heads.
        heads: how many heads share the width.
        max_length: the longest input in frames, for mechanisms that need one.

    A constructor that also takes ``layer`` gets (index, number of layers) of the layer it serves, or None if it serves
    all.
    """

    card: ClassVar[Card]
    left_out: float = 0.0  # greatest part of any row of weights that `limited` left out

    def __init__(self, *, width: int, heads: int, max_length: int | None = None) -> None:
        super().__init__()
        self.width = width
        self.heads = heads
        self.head_dim = width // heads
        self.max_length = max_length

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, place in (("weights", 2), ("reference", 3), ("forward", 3)):
            method = cls.__dict__.get(name)
            if inspect.isfunction(method):
                parameters = list(inspect.signature(method).parameters.values())
                if len(parameters) > place and parameters[place].default is inspect.Parameter.empty:
                    setattr(cls, name, _with_full_mask(method, place))

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch heads time time"]:
        """Return the weights of the mechanism's definition, dense.

        Args:
            hidden: the layer's input.
            valid: True at real frames, in any pattern; None if all are.

        Returns:
            For each query (second but last axis) its weights over keys (last axis).

        Raises:
            ValueError: if the mechanism is no linear map over time (its card: ``linear_map=False``).
        """
        if not self.card.linear_map:
            raise ValueError(
                f"attention mechanism {self.card.name!r} has no weights: its output is no linear map of the values "
                "over time (its card: linear_map=False)"
            )
        raise NotImplementedError(f"{type(self).__name__} must define weights")

    def reference(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Return the result that `forward` must have, from the definition: the values averaged with `weights`."""
        clean = values if valid is None else torch.where(valid[:, None, :, None], values, 0.0)
        return self.weights(hidden, valid).to(values.dtype) @ clean

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Average the values with the weights: the result that `weights` defines, computed fast.

        Args:
            hidden: the layer's input.
            values: what is averaged; at padding anything may stand.
            valid: True at real frames, in any pattern; None if all are.
        """
        return self.reference(hidden, values, valid)

    @property
    def longest(self) -> int | None:
        """The longest input in frames; None if there is no limit."""
        return self.max_length if self.card.needs_max_length else None

    def receptive_field(self) -> Reach | None:
        """Return how far from a frame lies what its output depends on, in evaluation; None if there is no limit."""
        return None

    @property
    def unlimited_by(self) -> str:
        """Description of the input that a frame depends on where there is no limit, for error messages."""
        return "all frames of the input"

    def limited(self, bound: float = 0.0) -> "AttentionMechanism | None":
        """Return a mechanism that takes this one's place in input of any length, with a limited receptive field.

        Args:
            bound: greatest part of any row of weights that it may leave out.

        Returns:
            The mechanism itself where its receptive field is limited already; None if there is no such mechanism.
        """
        return None if self.receptive_field() is None else self

    def auxiliary_loss(self) -> Float[Tensor, ""] | None:
        """Return a term that training adds to its loss, such as a penalty on spans; None for nothing."""
        return None

    @contextmanager
    def one_pass(self) -> Generator[None]:
        """Enclose one pass over an encoder's layers: what does not depend on the input may be computed once."""
        yield

    def extra_repr(self) -> str:  # noqa: D102 - as PyTorch has it
        return f"width={self.width}, heads={self.heads}, max_length={self.max_length}"


def _with_full_mask(method: Callable[..., Tensor], place: int) -> Callable[..., Tensor]:
    """Return a method that gets a mask of all frames in place of None; ``valid`` is its argument number ``place``."""

    @functools.wraps(method)
    def call(self: AttentionMechanism, *inputs: Tensor | None, valid: Tensor | None = None) -> Tensor:
        if len(inputs) == place:
            inputs, valid = inputs[:-1], inputs[-1]
        if valid is None:
            assert inputs[0] is not None
            valid = torch.ones(inputs[0].shape[:2], dtype=torch.bool, device=inputs[0].device)
        return method(self, *inputs, valid)

    return call
