"""What can be probed: an encoder, trained or not, or the mel features themselves."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from inattention.audio.config import FeatureConfig
from inattention.audio.frames import features as features_of
from inattention.model.chunks import encode
from inattention.model.transformer import AudioTransformer


@runtime_checkable
class Source(Protocol):
    """Anything that turns waveforms into features whose times are known.

    Step s of an utterance is centred at ``first_center_seconds + s * step_seconds``.

    Attributes:
        name: what tables call it.
        sampling_rate: Hz of the waveforms it takes.
        step_seconds: time from one step to the next.
        first_center_seconds: where the first step is centred.
        frames_per_step: frames that are stacked in a step, evenly spaced over it; 1 if there are none.
        width: features of a step.
        layers: hidden states it has; 1 if it has no layers.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def sampling_rate(self) -> int: ...  # noqa: D102
    @property
    def step_seconds(self) -> float: ...  # noqa: D102
    @property
    def first_center_seconds(self) -> float: ...  # noqa: D102
    @property
    def frames_per_step(self) -> int: ...  # noqa: D102
    @property
    def width(self) -> int: ...  # noqa: D102
    @property
    def layers(self) -> int: ...  # noqa: D102

    def features(
        self, waveforms: Sequence[Float[Tensor, " _"]], *, all_layers: bool = False
    ) -> list[Float[Tensor, "_ *layers width"]]:
        """Give each utterance's features, the same in any company, on the CPU.

        Args:
            waveforms: one channel each, at ``sampling_rate``.
            all_layers: give every hidden state, (time, layers, width), and not the last alone, (time, width).

        Raises:
            ValueError: if one of the waveforms cannot be used; the message says why.
        """
        ...


class _Ours:
    """What all sources made of our own features know about their steps."""

    def __init__(self, name: str, config: FeatureConfig, *, width: int, layers: int) -> None:
        self.name, self.config, self.width, self.layers = name, config, width, layers
        self.sampling_rate = config.sampling_rate
        self.step_seconds = config.step_seconds
        self.first_center_seconds = config.first_center_seconds
        self.frames_per_step = config.stack


class MelSource(_Ours):
    """No model: the stacked input features, with or without normalisation over the utterance.

    With it (CMVN), every feature's mean over an utterance is close to 0, so the probe of utterances is at chance by
    construction; hence a row without.

    Args:
        config: of the features; the default is the paper's.

    >>> MelSource().name, MelSource(FeatureConfig(normalise=False)).name
    ('mel', 'mel-no-cmvn')
    """

    def __init__(self, config: FeatureConfig | None = None) -> None:
        config = config or FeatureConfig()
        super().__init__("mel" if config.normalise else "mel-no-cmvn", config, width=config.size, layers=1)

    def features(
        self, waveforms: Sequence[Float[Tensor, " _"]], *, all_layers: bool = False
    ) -> list[Float[Tensor, "_ *layers width"]]:
        """Give the input features; they are the one layer there is."""
        steps = [features_of(waveform, self.config) for waveform in waveforms]
        return [s[:, None] for s in steps] if all_layers else steps


class EncoderSource(_Ours):
    """An encoder, frozen. One that was never trained is as good a source as any.

    Args:
        model: the encoder, on any device.
        name: what tables call it.
        batch_size: chunks that go through the encoder at once.
    """

    def __init__(self, model: AudioTransformer, name: str, batch_size: int = 16) -> None:
        config = model.config
        super().__init__(name, config.features, width=config.width, layers=config.layers + 1)
        self.model, self.batch_size = model, batch_size

    def features(
        self, waveforms: Sequence[Float[Tensor, " _"]], *, all_layers: bool = False
    ) -> list[Float[Tensor, "_ *layers width"]]:
        """Give the last layer, or with `all_layers` the embedded input and every layer."""
        steps = [features_of(waveform, self.config) for waveform in waveforms]
        hidden = encode(self.model, steps, layer=None if all_layers else -1, batch_size=self.batch_size)
        return [h.transpose(0, 1).cpu() if all_layers else h.cpu() for h in hidden]
