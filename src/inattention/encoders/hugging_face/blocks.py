"""Blocks of long recordings, for encoders of `transformers`: what a frame depends on, and how it is limited."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

from inattention.attention import AttentionMechanism, Reach
from inattention.encoders.attention_handles import attention_handles
from inattention.encoders.converted_attention import ConvertedAttention
from inattention.model.reach import LimitedLayers, UnlimitedReach, limit_layers


@dataclass(frozen=True)
class Blocks:
    """Blocks that a long recording is cut into.

    Attributes:
        frames: frames that each block adds.
        reach: frames before and behind a frame that its output depends on; None for windows of the encoder's longest
            input.
        left_out: greatest part of any row of weights that is left out.
        modules: attention modules whose mechanisms are replaced.
        mechanisms: what takes their places.
    """

    frames: int
    reach: Reach | None = None
    left_out: float = 0.0
    modules: tuple[ConvertedAttention, ...] = ()
    mechanisms: tuple[AttentionMechanism, ...] = ()

    @contextmanager
    def installed(self) -> Generator[None]:
        """Put the mechanisms of limited reach in their places until the end of the `with` block."""
        originals = [module.mechanism for module in self.modules]
        try:
            for module, mechanism in zip(self.modules, self.mechanisms, strict=True):
                module.mechanism = mechanism
            yield
        finally:
            for module, mechanism in zip(self.modules, originals, strict=True):
                module.mechanism = mechanism


def block_frames(seconds: float, step_seconds: float) -> int:
    """Return the number of frames of a block.

    Raises:
        ValueError: for a length out of range.
    """
    if not 0 < seconds < float("inf"):
        raise ValueError(f"the length of a block must be above 0 seconds, not {seconds}")
    return max(1, round(seconds / step_seconds))


def converted_layers(model: nn.Module, bound: float) -> tuple[tuple[ConvertedAttention, ...], LimitedLayers]:
    """Return the attention modules of a converted encoder, and mechanisms of limited reach for them.

    Args:
        model: the encoder.
        bound: greatest part of any row of weights that may be left out.

    Raises:
        UnlimitedReach: if a layer has attention of its own, or a mechanism without a limit.
    """
    modules: list[Any] = [handle.module for handle in attention_handles(model)]
    for layer, module in enumerate(modules):
        if not isinstance(module, ConvertedAttention) or module.kept:
            raise UnlimitedReach(
                f"layer {layer + 1} of {len(modules)}: has query-key attention of the original encoder, which has no "
                "limited reach: its frames depend on all frames of the input"
            )
    return tuple(modules), limit_layers([module.mechanism for module in modules], bound)


def convolution_reach(model: Any) -> Reach:
    """Return the reach of the convolutions of an encoder of waveforms, in frames, but for those that make the frames.

    Raises:
        UnlimitedReach: if a convolution is normalised over the input.
    """
    for layer, stage in enumerate(model.feature_extractor.conv_layers):
        if isinstance(getattr(stage, "layer_norm", None), nn.GroupNorm):
            raise UnlimitedReach(
                f"convolution {layer + 1}: is normalised over all frames of the input (feat_extract_norm='group'), so "
                "that the encoder has no limited reach"
            )
    embed = model.encoder.pos_conv_embed
    kernels = [stage.conv.kernel_size[0] for stage in getattr(embed, "layers", [embed])]
    # An even kernel has one frame more before than behind: the last output is dropped.
    return Reach(sum(kernel // 2 for kernel in kernels), sum((kernel - 1) // 2 for kernel in kernels))


def joined(reaches: Sequence[Reach]) -> Reach:
    """Return the reach of parts that follow each other; none of them has a grid but the attention's."""
    return Reach(
        sum(it.back for it in reaches), sum(it.ahead for it in reaches), max((it.grid for it in reaches), default=1)
    )
