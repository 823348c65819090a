"""Distillation of a student encoder: the mean absolute difference between its hidden states and the teacher's.

Slow properties of speech, such as the speaker, contribute little to the difference of single frames and would be
learned last. In training, the loss therefore also compares the means over the frames of each utterance, with weight
`SLOW`.

The training loop, checkpoints and progress bar are those of pre-training. Both encoders receive unmasked features.
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
SLOW = 4.0  # weight of the difference of utterance means, relative to that of frames


class Distillation(nn.Module):
    """A student that is trained and a frozen teacher.

    Args:
        teacher: not part of the state in checkpoints.
        student: of the same number of layers and width.
    """

    def __init__(self, teacher: AudioTransformer, student: AudioTransformer) -> None:
        super().__init__()
        self.student = student
        self._teacher = (teacher.eval(),)

    def forward(self, batch: Batch) -> tuple[Float[Tensor, ""], int]:
        """Return the summed absolute difference over the valid frames of all layers, and the number of terms.

        In training mode, differences of utterance means are added.

        Args:
            batch: a batch whose target are the unmasked input features.
        """
        (teacher,) = self._teacher
        features, valid = batch.target, batch.valid
        with torch.no_grad():
            wanted = teacher.to(features.device)(features, valid, output_hidden_states=True).hidden_states
        got = self.student(features, valid, output_hidden_states=True).hidden_states
        assert wanted is not None
        assert got is not None
        # Padding may contain anything, NaN included.
        pairs = zip(got[1:], wanted[1:], strict=True)
        differences = [(one - other).where(valid[..., None], 0.0) for one, other in pairs]
        error = torch.stack([layer.abs().sum() for layer in differences]).sum()
        if self.training:
            slow = torch.stack([layer.sum(1).abs().sum() for layer in differences]).sum()  # means times frames
            error = error + SLOW * slow
        return error, len(differences) * int(valid.sum()) * differences[0].shape[-1]


def distillation_run(
    student: AudioTransformer, corpus: Corpus, *, steps: int, batch_size: int, learning_rate: float, seed: int
) -> Run:
    """Return the run that trains a student.

    Args:
        student: the student.
        corpus: unlabelled speech.
        steps: number of optimizer steps.
        batch_size: number of utterances per step.
        learning_rate: peak learning rate.
        seed: of the order of utterances.
    """
    training = PretrainingConfig(
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=0.0,
        target="input",  # batches then contain the unmasked features
        held_out_draws=1,
        validate_every=max(1, steps // 10),
        checkpoint_minutes=CHECKPOINT_MINUTES,
    )
    return Run(student.config, training, corpus, seed)
