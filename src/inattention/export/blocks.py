"""How an exported encoder takes long recordings in blocks: what a frame of the file's output depends on."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from inattention.attention import AttentionMechanism, Reach
from inattention.attention.mechanisms.none import NoMixing
from inattention.encoders.attention_handles import attention_handles
from inattention.encoders.converted_attention import ConvertedAttention
from inattention.encoders.hugging_face.blocks import converted_layers, convolution_reach, joined
from inattention.export.forms import BandForm
from inattention.export.graphs import PlacedGraph
from inattention.export.mixing import ByDefinition, ExportedMixing
from inattention.export.prepare import Prepared
from inattention.export.subject import OurSubject, Subject, WaveformSubject
from inattention.model.encoder import Encoder
from inattention.model.reach import UnlimitedReach, limit_encoder

_MORE_FRAMES = 1024  # encoded at once besides those around a block, where time and memory grow with their number alone


def blocks_metadata(subject: Subject, prepared: Prepared, suffix: str) -> dict[str, Any]:
    """Return the metadata of a file's blocks, or the reason why there are none.

    Args:
        subject: the encoder.
        prepared: what is exported of it.
        suffix: of the file; programs of PyTorch have no blocks.
    """
    if suffix != ".onnx":
        return {"blocks": None, "unlimited": "only .onnx files can be run in blocks"}
    try:
        found = _blocks(subject, prepared)
    except UnlimitedReach as error:
        return {"blocks": None, "unlimited": str(error)}
    return {"blocks": found, "unlimited": None}


def graph_and_inputs(
    subject: Subject, model: nn.Module, states: Sequence[int], example: tuple[Tensor, Tensor], placed: bool
) -> tuple[nn.Module, tuple[Tensor, ...], tuple[Any, ...]]:
    """Return the function that is exported, an example of its inputs, and their dynamic dimensions.

    Args:
        subject: the encoder.
        model: the encoder, prepared for export.
        states: numbers of the hidden states to return.
        example: features and mask.
        placed: whether one of our encoders takes the position of the first frame too.
    """
    if placed and isinstance(model, Encoder):
        return PlacedGraph(model, states), (*example, torch.tensor(0)), (*subject.shapes(), {})
    return subject.graph(model, states), example, subject.shapes()


def mixing_reaches(model: nn.Module) -> list[Reach | None]:
    """Return how far the mixing of each layer reaches, in the forms that are exported; None where it has no limit."""
    if isinstance(model, Encoder):
        return [_reach(mechanism) for _, mechanism in model.depth()]
    modules = [handle.module for handle in attention_handles(model)]
    return [_reach(it.mechanism) if isinstance(it, ConvertedAttention) and not it.kept else None for it in modules]


def _blocks(subject: Subject, prepared: Prepared) -> dict[str, Any]:
    """Return what a runtime must know to encode in blocks.

    Raises:
        UnlimitedReach: naming the layer and the reason.
    """
    parts = []
    if isinstance(subject, OurSubject):
        limit_encoder(subject.source.model.encoder)  # which has the reason
    elif isinstance(subject, WaveformSubject):
        converted_layers(subject.model, 0.0)
        parts = [convolution_reach(subject.model)]
    else:
        raise UnlimitedReach(f"{subject.source.name} has positions for {subject.longest} frames")
    for layer, reach in enumerate(mixing_reaches(prepared.model)):
        if reach is None:
            raise UnlimitedReach(
                f"layer {layer + 1}: its heads were exported in forms that see all of the input; export it with "
                "--form limited"
            )
        parts.append(reach)
    reach = joined(parts)
    around, needed = reach.back + reach.ahead, reach.grid + reach.back + reach.ahead
    linear = all(isinstance(it, ExportedMixing | NoMixing) for it in _mechanisms(prepared.model))
    longest = max(subject.longest, needed + around + _MORE_FRAMES if linear else needed + around)
    return {
        "back": reach.back,  # frames before a frame that it depends on
        "ahead": reach.ahead,  # frames behind it that it depends on
        "grid": reach.grid,  # encoded parts must begin at multiples of it
        "longest_frames": longest,  # greatest number of frames that are encoded at once
        "left_out": prepared.bound,  # greatest part of any row of weights that bands leave out
    }


def _mechanisms(model: nn.Module) -> list[AttentionMechanism]:
    """Return the mechanisms that are exported, those inside of others left out."""
    found = [it for it in model.modules() if isinstance(it, AttentionMechanism)]
    inner = {id(it.mechanism) for it in found if isinstance(it, ByDefinition)}
    return [it for it in found if id(it) not in inner]


def _reach(mechanism: AttentionMechanism) -> Reach | None:
    if isinstance(mechanism, ByDefinition):
        return mechanism.mechanism.receptive_field()
    if not isinstance(mechanism, ExportedMixing):
        return mechanism.receptive_field()
    bands = [form for form in mechanism.forms if isinstance(form, BandForm) and form.level is None]
    if len(bands) < len(mechanism.forms):
        return None
    kernel = 0 if mechanism.kernel is None else mechanism.kernel.shape[2] // 2
    return Reach(max(kernel, *(-it.low for it in bands)), max(kernel, *(it.high for it in bands)))
