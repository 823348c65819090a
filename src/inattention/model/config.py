"""The config of a model, which is saved beside its weights."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from inattention.audio.config import FeatureConfig

# Far beyond any model; a file that asks for more is rejected before the model is built.
MOST_LAYERS = 1000
MODEL_TYPE = "inattention"  # in config.json, by which the auto classes of transformers know our folders


@dataclass(frozen=True, kw_only=True)
class AudioTransformerConfig:
    """Config of an `AudioTransformer`. The defaults are the paper's sizes.

    Attributes:
        attention: the mechanism, one of ``inattention.attention.mechanisms()``.
        attention_options: the mechanism's own options, as its card explains them.
        width: features of a frame inside the encoder.
        heads: attention heads, which share the width.
        layers: how many layers a frame goes through.
        feed_forward: width inside the feed-forward part of a layer.
        share_layers: one set of values, output and feed-forward weights serves all layers (ALBERT).
        maps: whether the mechanism is one for all layers or one per layer.
        max_length: the longest input in frames that the model is trained on; longer inputs are extracted in chunks.
        dropout: on the embedded input and on what each half of a layer adds.
        norm_epsilon: of the layer norms.
        features: how a waveform becomes the model's input.

    >>> AudioTransformerConfig().input_size
    480
    """

    attention: str = "patterned"
    attention_options: dict[str, Any] = field(default_factory=dict)
    width: int = 768
    heads: int = 12
    layers: int = 6
    feed_forward: int = 3072
    share_layers: bool = True
    maps: Literal["shared", "per-layer"] = "shared"
    max_length: int = 512
    dropout: float = 0.0
    norm_epsilon: float = 1e-12
    features: FeatureConfig = field(default_factory=FeatureConfig)

    def __post_init__(self) -> None:
        if min(self.width, self.heads, self.layers, self.feed_forward, self.max_length) < 1:
            raise ValueError("width, heads, layers, feed_forward and max_length must be at least 1")
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) must be a multiple of heads ({self.heads})")
        if self.width % 2:
            raise ValueError(f"width ({self.width}) must be even: positions are pairs of a sine and a cosine")
        if self.layers > MOST_LAYERS:
            raise ValueError(f"layers must be at most {MOST_LAYERS}, not {self.layers}")
        if not 0 < self.norm_epsilon < math.inf:
            raise ValueError(f"norm_epsilon must be a number above 0, not {self.norm_epsilon}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), not {self.dropout}")
        if self.maps not in ("shared", "per-layer"):
            raise ValueError(f"maps must be 'shared' or 'per-layer', not {self.maps!r}")

    @property
    def input_size(self) -> int:
        """Dimensions of an input frame."""
        return self.features.size

    def to_dict(self) -> dict[str, Any]:
        """Return the config as plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], source: str = "config") -> "AudioTransformerConfig":
        """Return a config from plain data.

        Args:
            data: as `to_dict` returns it; missing fields take their defaults.
            source: name of the data in error messages.

        Raises:
            ValueError: for an unknown field, or one of the wrong type.
        """
        settings = _checked(cls, data, source)
        if "features" in settings and not isinstance(settings["features"], FeatureConfig):
            settings["features"] = FeatureConfig(**_checked(FeatureConfig, settings["features"], f"{source}: features"))
        return cls(**settings)


def _checked(of: type[AudioTransformerConfig] | type[FeatureConfig], data: Any, source: str) -> dict[str, Any]:
    """Return fields as a dict, after checking their names and plain types against a dataclass."""
    if not isinstance(data, Mapping):
        raise ValueError(f"{source}: expected settings by name, found {type(data).__name__}")
    default = {f.name: getattr(of(), f.name) for f in fields(of)}
    for name, value in data.items():
        if name not in default:
            raise ValueError(f"{source}: there is no setting {name!r}; known: {', '.join(sorted(default))}")
        usual = default[name]
        right = isinstance(value, type(usual)) or (isinstance(usual, float) and isinstance(value, int))
        if isinstance(usual, FeatureConfig):
            right = isinstance(value, FeatureConfig | Mapping)
        if not right or (isinstance(value, bool) and not isinstance(usual, bool)):
            raise ValueError(f"{source}: {name} must be a {type(usual).__name__}, not {value!r}")
    return dict(data)
