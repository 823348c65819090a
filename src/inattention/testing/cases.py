"""What claims are tested on: a mechanism with its sizes, inputs and padding masks."""

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from inattention.attention import AttentionMechanism, build


@dataclass(frozen=True)
class Case:
    """A mechanism under test and its sizes."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    width: int = 48
    heads: int = 12
    max_length: int = 40

    def build(self, seed: int = 0) -> AttentionMechanism:
        """Return the mechanism in evaluation mode, the same for the same seed."""
        with torch.random.fork_rng():
            seed_generators(seed)
            return build(
                self.name, width=self.width, heads=self.heads, max_length=self.max_length, **self.options
            ).eval()

    def inputs(self, batch: int, time: int, seed: int = 1) -> tuple[Tensor, Tensor]:
        """Return random inputs: a layer's input and its values."""
        generator = torch.Generator().manual_seed(seed)
        hidden = torch.randn(batch, time, self.width, generator=generator)
        values = torch.randn(batch, self.heads, time, self.width // self.heads, generator=generator)
        return hidden, values

    def lengths(self) -> tuple[int, ...]:
        """Return lengths to test: one frame, odd and even lengths, and the longest."""
        return (1, 2, 7, 16, 33, self.max_length)


def valid_patterns(time: int, seed: int = 2) -> dict[str, Bool[Tensor, "batch time"]]:
    """Return masks: all frames real, different lengths, scattered, a single frame, and an empty utterance."""
    generator = torch.Generator().manual_seed(seed)
    everything = torch.ones(3, time, dtype=torch.bool)
    lengths = torch.arange(time) < torch.tensor([time, max(1, time // 2), max(1, time // 3)])[:, None]
    scattered = torch.rand(3, time, generator=generator) < 0.6
    scattered[:, time // 2] = True
    single = torch.zeros(3, time, dtype=torch.bool)
    single[torch.arange(3), torch.tensor([0, time // 2, time - 1])] = True
    empty = lengths.clone()
    empty[2] = False
    return {"all": everything, "lengths": lengths, "scattered": scattered, "single": single, "empty": empty}


def seed_generators(seed: int) -> None:
    """Seed PyTorch's default generators as `torch.manual_seed` does.

    That function also formats a traceback for every kind of device that is not in use, which takes longer than most of
    the calls between two seeds here.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
