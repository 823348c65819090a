"""Files of converted encoders with and without a head, in models with and without one, as `transformers` loads them."""

from pathlib import Path

import pytest
import torch

transformers = pytest.importorskip("transformers")

from hugging_face_models import waveform_model, whisper_model  # noqa: E402
from inattention.encoders.converted import converted_copy  # noqa: E402
from inattention.encoders.converted_attention import Conversion, Replacement  # noqa: E402
from inattention.model.loading import ModelFolderError  # noqa: E402


def save(model: transformers.PreTrainedModel, folder: Path) -> transformers.PreTrainedModel:
    layers = (Replacement(row="toeplitz"),) * model.config.num_hidden_layers
    converted = converted_copy(model, Conversion(layers=layers, max_length=60))
    converted.save_pretrained(folder)
    return converted


def test_a_model_without_a_head_takes_the_file_of_one_with_a_head(tmp_path: Path) -> None:
    whole = save(whisper_model(), tmp_path)
    base = transformers.AutoModel.from_pretrained(tmp_path)
    assert type(base).__name__ == "InattentionWhisperModel"
    for name, tensor in base.state_dict().items():
        assert torch.equal(tensor, whole.state_dict()["model." + name])


def test_a_head_that_the_file_lacks_is_random_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    base = save(waveform_model("hubert"), tmp_path)
    logger = transformers.utils.logging.get_logger("inattention.encoders.converted")
    logger.addHandler(caplog.handler)
    model = transformers.AutoModelForCTC.from_pretrained(tmp_path)
    logger.removeHandler(caplog.handler)
    assert "lm_head.weight, lm_head.bias: they have random weights and must be trained" in caplog.text
    for name, tensor in base.state_dict().items():
        assert torch.equal(tensor, model.state_dict()["hubert." + name])


def test_a_file_that_lacks_a_part_of_the_encoder_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save(waveform_model("hubert"), tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["encoder.layer_norm.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    for auto in (transformers.AutoModel, transformers.AutoModelForCTC):
        with pytest.raises(ModelFolderError, match=r"1 tensors are missing .*encoder\.layer_norm\.weight"):
            auto.from_pretrained(tmp_path)
