"""Our encoder for the auto classes of `transformers`: config, model and feature extractor.

`import inattention` registers them (`inattention.registration`), so that ``AutoModel.from_pretrained`` and
``AutoFeatureExtractor.from_pretrained`` load any folder that `AudioTransformer.save_pretrained` wrote.
"""

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    BatchFeature,
    PretrainedConfig,
    PreTrainedModel,
    SequenceFeatureExtractor,
)
from transformers.modeling_outputs import BaseModelOutput

from inattention.audio.config import FeatureConfig
from inattention.files import write_json
from inattention.model.config import MODEL_TYPE, AudioTransformerConfig
from inattention.model.encoder import Encoder
from inattention.model.loading import CONFIG_FILE, file_settings, wanted_dtype
from inattention.model.recording import short_input
from inattention.model.transformer import AudioTransformer

_HUB_OPTIONS = ("force_download", "token", "cache_dir", "local_files_only", "revision")
_SETTINGS = tuple(it.name for it in fields(AudioTransformerConfig))


class InattentionConfig(PretrainedConfig):
    """Config of an `AudioTransformer` as `transformers` has it; the settings are those of `AudioTransformerConfig`."""

    model_type = MODEL_TYPE
    attribute_map: ClassVar[dict[str, str]] = {
        "hidden_size": "width",
        "num_hidden_layers": "layers",
        "num_attention_heads": "heads",
        "intermediate_size": "feed_forward",
    }

    def __init__(self, **settings: Any) -> None:
        for name, value in AudioTransformerConfig().to_dict().items():
            setattr(self, name, settings.pop(name, value))
        super().__init__(**settings)

    def settings(self) -> AudioTransformerConfig:
        """Return the settings as our own config.

        Raises:
            ValueError: if one of them has a wrong value.
        """
        return AudioTransformerConfig.from_dict({name: getattr(self, name) for name in _SETTINGS})

    def save_pretrained(self, save_directory: Any, push_to_hub: bool = False, **kwargs: Any) -> None:
        """Write config.json as `AudioTransformer.save_pretrained` does.

        Args:
            save_directory: the folder, created if needed.
            push_to_hub: not supported: models are pushed as a whole.
            **kwargs: those of `transformers` are ignored.

        Raises:
            ValueError: for ``push_to_hub``.
        """
        if push_to_hub:
            raise ValueError("push the model instead: its folder has the config")
        Path(save_directory).mkdir(parents=True, exist_ok=True)
        write_json(Path(save_directory) / CONFIG_FILE, file_settings(self.settings()))


class InattentionModel(PreTrainedModel):
    """An `AudioTransformer` whose inputs and outputs are those of `transformers`.

    Args:
        config: its config. Weights are drawn from torch's current random state.
    """

    config_class = InattentionConfig
    main_input_name = "input_features"
    supports_gradient_checkpointing = True

    def __init__(self, config: InattentionConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(config.settings())
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Keep the weights with which the encoder is built."""

    def forward(
        self,
        input_features: Float[Tensor, "batch time size"],
        attention_mask: Tensor | None = None,
        *,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
    ) -> BaseModelOutput | tuple[Any, ...]:
        """Encode features.

        Args:
            input_features: as the feature extractor returns them.
            attention_mask: (batch, time), 1 or True at real frames; None if all are.
            output_hidden_states: return the embedded input and every layer too.
            output_attentions: return each layer's maps, (batch, heads, time, time), too.
            return_dict: False for a tuple.

        Raises:
            ValueError: if features or mask have another shape than the model takes.
        """
        expected = self.config.settings().input_size
        if input_features.ndim != 3 or input_features.shape[2] != expected:
            raise ValueError(
                f"input_features must be (batch, time, {expected}), as the feature extractor returns them, not "
                f"{tuple(input_features.shape)}"
            )
        if attention_mask is not None and attention_mask.shape != input_features.shape[:2]:
            raise ValueError(
                f"attention_mask must be {tuple(input_features.shape[:2])}, not {tuple(attention_mask.shape)}"
            )
        chosen = {"output_hidden_states": output_hidden_states, "output_attentions": output_attentions}
        wanted = {name: getattr(self.config, name) if it is None else it for name, it in chosen.items()}
        found = self.encoder(
            input_features,
            None if attention_mask is None else attention_mask.bool(),
            output_hidden_states=bool(wanted["output_hidden_states"]),
            output_attention_maps=bool(wanted["output_attentions"]),
        )
        maps = None if found.attention_maps is None else tuple(found.attention_maps)
        output = BaseModelOutput(found.last_hidden_state, found.hidden_states, maps)
        as_tuple = return_dict is False or (return_dict is None and self.config.return_dict is False)
        return output.to_tuple() if as_tuple else output

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> "InattentionModel":
        """Load a model that `AudioTransformer.save_pretrained` or `save_pretrained` wrote, in evaluation mode.

        Args:
            pretrained_model_name_or_path: folder or hub name.
            *args: not used.
            **kwargs: options of the hub, ``config`` of the same settings, and ``dtype``, ``output_hidden_states``,
                ``output_attentions`` and ``return_dict``; all others of `transformers` are ignored.

        Raises:
            ValueError: for a config with other settings than the saved ones.
            ModelFolderError: if files are missing or damaged, or do not belong together.
        """
        hub = {name: kwargs[name] for name in _HUB_OPTIONS if name in kwargs}
        loaded = AudioTransformer.from_pretrained(str(pretrained_model_name_or_path), **hub)
        config = InattentionConfig(**loaded.config.to_dict())
        config.name_or_path = str(pretrained_model_name_or_path)
        if isinstance(given := kwargs.get("config"), InattentionConfig) and given.settings() != loaded.config:
            raise ValueError(f"{pretrained_model_name_or_path}: the config has other settings than the saved model")
        for name in ("output_hidden_states", "output_attentions", "return_dict"):
            setattr(config, name, kwargs.get(name, getattr(kwargs.get("config", config), name)))
        with torch.random.fork_rng(devices=[]):
            model = cls(config)
        model.encoder = loaded.encoder
        if dtype := wanted_dtype(kwargs):
            model.to(dtype)
        return model.eval()

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> None:
        """Save weights, config, feature extractor and model card, as `AudioTransformer.save_pretrained` does.

        Args:
            save_directory: the folder, created if needed.
            *args: not used.
            **kwargs: ``push_to_hub`` and its options; those of `transformers` on how to save are ignored.
        """
        hub = {name: value for name, value in kwargs.items() if name in ("push_to_hub", "repo_id", "token", "revision")}
        with torch.random.fork_rng(devices=[]):
            model = AudioTransformer(self.config.settings())
        model.encoder = self.encoder
        model.save_pretrained(Path(save_directory), **hub)


class InattentionFeatureExtractor(SequenceFeatureExtractor):
    """Turns waveforms into the features of a model, as `AudioTransformer.extract` does.

    Args:
        **settings: those of `FeatureConfig`, and of `transformers`.
    """

    model_input_names: ClassVar[list[str]] = ["input_features", "attention_mask"]

    def __init__(self, **settings: Any) -> None:
        names = [it.name for it in fields(FeatureConfig)]
        config = FeatureConfig(**{name: settings.pop(name) for name in names if name in settings})
        for name, value in asdict(config).items():
            setattr(self, name, value)
        for name in ("feature_size", "padding_value"):
            settings.pop(name, None)
        super().__init__(feature_size=config.size, sampling_rate=config.sampling_rate, padding_value=0.0, **settings)

    def __call__(
        self,
        raw_speech: Any,
        sampling_rate: int | None = None,
        *,
        return_tensors: str | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Return features, padded to the longest, and the mask of real frames.

        Args:
            raw_speech: one waveform, (samples,), or a sequence of them.
            sampling_rate: Hz of the waveforms; by default that of the model.
            return_tensors: ``pt`` or ``np``.
            **kwargs: options of padding as other extractors have them.

        Raises:
            ValueError: if a waveform cannot be used, or is longer than two minutes: `AudioTransformer.extract` takes
                any length.
        """
        if isinstance(raw_speech, str | bytes) or not hasattr(raw_speech, "__len__"):
            raise ValueError(
                f"raw_speech must be a waveform or a sequence of them, not {type(raw_speech).__name__}; "
                "AudioTransformer.extract takes files"
            )
        config = FeatureConfig(**{it.name: getattr(self, it.name) for it in fields(FeatureConfig)})
        one = len(raw_speech) == 0 or np.ndim(raw_speech[0]) == 0
        rate = self.sampling_rate if sampling_rate is None else sampling_rate
        frames = []
        for place, waveform in enumerate([raw_speech] if one else raw_speech):
            try:
                found = short_input(torch.as_tensor(np.asarray(waveform), dtype=torch.float32), rate, config)
            except (TypeError, ValueError) as error:
                raise ValueError(f"waveform {place} of raw_speech: {error}") from error
            if found is None:
                raise ValueError(
                    f"waveform {place} of raw_speech is longer than two minutes; AudioTransformer.extract takes any "
                    "length"
                )
            frames.append(found.numpy())
        kwargs = {"padding": True, "return_attention_mask": True, **kwargs}
        kwargs.pop("device", None)  # features are computed on the CPU
        return self.pad(BatchFeature({"input_features": frames}), return_tensors=return_tensors, **kwargs)


AutoConfig.register(MODEL_TYPE, InattentionConfig)
AutoModel.register(InattentionConfig, InattentionModel)
AutoFeatureExtractor.register(InattentionConfig, InattentionFeatureExtractor)
