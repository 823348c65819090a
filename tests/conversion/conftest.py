"""Tiny trained encoders with random weights, and recordings for them."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

transformers = pytest.importorskip("transformers")

from hugging_face_models import write_whisper  # noqa: E402

SECONDS = 2  # of the tiny Whisper's window


@pytest.fixture(scope="session")
def whisper_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Whisper of two layers with a window of two seconds and a tokenizer of bytes."""
    return write_whisper(tmp_path_factory.mktemp("whisper"), SECONDS)


@pytest.fixture(scope="session")
def hubert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HuBERT of two layers with 50 frames a second, as real ones have."""
    folder = tmp_path_factory.mktemp("hubert")
    config = transformers.HubertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, conv_dim=(16, 16),
        conv_kernel=(20, 16), conv_stride=(20, 16), num_feat_extract_layers=2, num_conv_pos_embeddings=9,
        num_conv_pos_embedding_groups=2, initializer_range=0.2, feat_extract_norm="layer",
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.HubertModel(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-five recordings of modulated noise, half of them with a text."""
    folder = tmp_path_factory.mktemp("recordings")
    random = np.random.default_rng(0)
    for number in range(25):
        samples = int(16_000 * random.uniform(0.5, 1.5))
        rhythm = 0.55 + 0.45 * np.sin(np.arange(samples) * random.uniform(1e-3, 4e-3))
        soundfile.write(folder / f"r{number}.wav", 0.1 * rhythm * random.standard_normal(samples), 16_000)
        if number % 2:
            (folder / f"r{number}.txt").write_text(f"number {number}", encoding="utf-8")
    return folder
