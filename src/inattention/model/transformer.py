"""`AudioTransformer`: an encoder with its settings, saved and loaded as safetensors, taking features or any audio."""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelHubMixin, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from jaxtyping import Bool, Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from inattention.audio.features import features as features_of
from inattention.audio.files import load_audio, resample
from inattention.model.chunks import encode
from inattention.model.config import AudioTransformerConfig
from inattention.model.encoder import Encoder, EncoderOutput

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"


class ModelFolderError(ValueError):
    """A folder or hub name that does not hold a usable model, with what is wrong and where."""


@dataclass(frozen=True)
class Extracted:
    """Features of one recording.

    Attributes:
        values: (time, width), or (layers, time, width) for all layers.
        step_seconds: time from one step to the next.
        first_center_seconds: where the first step is centred.
    """

    values: Float[Tensor, "*layers time width"]
    step_seconds: float
    first_center_seconds: float

    @property
    def times(self) -> Float[Tensor, " time"]:
        """Seconds at which each step is centred."""
        steps = torch.arange(self.values.shape[-2], dtype=torch.float64)
        return self.first_center_seconds + steps * self.step_seconds


class AudioTransformer(nn.Module, ModelHubMixin, library_name="inattention", license="apache-2.0"):
    """A speech encoder with any attention mechanism.

    Args:
        config: its settings; the defaults are the paper's sizes. Weights start from torch's current random state.

    >>> config = AudioTransformerConfig(width=24, feed_forward=48, layers=2, max_length=50)
    >>> model = AudioTransformer(config).eval()
    >>> model(torch.randn(1, 30, 480)).last_hidden_state.shape
    torch.Size([1, 30, 24])
    >>> model.extract(torch.randn(16_000), sampling_rate=16_000).values.shape
    torch.Size([27, 24])
    """

    def __init__(self, config: AudioTransformerConfig | None = None) -> None:
        super().__init__()
        self.config = config or AudioTransformerConfig()
        self.encoder = Encoder(self.config)

    def forward(
        self,
        features: Float[Tensor, "batch time size"],
        valid: Bool[Tensor, "batch time"] | None = None,
        *,
        output_hidden_states: bool = False,
        output_attention_maps: bool = False,
    ) -> EncoderOutput:
        """Encode features.

        Args:
            features: (batch, time, config.input_size); at invalid steps anything may stand.
            valid: True where a step is real; all of them if left out.
            output_hidden_states: give the embedded input and every layer too.
            output_attention_maps: give every layer's attention maps too.

        Raises:
            ValueError: if the features have another size than the model's, or are longer than a mechanism with a
                maximum length can take; `extract` takes audio of any length.
        """
        if features.shape[-1] != self.config.input_size:
            raise ValueError(
                f"the features have {features.shape[-1]} dimensions, this model takes {self.config.input_size} "
                "(config.features)"
            )
        if valid is None:
            valid = torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)
        return self.encoder(
            features,
            valid,
            output_hidden_states=output_hidden_states,
            output_attention_maps=output_attention_maps,
        )

    @torch.no_grad()
    def attention_maps(
        self, features: Float[Tensor, "batch time size"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "layers batch heads time time"]:
        """Give the weights of every layer and head, as each mechanism's definition has them."""
        maps = self(features, valid, output_attention_maps=True).attention_maps
        assert maps is not None
        return maps

    def extract(
        self,
        audio: str | Path | Float[Tensor, " samples"],
        *,
        layer: int | None = -1,
        sampling_rate: int | None = None,
    ) -> Extracted:
        """Give the features of one recording of any rate and length.

        Recordings longer than ``config.max_length`` steps are encoded in chunks of that length that overlap by half,
        each step taken from the chunk in which it lies deepest; normalisation is over the whole recording.

        Args:
            audio: a file, or one channel of samples.
            layer: which hidden state: 0 is the embedded input, 1 the first layer, -1 the last; None gives all.
            sampling_rate: Hz of the samples; must be given with samples, and only with them.

        Raises:
            ValueError: if the file or the samples cannot be used (`AudioError` for files), or there is no such layer.
        """
        config = self.config.features
        if isinstance(audio, str | Path):
            if sampling_rate is not None:
                raise ValueError("sampling_rate goes with samples; a file says its own")
            waveform = load_audio(audio, config.sampling_rate)
        else:
            if sampling_rate is None:
                raise ValueError("samples need their sampling_rate in Hz")
            waveform = resample(audio, sampling_rate, config.sampling_rate)
        steps = features_of(waveform, config)
        (values,) = encode(self, [steps], layer=layer)
        return Extracted(values, config.step_seconds, config.first_center_seconds)

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> str | None:
        """Save weights (safetensors) and settings (config.json) in a folder, each file whole or not at all.

        Args:
            save_directory: the folder; made if need be.
            **options: as ``huggingface_hub.ModelHubMixin.save_pretrained`` has them.
        """
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as temporary:
            super().save_pretrained(temporary, config=self.config.to_dict())
            for file in sorted(Path(temporary).iterdir()):
                os.replace(file, folder / file.name)
        if options.pop("push_to_hub", False):
            return self.push_to_hub(options.pop("repo_id", folder.name), config=self.config.to_dict(), **options)
        return None

    def _save_pretrained(self, save_directory: Path) -> None:
        state = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        save_file(state, save_directory / WEIGHTS_FILE, metadata={"format": "pt"})

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
        **model_kwargs: Any,
    ) -> "AudioTransformer":
        """Load a model, in evaluation mode, from a folder or a Hugging Face hub name. No code of theirs is run.

        Args:
            pretrained_model_name_or_path: a folder that `save_pretrained` wrote, or a hub name.
            force_download: ignore what is cached.
            token: for private hub models.
            cache_dir: where downloads are kept.
            local_files_only: use nothing but the cache.
            revision: branch, tag or commit on the hub.
            **model_kwargs: none are known; settings are the saved ones.

        Raises:
            ModelFolderError: if files are missing or broken, a setting is unknown, or the weights do not fit the
                settings exactly. Only safetensors are read.
        """
        if model_kwargs:
            raise ValueError(f"unknown options {sorted(model_kwargs)}: a saved model brings its own settings")
        name = str(pretrained_model_name_or_path)
        files = []
        for file in (CONFIG_FILE, WEIGHTS_FILE):
            if os.path.isdir(name):
                path = os.path.join(name, file)
                if not os.path.isfile(path):
                    raise ModelFolderError(
                        f"{name}: holds no {file}; a model's folder has {CONFIG_FILE} and {WEIGHTS_FILE}"
                    )
            else:
                try:
                    path = hf_hub_download(
                        name,
                        file,
                        force_download=force_download,
                        token=token,
                        cache_dir=cache_dir,
                        local_files_only=local_files_only,
                        revision=revision,
                    )
                except (HFValidationError, HfHubHTTPError, OSError) as error:
                    raise ModelFolderError(
                        f"{name}: is no folder, and no {file} was found on the hub ({error})"
                    ) from error
            files.append(path)
        return cls._load(Path(files[0]), Path(files[1]))

    @classmethod
    def _load(cls, config_file: Path, weights_file: Path) -> "AudioTransformer":
        try:
            settings = json.loads(config_file.read_text(encoding="utf-8"))
            config = AudioTransformerConfig.from_dict(settings, source=str(config_file))
            model = cls(config)
        except (ValueError, TypeError) as error:
            raise ModelFolderError(f"{config_file}: {error}") from error
        try:
            model.load_state_dict(load_file(weights_file), strict=True)
        except (SafetensorError, RuntimeError, OSError) as error:
            raise ModelFolderError(
                f"{weights_file}: does not fit {config_file.name} or is damaged ({error})"
            ) from error
        return model.eval()
