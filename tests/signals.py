"""Waveforms for the tests of features."""

import math

import torch

RATE = 16_000


def noise(samples: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def speechlike(samples: int) -> torch.Tensor:
    time = torch.arange(samples) / RATE
    return 0.3 * torch.sin(2 * math.pi * (200 + 300 * time) * time) + noise(samples)
