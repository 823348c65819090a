"""Log-mel features as a source of their own: the baseline that encoders are compared with."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from inattention.audio.config import FeatureConfig
from inattention.audio.frames import features as features_of


class MelSource:
    """The input features of our encoders, without a model.

    With normalisation over the utterance (CMVN) the mean of each feature over an utterance is close to 0, so that a
    probe of utterance means is at chance by construction. Hence the second variant, without normalisation.

    Args:
        config: of the features; defaults to the paper's.

    >>> MelSource().name, MelSource(FeatureConfig(normalise=False)).name
    ('mel', 'mel-no-cmvn')
    """

    def __init__(self, config: FeatureConfig | None = None) -> None:
        self.config = config = config or FeatureConfig()
        self.name = "mel" if config.normalise else "mel-no-cmvn"
        self.sampling_rate = config.sampling_rate
        self.step_seconds = config.step_seconds
        self.first_center_seconds = config.first_center_seconds
        self.frames_per_step = config.stack
        self.width = config.size
        self.layers = 0

    def features(
        self, waveforms: Sequence[Float[Tensor, " _"]], *, all_layers: bool = False, layer: int = -1
    ) -> list[Float[Tensor, "_ *layers width"]]:
        """Return the features of each utterance; they are the only hidden state."""
        if layer not in (0, -1):
            raise ValueError(f"there is no layer {layer}: {self.name} has the input features alone")
        features = [features_of(waveform, self.config) for waveform in waveforms]
        return [it[:, None] for it in features] if all_layers else features
