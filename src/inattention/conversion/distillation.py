"""A student encoder held against its teacher: the mean absolute difference of their hidden states, layer by layer.

What is slow in speech, such as who speaks, is a small part of what differs from step to step, and would be learned
last. So in training the means over each utterance's steps are held against each other too, `SLOW` times as heavily.

The training loop, its checkpoints and its progress are those of pre-training. What both encoders hear is the features
as they are, nothing masked.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inattention.corpora.core.corpus import Corpus
from inattention.model.transformer import AudioTransformer
from inattention.pretraining.config import PretrainingConfig
from inattention.pretraining.examples import Batch
from inattention.pretraining.manifest import Run

CHECKPOINT_MINUTES = 2.0
SLOW = 4.0  # what a step's share of its utterance's mean counts, beside the step itself


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

        In training, differences of utterances' means are added.

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
        # Steps that are no part of an utterance may hold anything, NaN included.
        apart = [(one - other).where(valid[..., None], 0.0) for one, other in zip(got[1:], wanted[1:], strict=True)]
        error = torch.stack([layer.abs().sum() for layer in apart]).sum()
        if self.training:
            slow = torch.stack([layer.sum(1).abs().sum() for layer in apart]).sum()  # a mean counts for all its steps
            error = error + SLOW * slow
        return error, len(apart) * int(valid.sum()) * apart[0].shape[-1]


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
