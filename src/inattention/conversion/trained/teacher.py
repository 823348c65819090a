"""Outputs of the teacher that the student learns from, computed once per example and kept on disk.

The teacher runs on 30 s of input even for a short line, which costs several times what the student's step costs. Hidden
states are rounded to float16 before they are used, whether they come from the disk or not, so that a resumed run sees
the same numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from inattention.files import write_bytes


@dataclass(frozen=True)
class NextTokens:
    """The teacher's distributions of the next token, its most likely tokens with their probabilities.

    Attributes:
        inputs: tokens that the decoder is given.
        likely: ids of the most likely next tokens at each position.
        log_probabilities: of these tokens.
    """

    inputs: Int[Tensor, " tokens"]
    likely: Int[Tensor, "tokens likely"]
    log_probabilities: Float[Tensor, "tokens likely"]


@dataclass(frozen=True)
class TeacherOutputs:
    """Targets of the student for one example.

    Attributes:
        hidden: output of each layer at the student's frames, float16; the last one is the encoder's output.
        tokens: distributions of the next token; None for encoders without a decoder.
    """

    hidden: Float[Tensor, "layers time width"]
    tokens: NextTokens | None = None

    @property
    def frames(self) -> int:
        """Number of frames of the student."""
        return self.hidden.shape[1]


@dataclass
class TeacherStore:
    """Keeps outputs of the teacher in a folder, one file per example.

    Args:
        folder: where the files are; it may be shared by conversions of one teacher on the same examples.
        compute: runs the teacher on an example.
    """

    folder: Path
    compute: Callable[[int], TeacherOutputs]

    def __getitem__(self, index: int) -> TeacherOutputs:
        """Return the outputs for an example, from the disk if they are there."""
        path = self.folder / f"{index:06d}.safetensors"
        try:
            return _unpacked(load_file(path))
        except (OSError, SafetensorError, KeyError):
            outputs = self.compute(index)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_bytes(path, save(_packed(outputs)))
        return outputs


def _packed(outputs: TeacherOutputs) -> dict[str, Tensor]:
    packed = {"hidden": outputs.hidden.contiguous()}
    if outputs.tokens is not None:
        packed |= {name: value.contiguous() for name, value in vars(outputs.tokens).items()}
    return packed


def _unpacked(tensors: dict[str, Tensor]) -> TeacherOutputs:
    tokens = NextTokens(**{k: v for k, v in tensors.items() if k != "hidden"}) if "inputs" in tensors else None
    return TeacherOutputs(tensors["hidden"], tokens)


def most_likely(logits: Float[Tensor, "tokens vocabulary"], count: int) -> tuple[Tensor, Tensor]:
    """Return the log-probabilities and ids of the most likely tokens."""
    found = logits.float().log_softmax(-1).topk(min(count, logits.shape[-1]), dim=-1)
    return found.values, found.indices


def divergence(logits: Float[Tensor, "tokens vocabulary"], teacher: NextTokens) -> Float[Tensor, ""]:
    """Return the Kullback-Leibler divergence of the student's next tokens from the teacher's, mean over positions.

    All tokens but the teacher's most likely ones count as one, which makes it a lower bound of the divergence.
    """
    log_p = teacher.log_probabilities.to(logits.device)
    log_q = logits.float().log_softmax(-1).gather(-1, teacher.likely.long().to(logits.device))
    rest_p, rest_q = (1 - it.exp().sum(-1).clamp(max=1 - 1e-6) for it in (log_p, log_q))
    listed = (log_p.exp() * (log_p - log_q)).sum(-1)
    return (listed + rest_p * (rest_p.log() - rest_q.log())).mean()
