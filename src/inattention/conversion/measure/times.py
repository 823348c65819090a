"""Time and memory of an encoder on speech of several lengths, in turns with its teacher."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch

from inattention.comparison import Ratio, time_ratio
from inattention.conversion.trained.whisper import FRAMES_PER_SECOND, encode
from inattention.encoders.trained import TrainedModel
from inattention.timing.measure import quartiles, take_turns
from inattention.timing.memory import peak_bytes

SECONDS = (2, 5, 10, 30)
SAMPLING_RATE = 16_000


@dataclass(frozen=True)
class EncoderTime:
    """Time of one encoder on one length of speech.

    Attributes:
        model: ``student`` or ``teacher``.
        speech_seconds: duration of the speech.
        input_seconds: duration of what the encoder is fed.
        seconds: median over rounds.
        ratio: to the teacher as it is used, for Whisper on 30 s.
        bytes: peak memory of a forward pass.
    """

    model: str
    speech_seconds: int
    input_seconds: float
    seconds: float
    ratio: Ratio
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


@torch.inference_mode()
def encoder_times(
    student: TrainedModel, teacher: TrainedModel, *, rounds: int, threads: int, seed: int = 0
) -> list[EncoderTime]:
    """Time teacher and student in the same rounds.

    Args:
        student: the converted encoder.
        teacher: the encoder that it was converted from.
        rounds: number of rounds.
        threads: number of threads of PyTorch.
        seed: of the order of turns.
    """
    whisper = teacher.is_whisper
    tasks: dict[tuple[str, int, float], Callable[[], object]] = {}
    for speech in SECONDS:
        for name, loaded in (("student", student), ("teacher", teacher)):
            tasks[name, speech, float(speech)] = _task(loaded, speech)
    reference = {
        speech: ("teacher", 30 if whisper else speech, 30.0 if whisper else float(speech)) for speech in SECONDS
    }
    names = {"|".join(map(str, key)): key for key in tasks}
    taken = take_turns({name: tasks[key] for name, key in names.items()}, rounds=rounds, threads=threads, seed=seed)
    rounds_of = {key: taken[name] for name, key in names.items()}
    return [
        EncoderTime(
            model,
            speech,
            fed,
            quartiles(rounds_of[model, speech, fed]).median,
            time_ratio(rounds_of[model, speech, fed], rounds_of[reference[speech]]),
            peak_bytes(tasks[model, speech, fed], student.model.device.type),
        )
        for model, speech, fed in tasks
    ]


def _task(loaded: TrainedModel, seconds: int) -> Callable[[], object]:
    """Return a forward pass of the encoder on noise of a duration; Whisper hears its own length."""
    generator = torch.Generator().manual_seed(0)
    model: Any = loaded.model
    if loaded.is_whisper:
        frames = min(2 * FRAMES_PER_SECOND * seconds, 2 * len(model.model.encoder.embed_positions.weight))
        mel = torch.randn(1, model.config.num_mel_bins, frames, generator=generator).to(model.device)
        return lambda: encode(model, mel)
    wave = torch.randn(1, seconds * SAMPLING_RATE, generator=generator).to(model.device)
    return lambda: model(wave)
