"""Small models and their input, for tests that use a model."""

from typing import Any

import torch

from inattention.audio.config import FeatureConfig
from inattention.model.config import AudioTransformerConfig
from inattention.model.transformer import AudioTransformer

SMALL_FEATURES = FeatureConfig(fft_size=1024, mels=8)  # 48 dimensions a step of 37.5 ms


def small_config(**settings: Any) -> AudioTransformerConfig:
    sizes: dict[str, Any] = {
        "width": 24,
        "heads": 12,
        "layers": 2,
        "feed_forward": 32,
        "max_length": 48,
        "features": SMALL_FEATURES,
    }
    return AudioTransformerConfig(**{**sizes, **settings})


def small_model(*, seed: int = 0, **settings: Any) -> AudioTransformer:
    """Return a model in evaluation mode, with weights so large that every part affects the output."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AudioTransformer(small_config(**settings))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("weight") and parameter.ndim == 2 and "mechanisms" not in name:
                parameter.mul_(5)
    return model.eval()


def small_input(batch: int, time: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(batch, time, SMALL_FEATURES.size, generator=torch.Generator().manual_seed(seed))
