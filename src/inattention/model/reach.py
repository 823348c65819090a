"""How far the output of an encoder depends on its input, and encoders whose dependence is limited."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm

from torch import nn

from inattention.attention import AttentionMechanism, Reach
from inattention.audio.config import FeatureConfig
from inattention.model.encoder import Encoder


class UnlimitedReach(ValueError):
    """An encoder whose output depends on all of its input; the message names the layer and the reason."""


@dataclass(frozen=True)
class LimitedLayers:
    """Mechanisms of limited reach, one for each layer.

    Attributes:
        mechanisms: by layer; layers that share a mechanism share its limited form.
        reach: frames before and behind a frame that the output of the last layer depends on.
        left_out: greatest part of any row of weights that the limited forms leave out; 0 where they are exact.
    """

    mechanisms: tuple[AttentionMechanism, ...]
    reach: Reach
    left_out: float


def limit_layers(mechanisms: Sequence[AttentionMechanism], bound: float = 0.0) -> LimitedLayers:
    """Return mechanisms of limited reach in the place of those of an encoder's layers.

    Args:
        mechanisms: by layer.
        bound: greatest part of any row of weights that may be left out, by Toeplitz tables alone.

    Raises:
        UnlimitedReach: if a mechanism has none.
        ValueError: for a bound outside of [0, 1).
    """
    if not 0 <= bound < 1:
        raise ValueError(f"bound must be 0 or more and below 1, not {bound}")
    known: dict[int, AttentionMechanism | None] = {}
    limited, back, ahead, grid = [], 0, 0, 1
    for layer, mechanism in enumerate(mechanisms):
        if id(mechanism) not in known:
            known[id(mechanism)] = mechanism.limited(bound)
        found = known[id(mechanism)]
        reach = None if found is None else found.receptive_field()
        if found is None or reach is None:
            raise UnlimitedReach(
                f"layer {layer + 1} of {len(mechanisms)}: {mechanism.card.name} has no limited reach: its frames "
                f"depend on {mechanism.unlimited_by}"
            )
        limited.append(found)
        back, ahead, grid = back + reach.back, ahead + reach.ahead, lcm(grid, reach.grid)
    left_out = max((it.left_out for it in limited), default=0.0)
    return LimitedLayers(tuple(limited), Reach(back, ahead, grid), left_out)


@dataclass(frozen=True)
class LimitedEncoder:
    """An encoder that takes input of any length in blocks.

    Attributes:
        encoder: the encoder; it shares its parameters with the original.
        reach: frames before and behind a frame that its output depends on.
        left_out: greatest part of any row of weights that is left out; 0 where the output is that of the original.
    """

    encoder: Encoder
    reach: Reach
    left_out: float


def limit_encoder(encoder: Encoder, bound: float = 0.0) -> LimitedEncoder:
    """Return an encoder with mechanisms of limited reach.

    Args:
        encoder: the encoder.
        bound: as for `limit_layers`.

    Raises:
        UnlimitedReach: if a mechanism has no limited reach.
    """
    layers = limit_layers([mechanism for _, mechanism in encoder.depth()], bound)
    made = copy.copy(encoder)
    # The parts are the original's, in a dictionary of its own.
    made._modules = {**encoder._modules, "mechanisms": nn.ModuleList(layers.mechanisms)}
    return LimitedEncoder(made, layers.reach, layers.left_out)


def feature_seconds(config: FeatureConfig) -> float:
    """Return how far from the centre of an input frame lies the audio that it is made of, in seconds.

    The statistics of a normalisation, which are those of the whole recording, do not count.

    >>> feature_seconds(FeatureConfig())
    0.0875
    """
    frames = (config.stack - 1) / 2 + (config.delta_frames // 2 if config.deltas else 0)
    return frames * config.hop_seconds + config.window_seconds / 2


def reach_seconds(reach: Reach, config: FeatureConfig) -> tuple[float, float]:
    """Return how much audio before and behind the centre of a frame its output depends on, in seconds."""
    around = feature_seconds(config)
    return reach.back * config.step_seconds + around, reach.ahead * config.step_seconds + around
