"""An exported file as a source of features, fed as `inattention extract` feeds the model."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from inattention.export.checks.parity import Runner
from inattention.export.subject import Subject


class ExportedSource:
    """An exported file.

    Args:
        run: returns the file's outputs for features and a padding mask.
        subject: the encoder that it was exported from, which makes its input features.
        states: numbers of the hidden states that the file returns.
    """

    frames_per_step: int

    def __init__(self, run: Runner, subject: Subject, states: Sequence[int]) -> None:
        source = subject.source
        self.name = f"{source.name}, exported"
        self.sampling_rate, self.layers, self.width = source.sampling_rate, source.layers, source.width
        self.step_seconds, self.first_center_seconds = source.step_seconds, source.first_center_seconds
        self.frames_per_step = source.frames_per_step
        self._run, self._subject, self._states = run, subject, list(states)

    def features(
        self, waveforms: Sequence[Float[Tensor, " _"]], *, all_layers: bool = False, layer: int = -1
    ) -> list[Float[Tensor, "_ *layers width"]]:
        """Return one hidden state of each utterance.

        Raises:
            ValueError: if a waveform cannot be used, or the file does not have the hidden state.
        """
        state = layer % (self.layers + 1)
        if all_layers or state not in self._states:
            raise ValueError(f"{self.name}: has the hidden states {', '.join(map(str, self._states))} alone")
        place = self._states.index(state)
        return [self._features(waveform, place) for waveform in waveforms]

    def last_state(self, features: Tensor, valid: Tensor) -> Tensor:
        """Return the last hidden state of a batch of input features."""
        return torch.from_numpy(self._run(features.numpy(), valid.numpy())[self._states.index(self.layers)])

    def _features(self, waveform: Tensor, place: int) -> Float[Tensor, "time width"]:
        found = []
        for part in self._subject.parts(waveform):
            hidden = self._run(part.features.numpy(), part.valid.numpy())[place][0]
            found.append(torch.from_numpy(hidden[part.start : part.end]))
        return torch.cat(found)
