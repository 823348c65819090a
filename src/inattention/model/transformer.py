"""`AudioTransformer`: an encoder with its config, saved and loaded as safetensors, for features or any audio."""

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import ModelCard, ModelHubMixin
from jaxtyping import Bool, Float
from safetensors.torch import load_file, save
from torch import Tensor, nn

from inattention.attention import without_files
from inattention.audio.frames import feature_stream
from inattention.model.chunks import check_layer, encode
from inattention.model.config import AudioTransformerConfig
from inattention.model.encoder import Encoder, EncoderOutput
from inattention.model.loading import (
    EXTRACTOR_FILE,
    WEIGHTS_FILE,
    ModelFolderError,
    Shapes,
    check_shapes,
    file_settings,
    find_files,
    read_config,
    tensor_shapes,
)
from inattention.model.long_input import encode_stream, plan_blocks
from inattention.model.model_card import TEMPLATE, card_fields
from inattention.model.reach import limit_encoder, reach_seconds
from inattention.model.recording import Extracted, recording, short_input, timed

__all__ = ["AudioTransformer", "Extracted", "ModelFolderError"]


class AudioTransformer(
    nn.Module,
    ModelHubMixin,
    library_name="inattention",
    license="apache-2.0",
    pipeline_tag="feature-extraction",
    tags=["audio", "speech"],
    model_card_template=TEMPLATE,
):
    """A speech encoder with any attention mechanism.

    Args:
        config: its sizes; the defaults are the paper's. Weights are drawn from torch's current random state.

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
            features: (batch, time, config.input_size); at padding anything may stand.
            valid: True at real frames; None if all are.
            output_hidden_states: return the embedded input and every layer too.
            output_attention_maps: return every layer's attention maps too.

        Raises:
            ValueError: if the features have another size than the model's, or are longer than a mechanism with a
                maximum length can take; `extract` takes audio of any length.
        """
        if features.ndim != 3 or features.shape[-1] != self.config.input_size:
            raise ValueError(
                f"this model takes features of (batch, time, {self.config.input_size}), as config.features says, "
                f"not of {tuple(features.shape)}"
            )
        if valid is not None and (valid.shape != features.shape[:2] or valid.dtype != torch.bool):
            raise ValueError(
                f"valid must be truth values of {tuple(features.shape[:2])}, not {valid.dtype} of {tuple(valid.shape)}"
            )
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
        """Return the weights of every layer and head, from each mechanism's definition."""
        maps = self(features, valid, output_attention_maps=True).attention_maps
        assert maps is not None
        return maps

    def extract(
        self,
        audio: str | Path | Float[Tensor, " samples"] | Float[np.ndarray, " samples"],
        *,
        layer: int | None = -1,
        sampling_rate: int | None = None,
        block_seconds: float | None = None,
        bound: float = 0.0,
    ) -> Extracted:
        """Return the features of one recording of any rate and length.

        By default, recordings longer than ``config.max_length`` frames are encoded in chunks of that length that
        overlap by half, each frame taken from the chunk in which it lies deepest. With ``block_seconds``, the features
        are those of one pass over the whole recording, computed in blocks; this takes an encoder of limited reach.
        Normalisation is over the whole recording in either case.

        Args:
            audio: a file, or one channel of samples.
            layer: which hidden state: 0 is the embedded input, 1 the first layer, -1 the last; None for all.
            sampling_rate: Hz of the samples; required for samples, and for them alone.
            block_seconds: length of the blocks; None for chunks.
            bound: greatest part of any row of weights that Toeplitz tables may leave out, to see less far.

        Raises:
            UnlimitedReach: for blocks, if the mechanism of a layer has no limited reach.
            ValueError: if the file or the samples cannot be used (`AudioError`, which names a file), or there is no
                such layer.
        """
        config = self.config.features
        if block_seconds is None and (frames := short_input(audio, sampling_rate, config)) is not None:
            (values,) = encode(self.encoder, [frames], layer=layer)
        else:
            pieces = self.extract_blocks(
                audio, layer=layer, sampling_rate=sampling_rate, block_seconds=block_seconds, bound=bound
            )
            values = torch.cat([piece.values for piece in pieces], dim=-2)
        return Extracted(values, config.step_seconds, config.first_center_seconds)

    def extract_blocks(
        self,
        audio: str | Path | Float[Tensor, " samples"] | Float[np.ndarray, " samples"],
        *,
        layer: int | None = -1,
        sampling_rate: int | None = None,
        block_seconds: float | None = None,
        bound: float = 0.0,
    ) -> Iterator[Extracted]:
        """Yield the features of one recording piece by piece, in memory that does not grow with its length.

        The pieces follow each other and together are what `extract` returns. A file is decoded twice, first to check
        it and for the normalisation over the whole recording.

        Args:
            audio: as for `extract`.
            layer: as for `extract`.
            sampling_rate: as for `extract`.
            block_seconds: as for `extract`.
            bound: as for `extract`.

        Raises:
            UnlimitedReach: as for `extract`.
            ValueError: as for `extract`.
        """
        check_layer(self.config, layer)
        config = self.config.features
        plan = plan_blocks(self.encoder, block_seconds, bound)
        stream = feature_stream(recording(audio, sampling_rate, config), config)
        return timed(encode_stream(self.encoder, stream, plan, layer=layer), config)

    def reach_seconds(self, bound: float = 0.0) -> tuple[float, float]:
        """Return how much audio before and behind the centre of a frame its features depend on, in seconds.

        The statistics of the normalisation over the recording, if there is one, do not count.

        Args:
            bound: as for `extract`.

        Raises:
            UnlimitedReach: if the mechanism of a layer has no limited reach.
        """
        return reach_seconds(limit_encoder(self.encoder, bound).reach, self.config.features)

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        config: Any = None,
        repo_id: str | None = None,
        push_to_hub: bool = False,
        model_card_kwargs: dict[str, Any] | None = None,
        **push_to_hub_kwargs: Any,
    ) -> str | None:
        """Save weights (safetensors), config (config.json) and a model card, each file whole or not at all.

        Args:
            save_directory: the folder, created if needed. An existing README.md is kept.
            config: not used: the model's own config is saved.
            repo_id: the name on the hub if it is pushed; the folder's name by default.
            push_to_hub: push to the Hugging Face hub too.
            model_card_kwargs: for a model card template of your own.
            **push_to_hub_kwargs: for ``huggingface_hub.ModelHubMixin.push_to_hub``.

        Raises:
            ValueError: for hub options without ``push_to_hub``.
        """
        if push_to_hub_kwargs and not push_to_hub:
            raise ValueError(f"options {sorted(push_to_hub_kwargs)} go with push_to_hub=True")
        folder, card = Path(save_directory), model_card_kwargs or {}
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as temporary:
            super().save_pretrained(temporary, config=file_settings(self.config), model_card_kwargs=card)
            for file in sorted(Path(temporary).iterdir()):
                if not (file.name == "README.md" and (folder / file.name).exists()):
                    os.replace(file, folder / file.name)
        if push_to_hub:
            return self.push_to_hub(repo_id or folder.name, model_card_kwargs=card, **push_to_hub_kwargs)
        return None

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """Return the README that is saved with the model."""
        parameters = sum(parameter.numel() for parameter in self.parameters())
        return super().generate_model_card(*args, **{**card_fields(self.config, parameters, self.encoder), **kwargs})

    def _save_pretrained(self, save_directory: Path) -> None:
        state = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        (save_directory / WEIGHTS_FILE).write_bytes(save(state, metadata={"format": "pt"}))
        extractor = {"feature_extractor_type": "InattentionFeatureExtractor", **asdict(self.config.features)}
        (save_directory / EXTRACTOR_FILE).write_text(json.dumps(extractor, indent=2) + "\n", encoding="utf-8")

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
        """Load a model, in evaluation mode, from a folder or a Hugging Face hub name. None of their code is run.

        Args:
            pretrained_model_name_or_path: a folder that `save_pretrained` wrote, or a hub name.
            force_download: ignore the cache.
            token: for private hub models.
            cache_dir: folder of downloads.
            local_files_only: use the cache alone.
            revision: branch, tag or commit on the hub.
            **model_kwargs: not accepted; the config is the saved one.

        Raises:
            ModelFolderError: if files are missing or damaged, a config field is unknown, or the weights do not fit the
                config exactly. Only safetensors are read.
        """
        if model_kwargs:
            raise ValueError(f"unknown options {sorted(model_kwargs)}: a saved model has its own config")
        files = find_files(
            str(pretrained_model_name_or_path),
            force_download=force_download,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            revision=revision,
        )
        return cls._load(*files)

    @classmethod
    def _load(cls, config_file: Path, weights_file: Path) -> "AudioTransformer":
        config = read_config(config_file)
        found = tensor_shapes(weights_file)
        # A file of initial maps may be gone, and a downloaded config must not choose which files are read.
        plain = replace(config, attention_options=without_files(config.attention, config.attention_options))
        wanted = _shapes_without_memory(plain)
        if wanted is not None:
            check_shapes(found, wanted, weights_file, config_file)
        try:
            with torch.random.fork_rng(
                devices=[]
            ):  # initial weights that are replaced at once leave the random state alone
                model = cls(plain)
        except Exception as error:  # a mechanism may refuse a downloaded config's options in any way
            raise ModelFolderError(f"{config_file}: {' '.join(str(error).split())}") from error
        check_shapes(found, _shapes(model), weights_file, config_file)
        model.load_state_dict(load_file(weights_file), strict=True)
        model.config = model.encoder.config = config
        return model.eval()


def _shapes(model: nn.Module) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _shapes_without_memory(config: AudioTransformerConfig) -> Shapes | None:
    """Return the shapes of a model's tensors at no cost, or None if a mechanism cannot be built without memory."""
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            return _shapes(AudioTransformer(config))
    except Exception:  # the error is raised when the model is built
        return None
