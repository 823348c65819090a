"""Our models and converted ones in the auto classes of `transformers`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import inattention
from hugging_face_models import waveform_model, whisper_model
from inattention.encoders.converted import converted_copy
from inattention.encoders.converted_attention import Conversion, Replacement
from small_models import small_model

transformers = pytest.importorskip("transformers")


def saved(folder: Path, **settings: Any) -> inattention.AudioTransformer:
    model = small_model(attention="toeplitz", **settings)
    model.save_pretrained(folder)
    return model


def wave(samples: int = 8000, seed: int = 0) -> Tensor:
    return torch.randn(samples, generator=torch.Generator().manual_seed(seed)) * 0.1


def test_auto_classes_load_our_folders(tmp_path: Path) -> None:
    ours = saved(tmp_path)
    config = transformers.AutoConfig.from_pretrained(tmp_path)
    assert (config.model_type, config.hidden_size, config.num_hidden_layers) == ("inattention", 24, ours.config.layers)
    assert config.settings() == ours.config
    model = transformers.AutoModel.from_pretrained(tmp_path)
    assert not model.training
    extractor = transformers.AutoFeatureExtractor.from_pretrained(tmp_path)
    batch = extractor([wave().numpy(), wave(5000, 1).numpy()], sampling_rate=16_000, return_tensors="pt")
    found = model(**batch, output_hidden_states=True)
    for row, samples in enumerate((wave(), wave(5000, 1))):
        expected = ours.extract(samples, sampling_rate=16_000, layer=None).values
        count = int(batch["attention_mask"][row].sum())
        assert expected.shape[1] == count
        got = torch.stack([it[row, :count] for it in found.hidden_states])
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_outputs_are_those_of_transformers(tmp_path: Path) -> None:
    ours = saved(tmp_path)
    model = transformers.AutoModel.from_pretrained(tmp_path)
    features = torch.randn(2, 9, ours.config.input_size)
    mask = torch.arange(9) < torch.tensor([9, 4])[:, None]
    found = model(features, mask.long(), output_hidden_states=True, output_attentions=True)
    assert len(found.hidden_states) == len(found.attentions) + 1 == ours.config.layers + 1
    assert found.attentions[0].shape == (2, ours.config.heads, 9, 9)
    torch.testing.assert_close(found.attentions[0][1, :, :4].sum(-1), torch.ones(ours.config.heads, 4))
    (last,) = model(features, mask, return_dict=False)
    assert torch.equal(last, found.last_hidden_state)
    assert model(features).hidden_states is None
    asked = transformers.AutoModel.from_pretrained(tmp_path, output_hidden_states=True, dtype=torch.float64)
    assert asked(features.double()).hidden_states[0].dtype == torch.float64


def test_what_transformers_saves_is_loaded_by_ours(tmp_path: Path) -> None:
    ours = saved(tmp_path / "one")
    transformers.AutoModel.from_pretrained(tmp_path / "one").save_pretrained(tmp_path / "two")
    again = inattention.AudioTransformer.from_pretrained(tmp_path / "two")
    assert again.config == ours.config
    assert all(torch.equal(one, other) for one, other in zip(ours.parameters(), again.parameters(), strict=True))
    new = transformers.AutoModel.from_config(transformers.AutoConfig.from_pretrained(tmp_path / "two"))
    assert sum(it.numel() for it in new.parameters()) == sum(it.numel() for it in ours.parameters())


def test_configs_travel_through_files(tmp_path: Path) -> None:
    ours = saved(tmp_path / "one", layers=2)
    config = transformers.AutoConfig.from_pretrained(tmp_path / "one")
    config.save_pretrained(tmp_path / "two")
    assert transformers.AutoConfig.from_pretrained(tmp_path / "two").settings() == ours.config


@pytest.mark.parametrize("dtype", ["float16", torch.float16])
def test_weights_have_the_type_that_is_asked_for(dtype: Any, tmp_path: Path) -> None:
    saved(tmp_path)
    assert transformers.AutoModel.from_pretrained(tmp_path, dtype=dtype).dtype == torch.float16


def test_a_config_with_other_settings_is_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    config = transformers.AutoConfig.from_pretrained(tmp_path, width=48)
    with pytest.raises(ValueError, match="other settings than the saved model"):
        transformers.AutoModel.from_pretrained(tmp_path, config=config)


def test_shapes_are_checked(tmp_path: Path) -> None:
    ours = saved(tmp_path)
    model = transformers.AutoModel.from_pretrained(tmp_path)
    features = torch.randn(1, 9, ours.config.input_size)
    for shape in ((1, 8), (2, 9), (1, 9, 1)):
        with pytest.raises(ValueError, match=r"attention_mask must be \(1, 9\)"):
            model(features, torch.ones(shape, dtype=torch.long))
    with pytest.raises(ValueError, match="input_features must be"):
        model(features[..., :5])


def test_the_front_door_loads_ours_too(tmp_path: Path) -> None:
    ours = saved(tmp_path)
    loaded = inattention.from_pretrained(str(tmp_path))
    assert isinstance(loaded, inattention.AudioTransformer)
    assert loaded.config == ours.config


def test_folders_of_before_are_still_loaded(tmp_path: Path) -> None:
    ours = saved(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(ours.config.to_dict()))
    assert inattention.AudioTransformer.from_pretrained(tmp_path).config == ours.config


def test_gradient_checkpointing_changes_no_gradient(tmp_path: Path) -> None:
    ours = saved(tmp_path)
    features = torch.randn(1, 9, ours.config.input_size)
    gradients, runs = [], []
    for checkpointing in (False, True):
        model = transformers.AutoModel.from_pretrained(tmp_path).train()
        if checkpointing:
            # Its older name is deprecated.
            getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
        assert model.encoder.gradient_checkpointing == checkpointing
        counted = []
        model.encoder.layers[0].register_forward_pre_hook(lambda *_, counted=counted: counted.append(1))
        model(features).last_hidden_state.square().sum().backward()
        runs.append(len(counted))
        gradients.append([it.grad for it in model.parameters()])
    assert runs == [ours.config.layers, 2 * ours.config.layers]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_waveforms_may_be_lists_and_are_checked(tmp_path: Path) -> None:
    saved(tmp_path)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(tmp_path)
    one = extractor(wave().numpy(), return_tensors="np")["input_features"]
    assert np.array_equal(one, extractor([wave().tolist()], return_tensors="np")["input_features"])
    assert np.array_equal(one, extractor(wave().tolist(), 16_000, return_tensors="np")["input_features"])
    with pytest.raises(ValueError, match=r"waveform 0 .*extract takes any length"):
        extractor(wave(16_000 * 121).numpy())
    with pytest.raises(ValueError, match="waveform 1 of raw_speech: "):
        extractor([wave().numpy(), np.zeros(0)])
    for wrong in ("a.wav", None):
        with pytest.raises(ValueError, match="must be a waveform or a sequence of them, not"):
            extractor(wrong)


ORDERS = (
    "import inattention, transformers",
    "import transformers, inattention",
    "import transformers.pipelines, inattention",
)


@pytest.mark.slow
@pytest.mark.parametrize("imports", ORDERS)
def test_every_kind_of_folder_is_loaded_by_a_process_that_imported_only_both(imports: str, tmp_path: Path) -> None:
    saved(tmp_path / "ours")
    for name, model in (("whisper", whisper_model()), ("hubert", waveform_model("hubert"))):
        layers = (Replacement(row="toeplitz"),) * model.config.num_hidden_layers
        converted_copy(model, Conversion(layers=layers, max_length=60)).save_pretrained(tmp_path / name)
    program = f"""{imports}, sys
from transformers import AutoConfig, AutoModel
for name in ("ours", "whisper", "hubert"):
    folder = sys.argv[1] + "/" + name
    print(type(AutoModel.from_pretrained(folder)).__name__, AutoConfig.from_pretrained(folder).model_type)
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [line.split()[0] for line in done.stdout.splitlines()]
    assert found == ["InattentionModel", "InattentionWhisperModel", "InattentionHubertModel"]


def test_neither_package_imports_the_other_early() -> None:
    program = "import sys, inattention; assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
    program = """import sys, inattention, transformers
assert not {'inattention.encoders.converted', 'inattention.model.auto'} & set(sys.modules)"""
    subprocess.run([sys.executable, "-c", program], check=True)
