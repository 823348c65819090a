"""Installation of fixed maps in one of our encoders, and the check whether it needs them."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from inattention.model.transformer import AudioTransformer


def looks_at_input(model: AudioTransformer) -> bool:
    """Return whether the attention of any layer depends on the input.

    This is tested with two inputs, because the card of a mechanism describes its defaults, and options may change the
    answer, such as query-key heads among fixed patterns.
    """
    config = model.config
    generator = torch.Generator().manual_seed(0)
    weight = next(model.parameters())
    hidden = torch.randn(2, min(16, config.max_length), config.width, generator=generator).to(weight)
    valid = torch.ones(hidden.shape[:2], dtype=torch.bool, device=weight.device)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        weights = [mechanism.weights(hidden, valid) for _, mechanism in model.encoder.depth()]
    return not all(torch.equal(one[0], one[1]) for one in weights)


def student_of(teacher: AudioTransformer, maps: Path, kind: Literal["per-layer", "shared"]) -> AudioTransformer:
    """Return a copy of an encoder whose attention starts from the maps of a file; all other weights are the teacher's.

    Args:
        teacher: the encoder.
        maps: file of maps; the config of the student names it without its folder, because they are saved together.
        kind: maps of its own for each layer, or their mean for all.

    Raises:
        ValueError: if the maps do not fit the teacher.
    """
    config = replace(teacher.config, attention="patterned", attention_options={"init": str(maps)}, maps=kind)
    with torch.random.fork_rng(devices=[]):
        student = AudioTransformer(config)
    weights = {name: tensor for name, tensor in teacher.state_dict().items() if not _is_attention(name)}
    missing, unknown = student.load_state_dict(weights, strict=False)
    assert not unknown
    assert all(_is_attention(name) for name in missing)
    student.config = student.encoder.config = replace(config, attention_options={"init": maps.name})
    return student.eval()


def _is_attention(name: str) -> bool:
    return name.startswith("encoder.mechanisms.")
