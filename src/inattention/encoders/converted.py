"""Converted encoders as Hugging Face models: trained encoders whose attention was replaced by mechanisms.

A converted folder is a Hugging Face folder whose ``config.json`` has a model type of its own, such as
``inattention-whisper``, and the conversion under ``inattention``: a plain `transformers` refuses it, instead of filling
the queries and keys that are missing with random numbers. After ``import inattention.encoders.converted`` (which
`inattention.from_pretrained` does) its auto classes and pipelines load it too.

Models are built on the CPU and filled from safetensors, every tensor checked: mechanisms compute constants when they
are built, which an empty model on the meta device would not have.
"""

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
import transformers
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from inattention.encoders.converted_attention import Conversion, ConvertedAttention
from inattention.encoders.hub import model_folder
from inattention.model.loading import WEIGHTS_FILE, check_shapes, find_files, tensor_shapes

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
    "sew": "SEW",
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
    """What all converted models share: their attention is replaced when they are built, and loading is strict."""

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
        dtype = kwargs.get("dtype", kwargs.get("torch_dtype"))
        if isinstance(dtype, torch.dtype):
            model.to(dtype)
        return model.eval()


def load_weights(model: nn.Module, weights: Path, config: Path) -> None:
    """Fill a model from a safetensors file that holds exactly its tensors; tied ones may be stored once.

    Raises:
        ModelFolderError: if tensors are missing, unknown, or of another shape.
    """
    found = tensor_shapes(weights)
    state = model.state_dict()
    tied = {name for name in state if name not in found and _twin(state, name, set(found)) is not None}
    check_shapes(found, {name: tuple(it.shape) for name, it in state.items() if name not in tied}, weights, config)
    tensors = load_file(weights)
    with torch.no_grad():
        for name, tensor in tensors.items():
            state[name].copy_(tensor)


def _twin(state: dict[str, torch.Tensor], name: str, stored: set[str]) -> str | None:
    """Return a stored tensor that shares the memory of another one."""
    place = state[name].data_ptr()
    return next((other for other in stored & state.keys() if state[other].data_ptr() == place), None)


def attention_places(model: nn.Module) -> list[tuple[nn.Module, str, nn.Module]]:
    """Return the self-attention modules of the encoder in order, as (parent, name, module); converted ones too.

    A decoder's modules are not among them.
    """
    decoder = {
        id(module) for name, part in model.named_modules() if name.endswith("decoder") for module in part.modules()
    }
    return [
        (parent, name, module)
        for parent in model.modules()
        if id(parent) not in decoder
        for name, module in parent.named_children()
        if isinstance(module, ConvertedAttention)
        or all(isinstance(getattr(module, f"{part}_proj", None), nn.Linear) for part in ("q", "k", "v", "out"))
    ]


def install(model: nn.Module, conversion: Conversion) -> list[ConvertedAttention | None]:
    """Replace the attention of an encoder, in place.

    Args:
        model: an encoder, or a model that contains one.
        conversion: a replacement, or None, for each layer.

    Returns:
        The new module of each layer, or None.

    Raises:
        ValueError: if the model has another number of layers, or attention of a kind that cannot be replaced.
    """
    places = attention_places(model)
    kind = type(model).__name__
    if not places or any(hasattr(module, "gru_rel_pos_linear") for *_, module in places):
        raise ValueError(
            f"{kind}: only attention with q_proj, k_proj, v_proj and out_proj and no position bias can be replaced"
        )
    if len(places) != len(conversion.layers):
        raise ValueError(f"{kind} has {len(places)} layers; the conversion is for {len(conversion.layers)}")
    installed: list[ConvertedAttention | None] = []
    for index, ((parent, name, module), replacement) in enumerate(zip(places, conversion.layers, strict=True)):
        if replacement is None:
            installed.append(None)
            continue
        new = ConvertedAttention(
            module,
            heads=int(module.num_heads),  # ty: ignore[invalid-argument-type]
            replacement=replacement,
            max_length=conversion.max_length,
            layer=(index, len(places)),
        )
        setattr(parent, name, new)
        installed.append(new)
    for module in model.modules():
        if isinstance(module, WhisperEncoder):
            module.__class__ = OwnLengthEncoder
    return installed


def converted_copy(model: PreTrainedModel, conversion: Conversion) -> ConvertedModel:
    """Return a copy of a trained model with replaced attention; all other weights are the model's.

    Args:
        model: a trained model of `transformers`; one that is converted already keeps what is not replaced again.
        conversion: a replacement, or None, for each layer.

    Raises:
        ValueError: if the model's family or attention cannot be converted.
    """
    base = type(model).converts if isinstance(model, ConvertedModel) else type(model)
    cls = CLASSES.get(base)
    if cls is None:
        raise ValueError(f"{base.__name__} cannot be converted; families that can: {', '.join(_FAMILIES)}")
    before = Conversion(layers=(None,) * len(attention_places(model)), max_length=conversion.max_length)
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
        hidden = whisper_embedding(self, input_features)
        states = [hidden]
        for layer in self.layers:
            hidden = layer(hidden, None, **kwargs)
            states.append(hidden)
        states[-1] = self.layer_norm(hidden)
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        return BaseModelOutput(last_hidden_state=states[-1], hidden_states=tuple(states) if wanted else None)


def whisper_embedding(encoder: Any, mel: Float[Tensor, "batch mels frames"]) -> Float[Tensor, "batch time width"]:
    """Return the input of the first layer of a Whisper encoder.

    Raises:
        ValueError: if the input is longer than the encoder's positions.
    """
    hidden = nn.functional.gelu(encoder.conv2(nn.functional.gelu(encoder.conv1(mel)))).permute(0, 2, 1)
    positions = encoder.embed_positions.weight
    if hidden.shape[1] > len(positions):
        raise ValueError(f"the encoder takes at most {len(positions)} frames, not {hidden.shape[1]}")
    return hidden + positions[: hidden.shape[1]]


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


@dataclass(frozen=True)
class TrainedModel:
    """A trained model of `transformers` with what prepares its input and reads its output.

    Attributes:
        name: folder or hub name, as it was given.
        folder: where its files are.
        model: the model, in evaluation mode.
        extractor: its feature extractor.
        tokenizer: its tokenizer; None for an encoder without a decoder.
    """

    name: str
    folder: Path
    model: PreTrainedModel
    extractor: Any
    tokenizer: Any

    @property
    def is_whisper(self) -> bool:
        """Whether it is Whisper, with a decoder."""
        return self.model.config.model_type == "whisper"


def load_trained(name: str) -> TrainedModel:
    """Load a trained model, converted or not, from safetensors and without running code from its folder.

    Args:
        name: folder or hub name.

    Raises:
        ValueError: if it cannot be loaded.
    """
    folder = model_folder(name)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        whisper = config.model_type == "whisper"
        auto = transformers.AutoModelForSpeechSeq2Seq if whisper else transformers.AutoModel
        model = auto.from_pretrained(folder, use_safetensors=True, trust_remote_code=False)
        extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder) if whisper else None
    except Exception as error:  # a downloaded folder may fail in any way
        raise ValueError(f"{name} cannot be loaded: {' '.join(str(error).split())}") from error
    return TrainedModel(name, folder, model.eval(), extractor, tokenizer)


def ensure_convertible(model: PreTrainedModel) -> None:
    """Raise ValueError, with the reason, if the attention of a model cannot be replaced."""
    base = type(model).converts if isinstance(model, ConvertedModel) else type(model)
    places = attention_places(model)
    if any(hasattr(module, "gru_rel_pos_linear") for *_, module in places):
        raise ValueError(f"{base.__name__}: its gated position bias is part of the attention and cannot be replaced")
    if base not in CLASSES or not places:
        raise ValueError(f"{base.__name__} cannot be converted; families that can: {', '.join(_FAMILIES)}")


def weights_digest(folder: Path) -> str:
    """Return the SHA-256 of a model's weights."""
    with (folder / WEIGHTS_FILE).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def from_pretrained(name: str, **options: Any) -> PreTrainedModel:
    """Load a trained or converted model of `transformers` by its folder or hub name.

    Args:
        name: folder or hub name.
        **options: for ``from_pretrained`` of the model's class, such as ``dtype``.

    Returns:
        The model with the head that it was saved with.

    Raises:
        ValueError: if the folder is none of a model, or its class is unknown.
    """
    folder = model_folder(name)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    architecture = (config.architectures or [""])[0]
    known = {cls.__name__: cls for cls in CLASSES.values()}
    cls = known.get(architecture) or getattr(transformers, architecture, None)
    if cls is None:
        raise ValueError(f"{name}: there is no class {architecture!r} of models")
    return cls.from_pretrained(folder, **options).eval()
