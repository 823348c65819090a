"""A student encoder held against its teacher: the mean absolute difference of their hidden states, layer by layer.

The training loop, its checkpoints and its progress are those of pre-training. What both encoders hear is the features
as they are, nothing masked.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inattention.corpora.base import Corpus
from inattention.model.transformer import AudioTransformer
from inattention.pretraining.config import PretrainingConfig
from inattention.pretraining.examples import Batch
from inattention.pretraining.run import Run

CHECKPOINT_MINUTES = 2.0


class Distillation(nn.Module):
    """A student that is trained and a teacher that is not.

    Args:
        teacher: stays as it is; it is no part of the state that checkpoints keep.
        student: with as many layers, as wide.
    """

    def __init__(self, teacher: AudioTransformer, student: AudioTransformer) -> None:
        super().__init__()
        self.student = student
        self._teacher = (teacher.eval(),)

    def forward(self, batch: Batch) -> tuple[Float[Tensor, ""], int]:
        """Give the sum of absolute differences over all layers' valid steps, and how many numbers there are.

        Args:
            batch: with the clean input features as its target.
        """
        (teacher,) = self._teacher
        features, valid = batch.target, batch.valid
        with torch.no_grad():
            wanted = teacher.to(features.device)(features, valid, output_hidden_states=True).hidden_states
        got = self.student(features, valid, output_hidden_states=True).hidden_states
        assert wanted is not None
        assert got is not None
        apart = torch.stack([(one[valid] - other[valid]).abs() for one, other in zip(got[1:], wanted[1:], strict=True)])
        return apart.sum(), apart.numel()


def distillation_run(
    student: AudioTransformer, corpus: Corpus, *, steps: int, batch_size: int, learning_rate: float, seed: int
) -> Run:
    """Give the run that trains a student; with the target ``input``, batches bring the features as they are."""
    training = PretrainingConfig(
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=0.0,
        target="input",
        held_out_draws=1,
        validate_every=max(1, steps // 10),
        checkpoint_minutes=CHECKPOINT_MINUTES,
    )
    return Run(student.config, training, corpus, seed)
