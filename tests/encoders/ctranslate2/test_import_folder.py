"""Whisper folders of CTranslate2 become Hugging Face folders that `transformers` takes as they are."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inattention.cli import main
from inattention.encoders.ctranslate2.import_folder import import_whisper
from inattention.encoders.ctranslate2.model_file import CTranslate2Error, parse_model_file
from inattention.encoders.ctranslate2.whisper_weights import whisper_weights
from made_ctranslate2 import QUANTISED, model_bin, random_whisper, variables_of, write_ctranslate2

transformers = pytest.importorskip("transformers")

WEIGHTS = "INATTENTION_WEIGHTS"


@pytest.fixture(scope="module")
def original() -> Any:
    return random_whisper()


@pytest.fixture
def folder(tmp_path: Path, original: Any) -> Path:
    return write_ctranslate2(tmp_path / "ct2", original)


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16", "int8", "int16"])
def test_weights_of_every_type_are_those_of_the_original(kind: str, original: Any) -> None:
    sizes, state = whisper_weights(parse_model_file(model_bin(variables_of(original, kind))))
    assert (sizes.encoder_layers, sizes.decoder_layers, sizes.encoder_heads, sizes.decoder_heads) == (2, 1, 2, 4)
    expected = original.state_dict()
    assert state.keys() == expected.keys()
    for name, values in expected.items():
        step = values.abs().max() / 127 if kind in QUANTISED else 0  # one step of a quantised row is at most this
        digits = {"float32": 0, "float16": 1e-3, "bfloat16": 8e-3}.get(kind, 1e-6)
        torch.testing.assert_close(
            state[name], values, rtol=digits, atol=0.51 * float(step) + 1e-7, msg=f"{name}\n{{}}".format
        )


def test_the_folder_gives_the_output_of_the_original(folder: Path, tmp_path: Path, original: Any) -> None:
    imported = import_whisper(folder, tmp_path / "hf")
    loaded = transformers.WhisperForConditionalGeneration.from_pretrained(imported.folder).eval()
    generator = torch.Generator().manual_seed(1)
    inputs = {
        "input_features": torch.randn(2, 8, 100, generator=generator),
        "decoder_input_ids": torch.randint(320, (2, 5), generator=generator),
    }
    with torch.no_grad():
        assert torch.equal(loaded(**inputs).logits, original(**inputs).logits)
    assert loaded.proj_out.weight is loaded.model.decoder.embed_tokens.weight


def test_generation_of_an_english_model(folder: Path, tmp_path: Path) -> None:
    import_whisper(folder, tmp_path / "hf")
    config = transformers.GenerationConfig.from_pretrained(tmp_path / "hf")
    assert (config.eos_token_id, config.pad_token_id) == (300, 300)
    assert (config.decoder_start_token_id, config.no_timestamps_token_id, config.prev_sot_token_id) == (301, 310, 308)
    assert not config.is_multilingual
    assert config.suppress_tokens == [1, 7, 301]
    assert config.begin_suppress_tokens == [220, 300]
    assert config.alignment_heads == [[0, 1], [0, 3]]


def test_generation_of_a_multilingual_model_knows_languages_and_tasks(tmp_path: Path) -> None:
    # Multilingual models are told from English ones by the number of tokens, hence a large vocabulary.
    model = random_whisper(vocabulary=51_865, d_model=8, encoder_attention_heads=1, decoder_attention_heads=4)
    imported = import_whisper(write_ctranslate2(tmp_path / "ct2", model, words=50_257), tmp_path / "hf")
    config = transformers.GenerationConfig.from_pretrained(tmp_path / "hf")
    assert imported.multilingual
    assert config.is_multilingual
    assert config.lang_to_id == {"<|en|>": 50_259, "<|de|>": 50_260, "<|iw|>": 50_261, "<|he|>": 50_261}
    assert config.task_to_id == {"transcribe": 50_263, "translate": 50_262}
    assert (config.bos_token_id, config.eos_token_id, config.decoder_start_token_id) == (50_257, 50_257, 50_258)
    loaded = transformers.WhisperForConditionalGeneration.from_pretrained(imported.folder).eval()
    prompts: list[list[int]] = []
    loaded.model.decoder.register_forward_pre_hook(
        lambda _module, _args, kwargs: prompts.append(kwargs["input_ids"][0].tolist()), with_kwargs=True
    )
    loaded.generate(torch.randn(1, 8, 100), max_new_tokens=1)
    language = prompts[-1][1]  # detected
    assert prompts == [[50_258], [50_258, language, 50_263, 50_267]]
    loaded.generate(torch.randn(1, 8, 100), language="he", task="translate", max_new_tokens=1)
    assert prompts[-1] == [50_258, 50_261, 50_262, 50_267]


def test_pipeline_and_processor_take_the_folder(tmp_path: Path) -> None:
    model = random_whisper(num_mel_bins=80, max_source_positions=1500)
    import_whisper(write_ctranslate2(tmp_path / "ct2", model), tmp_path / "hf")
    recognise = transformers.pipeline("automatic-speech-recognition", model=str(tmp_path / "hf"), device="cpu")
    text = recognise(np.zeros(16_000, np.float32), generate_kwargs={"max_new_tokens": 4})["text"]
    assert isinstance(text, str)
    tokenizer = transformers.AutoProcessor.from_pretrained(tmp_path / "hf").tokenizer
    assert tokenizer.decode(tokenizer(" naïve 12").input_ids, skip_special_tokens=True) == " naïve 12"
    assert tokenizer.pad_token_id == 300


def test_the_tokens_of_timestamps_are_added(tmp_path: Path) -> None:
    model = random_whisper(vocabulary=311 + 1501)
    import_whisper(write_ctranslate2(tmp_path / "ct2", model), tmp_path / "hf")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert tokenizer.convert_tokens_to_ids(["<|0.00|>", "<|30.00|>"]) == [311, 1811]
    assert tokenizer.decode([311, 64, 321], skip_special_tokens=True) == tokenizer.decode([64])


def spoil(folder: Path, **changes: Any) -> None:
    """Replace variables of `model.bin`; None removes one."""
    variables = variables_of(random_whisper())
    for name, value in changes.items():
        if value is None:
            del variables[name]
        else:
            variables[name] = value
    aliases = {} if "decoder/projection/weight" in variables else None
    (folder / "model.bin").write_bytes(model_bin(variables, aliases=aliases))


def floats(*shape: int, value: float = 1.0) -> tuple[str, np.ndarray]:
    return "float32", np.full(shape, value, np.float32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder/layer_1/ffn/linear_0/bias": None}, "no variable encoder/layer_1/ffn/linear_0/bias"),
        ({"encoder/layer_norm/gamma": floats(15)}, r"layer_norm/gamma of shape \(15,\); \(16,\) was expected"),
        ({"encoder/layer_norm/gamma": floats(16, value=float("nan"))}, "contains NaN"),
        ({"encoder/layer_3/ffn/linear_0/bias": floats(24)}, r"encoder layers \[0, 1, 3\]"),
        ({"encoder/num_heads": ("int16", np.asarray(3, np.int16))}, "num_heads = 3"),
        ({"decoder/activation": ("int8", np.asarray(0, np.int8))}, "decoder/activation = 0; Whisper has 3"),
        ({"decoder/scale_alibi": ("int8", np.asarray(1, np.int8))}, "1 variables .* such as decoder/scale_alibi"),
        ({"encoder/layer_0/self_attention/relative_position_keys": floats(3, 8)}, "1 variables that Whisper has not"),
        ({"encoder/layer_0/self_attention/linear_0/bias": floats(48)}, "bias of keys"),
        ({"decoder/projection/weight": floats(320, 16)}, "other values in decoder/projection/weight"),
        ({"encoder/conv1/weight": ("int8", np.ones((16, 8, 3), np.int8))}, "no variable encoder/conv1/weight_scale"),
    ],
)
def test_weights_that_are_not_whispers_are_refused_by_name(
    changes: dict[str, Any], message: str, folder: Path, tmp_path: Path
) -> None:
    spoil(folder, **changes)
    with pytest.raises(CTranslate2Error, match=message):
        import_whisper(folder, tmp_path / "hf")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ct2"]


def test_other_models_are_refused(original: Any) -> None:
    with pytest.raises(CTranslate2Error, match="kind 'Wav2Vec2Spec'; only Whisper"):
        whisper_weights(parse_model_file(model_bin(variables_of(original), specification="Wav2Vec2Spec")))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", None, "no tokenizer.json; copy"),
        ("tokenizer.json", "{}", "tokenizer.json: is not a tokenizer"),
        ("tokenizer.json", "[" * 100_000, "tokenizer.json: is not valid JSON"),
        ("config.json", "[]", "config.json: is not a JSON object"),
        ("config.json", '{"suppress_ids": "all"}', "suppress_ids is not a list of token ids"),
        ("config.json", '{"suppress_ids": [320]}', "suppress_ids has 320; there are 320"),
        ("config.json", '{"alignment_heads": [[0, 4]]}', "a head that the decoder has not"),
        ("config.json", '{"alignment_heads": [[0, 4, 1]]}', "not a list of pairs"),
        ("model.bin", None, "contains no model.bin"),
    ],
)
def test_a_folder_with_unusable_files_is_refused_with_the_file(
    name: str, content: str | None, message: str, folder: Path, tmp_path: Path
) -> None:
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    with pytest.raises(CTranslate2Error, match=message):
        import_whisper(folder, tmp_path / "hf")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ct2"]


def test_a_tokenizer_of_more_tokens_than_the_model_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copy(write_ctranslate2(tmp_path / "larger", random_whisper(), words=400) / "tokenizer.json", folder)
    with pytest.raises(CTranslate2Error, match=r"tokenizer.json has the token 410, model.bin has 320 tokens"):
        import_whisper(folder, tmp_path / "hf")


def test_the_command_imports_and_never_replaces(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["encoders", "import", str(folder), "--out", str(tmp_path / "models" / "hf")]
    assert main(command) == 0
    assert "2 encoder and 1 decoder layers, width 16, 2 heads" in capsys.readouterr().out
    assert main(command) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["encoders", "imprt"]) == 2
    assert "import" in capsys.readouterr().err
    assert main(["encoders", "--help"]) == 0
    assert "inattention encoders import" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(WEIGHTS not in os.environ, reason=f"{WEIGHTS} names no folder of real models (recipes/whisper)")
def test_real_weights_transcribe() -> None:
    folder = Path(os.environ[WEIGHTS]) / "whisper-tiny.en"
    assert json.loads((folder / "generation_config.json").read_text())["no_timestamps_token_id"] == 50_362
    model = transformers.WhisperForConditionalGeneration.from_pretrained(folder).eval()
    features = transformers.WhisperFeatureExtractor.from_pretrained(folder)
    silence = features(np.zeros(16_000, np.float32), sampling_rate=16_000, return_tensors="pt").input_features
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer.decode(model.generate(silence, max_new_tokens=20)[0], skip_special_tokens=True)) < 60
