"""Distillation of encoders that take waveforms: wav2vec 2.0, HuBERT and similar ones. There is no decoder."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from inattention.conversion.trained.config import TrainedConversionConfig
from inattention.conversion.trained.speech import SAMPLING_RATE, Example
from inattention.conversion.trained.task import Loss, hidden_loss, mixed_precision
from inattention.conversion.trained.teacher import TeacherOutputs
from inattention.conversion.trained.whisper import mechanism_parameters


@dataclass
class WaveformTask:
    """Distillation of an encoder that takes waveforms; the student hears what the teacher hears.

    Attributes:
        teacher: the trained model.
        extractor: its feature extractor, which normalises waveforms as the encoder was trained.
        config: settings of the conversion.
    """

    teacher: PreTrainedModel
    extractor: Any
    config: TrainedConversionConfig

    @torch.no_grad()
    def teacher_outputs(self, example: Example) -> TeacherOutputs:
        """Run the teacher."""
        return TeacherOutputs(self._mixed(self.teacher, example).half().cpu())

    def hidden(self, student: nn.Module, example: Example, frames: int) -> Float[Tensor, "layers time width"]:
        """Run an encoder, and return the output of each layer."""
        return _states(student, self._features(example))

    def _features(self, example: Example) -> Float[Tensor, "1 samples"]:
        features = self.extractor(example.waveform.numpy(), sampling_rate=SAMPLING_RATE, return_tensors="pt")
        return features.input_values.to(self.teacher.device)

    def _mixed(self, model: nn.Module, example: Example) -> Float[Tensor, "layers time width"]:
        """Run an encoder in the precision of the distillation."""
        features = self._features(example)
        with mixed_precision(self.config.precision, features.device):
            return _states(model, features)

    def loss(self, student: nn.Module, example: Example, outputs: TeacherOutputs, *, decoder: bool = True) -> Loss:
        """Return the error of hidden states."""
        hidden = hidden_loss(self._mixed(student, example), outputs.hidden)
        return Loss(hidden, {"hidden": float(hidden.detach())})

    def parameters(self, student: nn.Module) -> dict[str, list[nn.Parameter]]:
        """Return the trained parameters; the convolutions that turn waveforms into features keep their values."""
        model: Any = student
        own = mechanism_parameters(model)
        known = {id(parameter) for parameter in own}
        known |= {id(p) for name, p in model.named_parameters() if "encoder.layers." not in name}
        return {"weights": [p for p in model.parameters() if id(p) not in known], "attention": own, "decoder": []}


def _states(model: nn.Module, features: Float[Tensor, "1 samples"]) -> Float[Tensor, "layers time width"]:
    """Return the output of each layer of an encoder."""
    output = model(features, output_hidden_states=True)
    return torch.cat([*output.hidden_states[1:-1], output.last_hidden_state])
