"""Converted encoders as Hugging Face models: trained encoders whose attention was replaced by mechanisms.

A converted folder is a Hugging Face folder whose ``config.json`` has a model type of its own, such as
``inattention-whisper``, and the conversion under ``inattention``: a plain `transformers` refuses it, instead of filling
the queries and keys that are missing with random numbers. After ``import inattention.encoders.converted`` (which
`inattention.from_pretrained` does) its auto classes and pipelines load it too.

Models are built on the CPU and filled from safetensors, every tensor checked: mechanisms compute constants when they
are built, which an empty model on the meta device would not have.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.whisper.modeling_whisper import WhisperEncoder
from transformers.utils import logging

from inattention.encoders.attention_handles import replaceable_handles
from inattention.encoders.converted_attention import Conversion, ConvertedAttention
from inattention.encoders.hub import model_folder
from inattention.encoders.whisper_states import whisper_states
from inattention.model.loading import check_shapes, find_files, is_ours, tensor_shapes, wanted_dtype
from inattention.model.transformer import AudioTransformer

logger = logging.get_logger(__name__)

PREFIX = "inattention-"
ATTRIBUTE = "inattention"

# Families and their heads that can be converted: the prefix of the classes in `transformers`, and the auto class that
# finds each.
_FAMILIES = {
    "whisper": "Whisper",
    "wav2vec2": "Wav2Vec2",
    "hubert": "Hubert",
    "data2vec-audio": "Data2VecAudio",
    "unispeech-sat": "UniSpeechSat",
    "unispeech": "UniSpeech",
}
_AUTO = {
    "Model": "AutoModel",
    "ForConditionalGeneration": "AutoModelForSpeechSeq2Seq",
    "ForCTC": "AutoModelForCTC",
    "ForSequenceClassification": "AutoModelForAudioClassification",
    "ForAudioClassification": "AutoModelForAudioClassification",
    "ForAudioFrameClassification": "AutoModelForAudioFrameClassification",
    "ForXVector": "AutoModelForAudioXVector",
}


class ConvertedModel(PreTrainedModel):
    """Base class of converted models: their attention is replaced when they are built, and loading is strict."""

    converts: ClassVar[type[PreTrainedModel]]

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        install(self, Conversion.from_dict(getattr(config, ATTRIBUTE, None)))

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> "ConvertedModel":
        """Load a converted folder.

        Args:
            pretrained_model_name_or_path: folder or hub name.
            *args: not used.
            **kwargs: ``dtype``, ``revision``, ``cache_dir``, ``token``, ``local_files_only``; all others of
                `transformers` are ignored.

        Raises:
            ModelFolderError: if files are missing or damaged, or do not belong together.
        """
        hub = {name: kwargs[name] for name in ("revision", "cache_dir", "token", "local_files_only") if name in kwargs}
        config_file, weights_file = find_files(str(pretrained_model_name_or_path), **hub)
        config = kwargs.get("config") or AutoConfig.from_pretrained(config_file.parent)
        model = cls(config)
        load_weights(model, weights_file, config_file)
        generation = config_file.parent / "generation_config.json"
        if generation.is_file() and model.can_generate():
            model.generation_config = transformers.GenerationConfig.from_pretrained(config_file.parent)
        if dtype := wanted_dtype(kwargs):
            model.to(dtype)
        return model.eval()


def load_weights(model: nn.Module, weights: Path, config: Path) -> None:
    """Fill a model from a safetensors file that holds exactly its tensors; tied ones may be stored once.

    As in `transformers`, a model without a head takes the file of one with a head, and a head that the file lacks stays
    as it was built.

    Raises:
        ModelFolderError: if tensors are missing, unknown, or of another shape.
    """
    stored = tensor_shapes(weights)
    state = model.state_dict()
    names = _names(stored, model)
    found = {names[name]: shape for name, shape in stored.items() if name in names}
    if new := _new_head(stored, model):
        logger.warning("%s holds no %s: they have random weights and must be trained", weights, ", ".join(new))
        state = {name: it for name, it in state.items() if name not in new}
    tied = {name for name in state if name not in found and _twin(state, name, set(found)) is not None}
    check_shapes(found, {name: tuple(it.shape) for name, it in state.items() if name not in tied}, weights, config)
    tensors = load_file(weights)
    with torch.no_grad():
        for name, place in names.items():
            state[place].copy_(tensors[name])


def _names(stored: Iterable[str], model: nn.Module) -> dict[str, str]:
    """Return the model's name of each stored tensor; those of a head that the model lacks are left out."""
    prefix = _prefix(model)
    if _has_head(stored, prefix) == _has_head(model.state_dict(), prefix):
        return {name: name for name in stored}
    if _has_head(stored, prefix):
        return {name: name.removeprefix(prefix) for name in stored if name.startswith(prefix)}
    return {name: prefix + name for name in stored}


def _new_head(stored: Iterable[str], model: nn.Module) -> list[str]:
    """Return the tensors of the model's head if what is stored has none."""
    prefix = _prefix(model)
    if _has_head(stored, prefix) or not _has_head(model.state_dict(), prefix):
        return []
    return [name for name in model.state_dict() if not name.startswith(prefix)]


def _prefix(model: nn.Module) -> str:
    return f"{getattr(model, 'base_model_prefix', '')}."


def _has_head(names: Iterable[str], prefix: str) -> bool:
    return any(name.startswith(prefix) for name in names)


def _twin(state: dict[str, torch.Tensor], name: str, stored: set[str]) -> str | None:
    """Return a stored tensor that shares the memory of another one."""
    place = state[name].data_ptr()
    return next((other for other in stored & state.keys() if state[other].data_ptr() == place), None)


def install(model: PreTrainedModel, conversion: Conversion) -> None:
    """Replace the attention of an encoder, in place.

    Args:
        model: an encoder, or a model that contains one.
        conversion: a replacement, or None, for each layer.

    Raises:
        ValueError: if the model has another number of layers, or attention of a kind that cannot be replaced.
    """
    handles = replaceable_handles(model)
    if len(handles) != len(conversion.layers):
        raise ValueError(
            f"{type(model).__name__} has {len(handles)} layers; the conversion is for {len(conversion.layers)}"
        )
    for index, (handle, replacement) in enumerate(zip(handles, conversion.layers, strict=True)):
        if replacement is not None:
            place = index, len(handles)
            new = ConvertedAttention(
                handle.module,
                heads=handle.heads,
                replacement=replacement,
                max_length=conversion.max_length,
                layer=place,
            )
            model.set_submodule(handle.path, new)
    for module in model.modules():
        if isinstance(module, WhisperEncoder):
            module.__class__ = OwnLengthEncoder


def converted_copy(model: PreTrainedModel, conversion: Conversion) -> ConvertedModel:
    """Return a copy of a trained model with replaced attention; all other weights are the model's.

    Args:
        model: a trained model of `transformers`; one that is converted already keeps what is not replaced again.
        conversion: a replacement, or None, for each layer.

    Raises:
        ValueError: if the model's family or attention cannot be converted.
    """
    cls = class_for(model)
    before = Conversion(layers=(None,) * len(conversion.layers), max_length=conversion.max_length)
    if isinstance(model, ConvertedModel):
        before = Conversion.from_dict(getattr(model.config, ATTRIBUTE))
    assert cls.config_class is not None
    settings = {k: v for k, v in model.config.to_dict().items() if k not in ("model_type", ATTRIBUTE)}
    config = cls.config_class(**settings)
    setattr(config, ATTRIBUTE, before.to_dict())
    with torch.random.fork_rng(devices=[]):
        copied = cls(config)  # `transformers` captures no hidden states of a deep copy
    copied.load_state_dict(model.state_dict())
    if model.can_generate():
        copied.generation_config = copy.deepcopy(model.generation_config)
    install(copied, conversion)
    layers = tuple(new or old for new, old in zip(conversion.layers, before.layers, strict=True))
    setattr(config, ATTRIBUTE, replace(conversion, layers=layers).to_dict())
    return copied.eval()


class OwnLengthEncoder(WhisperEncoder):
    """Encoder of Whisper that also takes less than 30 s: the positions of the first frames are used.

    Frames from 30 s on are refused, as by `transformers`.
    """

    def forward(
        self, input_features: Tensor, *, output_hidden_states: bool | None = None, **kwargs: Any
    ) -> BaseModelOutput:
        """Return the encoder's output, whose number of frames is half of the input's.

        Args:
            input_features: log-mel spectrum, (batch, mels, frames).
            output_hidden_states: also return the input of the first layer and the output of each, the last normalised.
            **kwargs: for the layers.

        Raises:
            ValueError: if the input is longer than the encoder's positions.
        """
        kwargs.pop("attention_mask", None)  # Whisper has none
        states = whisper_states(self, input_features, **kwargs)
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        return BaseModelOutput(last_hidden_state=states[-1], hidden_states=states if wanted else None)


def _define() -> dict[type[PreTrainedModel], type[ConvertedModel]]:
    """Define the classes of all families, and register them with the auto classes of `transformers`."""
    found: dict[type[PreTrainedModel], type[ConvertedModel]] = {}
    for family, prefix in _FAMILIES.items():
        config = _config_class(family, getattr(transformers, f"{prefix}Config"))
        AutoConfig.register(PREFIX + family, config)
        for head, auto in _AUTO.items():
            base = getattr(transformers, prefix + head, None)
            if base is None:
                continue
            name = f"Inattention{base.__name__}"
            members = {
                "config_class": config,
                "converts": base,
                "__module__": __name__,
                "__doc__": f"Converted {prefix}.",
            }
            found[base] = type(name, (ConvertedModel, base), members)
            globals()[name] = found[base]
            getattr(transformers, auto).register(config, found[base])
    return found


def _config_class(family: str, base: type) -> type:
    """Return a config class with a model type of its own in files.

    In memory its instances have the family's type, by which pipelines choose what to do.
    """

    def post_init(self: Any, **kwargs: Any) -> None:
        base.__post_init__(self, **kwargs)  # ty: ignore[missing-attribute]
        self.__dict__["model_type"] = family

    name = f"Inattention{base.__name__}"
    members = {"model_type": PREFIX + family, "__module__": __name__, "__post_init__": post_init}
    globals()[name] = config = type(name, (base,), members)
    return config


CLASSES: Mapping[type[PreTrainedModel], type[ConvertedModel]] = _define()


def class_for(model: PreTrainedModel) -> type[ConvertedModel]:
    """Return the class that a model has after conversion.

    Raises:
        ValueError: if its attention cannot be replaced, or its family or head is unknown; the message has the reason.
    """
    base = type(model).converts if isinstance(model, ConvertedModel) else type(model)
    replaceable_handles(model)
    if base not in CLASSES:
        raise ValueError(f"{base.__name__} cannot be converted; families that can: {', '.join(_FAMILIES)}")
    return CLASSES[base]


def from_pretrained(name: str, **options: Any) -> PreTrainedModel | AudioTransformer:
    """Load one of our encoders, or a trained or converted model of `transformers`, by its folder or hub name.

    Args:
        name: folder or hub name.
        **options: for ``from_pretrained`` of the model's class, such as ``dtype``; ours have those of
            `AudioTransformer.from_pretrained`.

    Returns:
        The model with the head that it was saved with, in evaluation mode.

    Raises:
        ValueError: if the folder is none of a model, or its class is unknown.
    """
    folder = model_folder(name)
    if is_ours(folder):
        return AudioTransformer.from_pretrained(folder, **options)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    architecture = (config.architectures or [""])[0]
    known = {cls.__name__: cls for cls in CLASSES.values()}
    cls = known.get(architecture) or getattr(transformers, architecture, None)
    if cls is None:
        raise ValueError(f"{name}: there is no class {architecture!r} of models")
    return cls.from_pretrained(folder, **options).eval()
