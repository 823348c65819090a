"""Settings of the features, which are saved with a model."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FeatureConfig:
    """Settings of the features, the paper's by default.

    Attributes:
        sampling_rate: Hz; audio of another rate is resampled.
        fft_size: length of the Fourier transform in samples.
        window_seconds: length of the Hann window.
        hop_seconds: time between the centres of log-mel frames; a whole number of samples.
        mels: number of bands on Slaney's mel scale.
        lowest_hz: lower edge of the mel bands.
        highest_hz: their upper edge; 0 for half the sampling rate.
        log_floor: added to the mel energies before the logarithm.
        deltas: append the first-order time derivative of each band.
        delta_frames: number of log-mel frames over which the derivative is fitted; odd.
        normalise: normalise each dimension to mean 0 and variance 1 over the utterance, after the deltas.
        stack: number of log-mel frames per encoder frame; a remainder at the end is dropped.

    >>> FeatureConfig().size, round(FeatureConfig().step_seconds, 6)
    (480, 0.0375)
    """

    sampling_rate: int = 16_000
    fft_size: int = 2048
    window_seconds: float = 0.05
    hop_seconds: float = 0.0125
    mels: int = 80
    lowest_hz: float = 0.0
    highest_hz: float = 0.0
    log_floor: float = 1e-6
    deltas: bool = True
    delta_frames: int = 9
    normalise: bool = True
    stack: int = 3

    def __post_init__(self) -> None:
        for name in ("hop_seconds", "window_seconds", "lowest_hz", "highest_hz", "log_floor"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be a finite number, not {getattr(self, name)}")
        hop, window = self.hop_seconds * self.sampling_rate, self.window_seconds * self.sampling_rate
        if abs(hop - round(hop)) > 1e-6 or round(hop) < 1:
            raise ValueError(
                f"hop_seconds={self.hop_seconds} is {hop:g} samples at {self.sampling_rate} Hz; "
                "it must be a whole number of samples"
            )
        if not 1 <= round(window) <= self.fft_size:
            raise ValueError(f"window_seconds={self.window_seconds} must be 1 to fft_size={self.fft_size} samples long")
        if self.delta_frames < 3 or self.delta_frames % 2 == 0:
            raise ValueError(f"delta_frames must be odd and at least 3, not {self.delta_frames}")
        if self.mels < 1 or self.stack < 1 or self.log_floor <= 0:
            raise ValueError("mels and stack must be at least 1, and log_floor above 0")
        if not 0 <= self.lowest_hz < (self.highest_hz or self.sampling_rate / 2) <= self.sampling_rate / 2:
            raise ValueError("mel bands must lie between 0 Hz and half the sampling rate")

    @property
    def hop_samples(self) -> int:
        """Samples between log-mel frames."""
        return round(self.hop_seconds * self.sampling_rate)

    @property
    def window_samples(self) -> int:
        """Length of the window in samples."""
        return round(self.window_seconds * self.sampling_rate)

    @property
    def frame_size(self) -> int:
        """Dimensions of a log-mel frame with its deltas."""
        return self.mels * (2 if self.deltas else 1)

    @property
    def size(self) -> int:
        """Dimensions of an encoder frame, the model's input."""
        return self.frame_size * self.stack

    @property
    def step_seconds(self) -> float:
        """Frame shift of the encoder, in seconds."""
        return self.hop_seconds * self.stack

    @property
    def first_center_seconds(self) -> float:
        """Centre of the first encoder frame: a stack of log-mel frames, frame k at k hops, is centred in its middle."""
        return self.hop_seconds * (self.stack - 1) / 2
