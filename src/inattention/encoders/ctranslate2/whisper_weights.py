"""Whisper's weights under the names of CTranslate2, converted to the names of `transformers`.

CTranslate2 stacks the projections of queries, keys and values in one matrix (`linear_0` of a self-attention; queries
alone and keys with values in a cross-attention), and stores quantised matrices with a scale per row: weight = stored
number / scale.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from inattention.encoders.ctranslate2.model_file import CTranslate2Error, ModelFile, Variable

SPECIFICATION = "WhisperSpec"
HEAD_DIM = 64  # of all released Whisper models; files of older converters do not state the number of heads
_SETTINGS = {
    # name: the only value that Whisper has
    "alibi": 0,
    "pre_norm": 1,
    "scale_embeddings": 0,
    "start_from_zero_embedding": 0,
    "activation": 3,  # GELU
}
_UNUSED = {"alignment_layer", "alignment_heads", "num_heads"}  # beyond num_heads, read from config.json


@dataclass(frozen=True)
class WhisperSizes:
    """Sizes of a Whisper model, as they follow from the shapes of its weights."""

    vocabulary: int
    width: int
    mel_bins: int
    encoder_layers: int
    decoder_layers: int
    encoder_heads: int
    decoder_heads: int
    encoder_feed_forward: int
    decoder_feed_forward: int
    source_positions: int
    target_positions: int


def whisper_weights(file: ModelFile) -> tuple[WhisperSizes, dict[str, Tensor]]:
    """Convert the variables of a file to the state dict of `WhisperForConditionalGeneration`, in float32.

    Raises:
        CTranslate2Error: if the file is of another kind of model, or a variable is missing, unknown, not finite or of
            a shape that contradicts the others.
    """
    if file.specification != SPECIFICATION:
        raise CTranslate2Error(f"holds a model of kind {file.specification!r}; only Whisper ({SPECIFICATION}) is read")
    weights = _Weights(file.variables)
    sizes = _sizes(weights)
    state = dict(_state(weights, sizes))
    weights.check_all_used()
    return sizes, state


class _Weights:
    """The variables of a file, and which of them were used."""

    def __init__(self, variables: dict[str, Variable]) -> None:
        self.variables = variables
        self.used: set[str] = set()

    def shape(self, name: str, dimensions: int) -> tuple[int, ...]:
        """Return the shape of a variable that must have so many dimensions."""
        shape = self._variable(name).values.shape
        if len(shape) != dimensions:
            raise CTranslate2Error(f"has a variable {name} of shape {shape}; {dimensions} dimensions were expected")
        return shape

    def number(self, name: str) -> int | None:
        """Return a setting; None if the file does not have it."""
        if name not in self.variables:
            return None
        values = self._variable(name).values
        if values.size != 1 or values.dtype.kind != "i":
            raise CTranslate2Error(f"has a variable {name} of shape {values.shape}; one whole number was expected")
        return int(values.reshape(-1)[0])

    def layers(self, side: str) -> int:
        """Return the number of layers of the encoder or decoder, whose numbers must have no gap."""
        pattern = re.compile(rf"{side}/layer_(\d{{1,4}})/")
        numbers = {int(found[1]) for name in self.variables if (found := pattern.match(name))}
        if not numbers or numbers != set(range(len(numbers))):
            raise CTranslate2Error(f"has the {side} layers {sorted(numbers)}; numbers from 0 without a gap expected")
        return len(numbers)

    def tensor(self, name: str, *shape: int) -> Tensor:
        """Return a variable of this shape in float32, multiplied out if it is quantised."""
        variable = self._variable(name)
        if variable.values.shape != shape:
            raise CTranslate2Error(f"has a variable {name} of shape {variable.values.shape}; {shape} was expected")
        numbers = variable.numbers()
        if not variable.is_float:
            numbers = numbers / self._scale(f"{name}_scale", numbers)
        if not np.isfinite(numbers).all():
            raise CTranslate2Error(f"has a variable {name} that contains NaN or infinity")
        return torch.from_numpy(numbers)

    def check_alias(self, alias: str, name: str) -> None:
        """Raise CTranslate2Error if a variable exists under another name with other values."""
        for suffix in ("", "_scale"):
            one, other = self.variables.get(alias + suffix), self.variables.get(name + suffix)
            if one is not None and (other is None or not np.array_equal(one.values, other.values, equal_nan=True)):
                raise CTranslate2Error(f"has other values in {alias} than in {name}; in Whisper they are the same")
            self.used.add(alias + suffix)

    def check_all_used(self) -> None:
        """Raise CTranslate2Error if the file has variables that Whisper has not."""
        for side in ("encoder", "decoder"):
            for name, value in _SETTINGS.items():
                found = self.number(f"{side}/{name}")
                if found not in (None, value):
                    raise CTranslate2Error(f"has {side}/{name} = {found}; Whisper has {value}")
            self.used |= {f"{side}/{name}" for name in _UNUSED}
        # A switch of CTranslate2 that is off, such as decoder/scale_alibi in newer files, changes nothing.
        unknown = sorted(name for name in set(self.variables) - self.used if self.variables[name].values.any())
        if unknown:
            raise CTranslate2Error(f"has {len(unknown)} variables that Whisper has not, such as {unknown[0]}")

    def _scale(self, name: str, numbers: np.ndarray) -> np.ndarray:
        scale = self._variable(name)
        if not scale.is_float or scale.values.size not in (1, len(numbers)):
            raise CTranslate2Error(f"has a variable {name} that is not one scale for each of {len(numbers)} rows")
        values = scale.numbers().reshape(-1, *[1] * (numbers.ndim - 1))
        if not (values > 0).all():
            raise CTranslate2Error(f"has a variable {name} with scales that are not above 0")
        return values

    def _variable(self, name: str) -> Variable:
        if name not in self.variables:
            raise CTranslate2Error(f"has no variable {name}")
        self.used.add(name)
        return self.variables[name]


def _sizes(weights: _Weights) -> WhisperSizes:
    width, mel_bins, _ = weights.shape("encoder/conv1/weight", 3)

    def heads(side: str) -> int:
        count = weights.number(f"{side}/num_heads") or width // HEAD_DIM
        if count < 1 or width % count:
            raise CTranslate2Error(f"has {side}/num_heads = {count}, which does not divide the width of {width}")
        return count

    return WhisperSizes(
        vocabulary=weights.shape("decoder/embeddings/weight", 2)[0],
        width=width,
        mel_bins=mel_bins,
        encoder_layers=weights.layers("encoder"),
        decoder_layers=weights.layers("decoder"),
        encoder_heads=heads("encoder"),
        decoder_heads=heads("decoder"),
        encoder_feed_forward=weights.shape("encoder/layer_0/ffn/linear_0/weight", 2)[0],
        decoder_feed_forward=weights.shape("decoder/layer_0/ffn/linear_0/weight", 2)[0],
        source_positions=weights.shape("encoder/position_encodings/encodings", 2)[0],
        target_positions=weights.shape("decoder/position_encodings/encodings", 2)[0],
    )


def _state(weights: _Weights, sizes: WhisperSizes) -> Iterator[tuple[str, Tensor]]:
    """Yield the weights under the names of `transformers`."""
    width = sizes.width
    for name, channels in (("conv1", sizes.mel_bins), ("conv2", width)):
        yield f"model.encoder.{name}.weight", weights.tensor(f"encoder/{name}/weight", width, channels, 3)
        yield f"model.encoder.{name}.bias", weights.tensor(f"encoder/{name}/bias", width)
    embeddings = weights.tensor("decoder/embeddings/weight", sizes.vocabulary, width)
    yield "model.decoder.embed_tokens.weight", embeddings
    yield "proj_out.weight", embeddings
    weights.check_alias("decoder/projection/weight", "decoder/embeddings/weight")
    sides = (
        ("encoder", sizes.encoder_layers, sizes.encoder_feed_forward, sizes.source_positions),
        ("decoder", sizes.decoder_layers, sizes.decoder_feed_forward, sizes.target_positions),
    )
    for side, layers, feed_forward, positions in sides:
        positions_name = f"{side}/position_encodings/encodings"
        yield f"model.{side}.embed_positions.weight", weights.tensor(positions_name, positions, width)
        yield from _norm(weights, f"model.{side}.layer_norm", f"{side}/layer_norm", width)
        for number in range(layers):
            layer, source = f"model.{side}.layers.{number}", f"{side}/layer_{number}"
            yield from _norm(weights, f"{layer}.self_attn_layer_norm", f"{source}/self_attention/layer_norm", width)
            yield from _attention(weights, f"{layer}.self_attn", f"{source}/self_attention", width, ("qkv", "out"))
            if side == "decoder":
                yield from _norm(weights, f"{layer}.encoder_attn_layer_norm", f"{source}/attention/layer_norm", width)
                yield from _attention(
                    weights, f"{layer}.encoder_attn", f"{source}/attention", width, ("q", "kv", "out")
                )
            yield from _norm(weights, f"{layer}.final_layer_norm", f"{source}/ffn/layer_norm", width)
            yield from _linear(weights, f"{layer}.fc1", f"{source}/ffn/linear_0", feed_forward, width)
            yield from _linear(weights, f"{layer}.fc2", f"{source}/ffn/linear_1", width, feed_forward)


def _norm(weights: _Weights, target: str, source: str, width: int) -> Iterator[tuple[str, Tensor]]:
    yield f"{target}.weight", weights.tensor(f"{source}/gamma", width)
    yield f"{target}.bias", weights.tensor(f"{source}/beta", width)


def _linear(weights: _Weights, target: str, source: str, out: int, into: int) -> Iterator[tuple[str, Tensor]]:
    yield f"{target}.weight", weights.tensor(f"{source}/weight", out, into)
    yield f"{target}.bias", weights.tensor(f"{source}/bias", out)


def _attention(
    weights: _Weights, target: str, source: str, width: int, groups: tuple[str, ...]
) -> Iterator[tuple[str, Tensor]]:
    """Yield an attention's projections; each group is stacked in one matrix."""
    for number, group in enumerate(groups):
        parts = [group] if group == "out" else list(group)
        weight = weights.tensor(f"{source}/linear_{number}/weight", width * len(parts), width)
        bias = weights.tensor(f"{source}/linear_{number}/bias", width * len(parts))
        for part, one, offset in zip(parts, weight.split(width), bias.split(width), strict=True):
            yield f"{target}.{part}_proj.weight", one.contiguous()
            if part != "k":
                yield f"{target}.{part}_proj.bias", offset.contiguous()
            elif offset.any():
                raise CTranslate2Error(f"has a bias of keys in {source}/linear_{number}; Whisper has none")
