"""Encoders are opened by folder or taken from memory, and their kind is recognised."""

from pathlib import Path

import pytest
import torch

from inattention.encoders.hugging_face import WaveformEncoder
from inattention.encoders.open import as_source, open_source
from inattention.encoders.ours import EncoderSource
from small_models import small_model


def test_our_encoder_is_opened_by_its_folder(tmp_path: Path) -> None:
    small_model(attention="qk").save_pretrained(tmp_path / "qk-0")
    opened = open_source(str(tmp_path / "qk-0"))
    assert isinstance(opened, EncoderSource)
    assert (opened.name, opened.layers, opened.heads) == ("qk-0", 2, 12)


def test_a_hugging_face_encoder_is_opened_by_its_folder(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 32}
    convolutions = {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
    config = transformers.Wav2Vec2Config(**sizes, **convolutions)
    transformers.Wav2Vec2Model(config).save_pretrained(tmp_path / "saved")
    opened = open_source(str(tmp_path / "saved"))
    assert isinstance(opened, WaveformEncoder)
    assert (opened.name, opened.layers, opened.heads) == ("saved", 2, 3)


def test_weights_of_a_hugging_face_encoder_that_were_not_fetched_are_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "wav2vec2"}')
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ValueError, match=r"model\.safetensors: is a Git LFS pointer"):
        open_source(str(tmp_path))
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors").symlink_to("nowhere")
    with pytest.raises(ValueError, match=r"model\.safetensors: is a link to nowhere"):
        open_source(str(tmp_path))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no such folder"):
        open_source(str(tmp_path / "none"))


def test_a_model_in_memory_becomes_a_source_and_a_source_stays_itself() -> None:
    source = as_source(small_model(attention="qk"))
    assert isinstance(source, EncoderSource)
    assert as_source(source) is source
    with pytest.raises(ValueError, match="Linear is neither"):
        as_source(torch.nn.Linear(1, 1))
