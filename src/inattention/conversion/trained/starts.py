"""Starts of mechanisms from a teacher's attention: mean weights over offsets and over frames, queries and keys.

A mechanism of another kind, a third party's too, starts as in a new encoder; a mechanism with ``query`` and ``key``
projections of the teacher's shape starts from the teacher's.
"""

import math
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inattention.attention.base import AttentionMechanism
from inattention.attention.mechanisms.patterned import Patterned
from inattention.attention.mechanisms.query_key import QueryKey
from inattention.attention.mechanisms.synthesizer_random import RandomSynthesizer
from inattention.attention.mechanisms.toeplitz import Toeplitz
from inattention.encoders.attention_handles import attention_handles
from inattention.encoders.converted_attention import ConvertedAttention

FLOOR = 1e-7
_NARROWEST, _WIDEST = 0.5, 200.0  # frames, of a Gaussian that a head starts from
_FLAT = 10.0  # lengths of the longest input, as the width of a Gaussian that is flat over it
_CENTRE = 0.5  # offsets with at least this share of the greatest weight locate a Gaussian


@dataclass
class HeadMaps:
    """Mean attention of a layer's heads over recordings.

    Args:
        longest: greatest number of frames.
        dense: keep whole maps too, not only means over offsets.

    Attributes:
        offsets: summed weights by offset j - i, from -(longest - 1) to longest - 1.
        pairs: number of pairs of frames by offset.
        maps: summed maps; None without `dense`.
        counts: number of maps that cover each entry of `maps`.
    """

    longest: int
    dense: bool
    offsets: Tensor | float = 0.0
    pairs: Tensor | float = 0.0
    maps: Tensor | None = None
    counts: Tensor | None = None

    def add(self, weights: Float[Tensor, "heads time time"]) -> None:
        """Add the attention maps of an utterance."""
        heads, time, _ = weights.shape
        frames = torch.arange(time)
        places = (frames[None, :] - frames[:, None] + self.longest - 1).flatten()
        size = 2 * self.longest - 1
        self.offsets = torch.zeros(heads, size).index_add_(1, places, weights.flatten(1)) + self.offsets
        self.pairs = torch.zeros(size).index_add_(0, places, torch.ones(len(places))) + self.pairs
        if self.dense:
            if self.maps is None or self.counts is None:
                self.maps = torch.zeros(heads, self.longest, self.longest)
                self.counts = torch.zeros(self.longest, self.longest)
            self.maps[:, :time, :time] += weights
            self.counts[:time, :time] += 1

    @property
    def by_offset(self) -> Float[Tensor, "heads offsets"]:
        """Mean weight by offset; offsets that no recording had get that of the farthest one that it had."""
        assert isinstance(self.offsets, Tensor)
        assert isinstance(self.pairs, Tensor)
        mean = self.offsets / self.pairs.clamp(min=1)
        reach = int(self.pairs.nonzero().max()) - (self.longest - 1)
        middle = self.longest - 1
        mean[:, middle + reach + 1 :] = mean[:, middle + reach, None]
        mean[:, : middle - reach] = mean[:, middle - reach, None]
        return mean

    @property
    def by_frame(self) -> Float[Tensor, "heads longest longest"]:
        """Mean map; entries that no recording covers follow from the mean weight by offset."""
        assert self.maps is not None
        assert self.counts is not None
        frames = torch.arange(self.longest)
        from_offsets = self.by_offset[:, frames[None, :] - frames[:, None] + self.longest - 1]
        return torch.where(self.counts > 0, self.maps / self.counts.clamp(min=1), from_offsets)


def needs_dense(mechanism: AttentionMechanism) -> bool:
    """Return whether a mechanism starts from whole maps."""
    return isinstance(mechanism, Patterned | RandomSynthesizer)


@torch.no_grad()
def capture(
    model: nn.Module, runs: Iterable[Callable[[], object]], *, layers: Iterable[int], longest: int, dense: bool
) -> dict[int, HeadMaps]:
    """Return the mean maps of some layers of a trained encoder.

    Args:
        model: an encoder of `transformers`.
        runs: each call runs the encoder on one utterance.
        layers: their numbers; a layer whose mechanism has no maps is left out.
        longest: greatest number of frames.
        dense: keep whole maps too.
    """
    found: dict[int, HeadMaps] = {}

    def add(layer: int, module: nn.Module, hidden: Tensor) -> None:
        maps = maps_or_none(module, hidden)
        if maps is not None:
            found.setdefault(layer, HeadMaps(longest, dense)).add(maps[0].cpu())

    with attention_inputs(model, layers, add):
        for run in runs:
            run()
    return found


@contextmanager
def attention_inputs(
    model: nn.Module, layers: Iterable[int], seen: Callable[[int, nn.Module, Tensor], None]
) -> Generator[None]:
    """Call a function with the layer, the attention module and its input, whenever an encoder runs in the block.

    Args:
        model: an encoder of `transformers`.
        layers: layers whose inputs are wanted.
        seen: the function.
    """
    places = [handle.module for handle in attention_handles(model)]

    def hook(layer: int) -> Callable[..., None]:
        def record(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
            seen(layer, module, args[0] if args else kwargs["hidden_states"])

        return record

    hooks = [places[layer].register_forward_pre_hook(hook(layer), with_kwargs=True) for layer in layers]
    try:
        yield
    finally:
        for handle in hooks:
            handle.remove()


def maps_or_none(
    module: nn.Module, hidden: Float[Tensor, "batch time width"]
) -> Float[Tensor, "batch heads time time"] | None:
    """Return the weights of a self-attention module, as `teacher_maps`; None of a mechanism without any."""
    try:
        return teacher_maps(module, hidden)
    except (ValueError, NotImplementedError):
        if not isinstance(module, ConvertedAttention):
            raise
        return None


def teacher_maps(module: Any, hidden: Float[Tensor, "batch time width"]) -> Float[Tensor, "batch heads time time"]:
    """Return the weights of a self-attention module of `transformers`, converted or not, without padding."""
    if isinstance(module, ConvertedAttention):
        return module.weights(hidden)
    heads = module.num_heads
    query, key = (
        projection(hidden).unflatten(-1, (heads, -1)).transpose(1, 2) for projection in (module.q_proj, module.k_proj)
    )
    return (query @ key.transpose(-1, -2) * module.scaling).softmax(-1)


def start(new: ConvertedAttention, teacher: nn.Module, maps: HeadMaps) -> bool:
    """Start a replacement's mechanism from the teacher's attention.

    Args:
        new: the replacement.
        teacher: the module that it replaces.
        maps: mean attention of that module.

    Returns:
        Whether the mechanism has anything that can be taken from the teacher.
    """
    chosen = list(new.replaced)
    with torch.no_grad():
        return _start(new.mechanism, teacher, maps, chosen)


@singledispatch
def _start(mechanism: AttentionMechanism, teacher: Any, maps: HeadMaps, heads: list[int]) -> bool:
    """Copy the teacher's queries and keys, where the mechanism has projections of them."""
    return _copy_queries_and_keys(mechanism, teacher)


def _copy_queries_and_keys(mechanism: AttentionMechanism, teacher: Any) -> bool:
    """Copy the teacher's queries and keys into projections of the same names and shapes; return if there are any."""
    copied = False
    for name in ("query", "key"):
        mine, its = getattr(mechanism, name, None), getattr(teacher, f"{name[0]}_proj", None)
        if isinstance(mine, nn.Linear) and its is not None and mine.weight.shape == its.weight.shape:
            mine.weight.copy_(its.weight)
            if mine.bias is not None:
                mine.bias.zero_() if its.bias is None else mine.bias.copy_(its.bias)
            copied = True
    return copied


@_start.register
def _(mechanism: QueryKey, teacher: Any, maps: HeadMaps, heads: list[int]) -> bool:
    """Copy queries and keys, with a bias so wide that it changes next to nothing."""
    if mechanism.bias == "toeplitz":
        mechanism.offset.zero_()
        mechanism.log_width.fill_(math.log(_FLAT * maps.longest))
    return _copy_queries_and_keys(mechanism, teacher)


@_start.register
def _(mechanism: Toeplitz, teacher: Any, maps: HeadMaps, heads: list[int]) -> bool:
    """Start from the mean weight by offset: all of it for a table, its centre and spread for a Gaussian."""
    weights = maps.by_offset[heads]
    if mechanism.form == "table":
        middle, reach = maps.longest - 1, mechanism.table.shape[1] // 2
        mechanism.table.copy_((weights + FLOOR).log()[:, middle - reach : middle + reach + 1])
        return True
    offsets = torch.arange(1 - maps.longest, maps.longest, dtype=weights.dtype)
    core = weights.where(weights >= _CENTRE * weights.amax(1, keepdim=True), 0.0)
    centre = (core * offsets).sum(1) / core.sum(1)
    near = weights / weights.sum(1, keepdim=True)
    # The mean distance of a Gaussian is its deviation times sqrt(2 / pi); far tails would dominate a variance.
    spread = (near * (offsets - centre[:, None]).abs()).sum(1) * (torch.pi / 2) ** 0.5
    mechanism.offset.copy_(centre)
    mechanism.log_width.copy_(spread.clamp(_NARROWEST, _WIDEST).log())
    return True


@_start.register
def _(mechanism: Patterned, teacher: Any, maps: HeadMaps, heads: list[int]) -> bool:
    """Start from the mean map, as log-weights."""
    mechanism.maps.copy_((maps.by_frame[heads] + FLOOR).log())
    return True


@_start.register
def _(mechanism: RandomSynthesizer, teacher: Any, maps: HeadMaps, heads: list[int]) -> bool:
    """Start from the mean map, as log-weights; a factored map keeps its own start."""
    if mechanism.rank:
        return False
    mechanism.maps.copy_((maps.by_frame[heads] + FLOOR).log())
    return True
