"""Conversion of trained encoders: what is replaced, distilled, saved and loaded again."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

transformers = pytest.importorskip("transformers")

import inattention  # noqa: E402
from inattention.cli.convert import open_speech  # noqa: E402
from inattention.conversion.trained.config import TrainedConversionConfig  # noqa: E402
from inattention.conversion.trained.convert import Speech, convert_trained  # noqa: E402
from inattention.conversion.trained.distillation import Distillation  # noqa: E402
from inattention.conversion.trained.setup import plan_conversion, task_of  # noqa: E402
from inattention.conversion.trained.speech import Examples  # noqa: E402
from inattention.conversion.trained.whisper import WhisperTask  # noqa: E402
from inattention.encoders.converted import converted_copy  # noqa: E402
from inattention.encoders.trained import load_trained  # noqa: E402
from inattention.pretraining.stopping import RunError, RunStopped  # noqa: E402

SHORT = {
    "steps": 4, "held_out": 3, "start_windows": 2, "examples": 6, "accumulate": 2, "learning_rate": 1e-3,
    "head_report": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def speech(recordings: Path) -> Speech:
    return open_speech(recordings, None)


def config(**settings: object) -> TrainedConversionConfig:
    return TrainedConversionConfig(**{**SHORT, **settings})  # ty: ignore[invalid-argument-type]


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_a_converted_whisper_is_loaded_equal_by_every_front_door(
    whisper_folder: Path, speech: Speech, tmp_path: Path
) -> None:
    convert_trained(str(whisper_folder), speech, tmp_path, config(), progress=False)
    mel = torch.randn(1, 80, 200, generator=torch.Generator().manual_seed(0))
    ids = torch.tensor([[257, 258, 65]])
    ours = inattention.from_pretrained(str(tmp_path))
    auto = transformers.AutoModelForSpeechSeq2Seq.from_pretrained(tmp_path)
    again = load_trained(str(tmp_path)).model
    expected = ours(mel, decoder_input_ids=ids).logits
    assert torch.equal(auto(mel, decoder_input_ids=ids).logits, expected)
    assert torch.equal(again(mel, decoder_input_ids=ids).logits, expected)
    assert ours.generate(mel, max_new_tokens=4).shape[0] == 1
    # Folders are given to others: their records have no path of this machine.
    assert json.loads((tmp_path / "conversion.json").read_text())["teacher"]["name"] == whisper_folder.name


def test_a_pipeline_transcribes_with_a_converted_whisper(whisper_folder: Path, speech: Speech, tmp_path: Path) -> None:
    convert_trained(str(whisper_folder), speech, tmp_path, config(steps=1), progress=False)
    pipeline = transformers.pipeline("automatic-speech-recognition", model=str(tmp_path))
    assert pipeline.type == "seq2seq_whisper"
    heard = pipeline(
        {"raw": torch.randn(16_000).numpy(), "sampling_rate": 16_000}, generate_kwargs={"max_new_tokens": 3}
    )
    assert isinstance(heard["text"], str)


def test_transformers_alone_refuses_a_converted_folder(whisper_folder: Path, speech: Speech, tmp_path: Path) -> None:
    convert_trained(str(whisper_folder), speech, tmp_path, config(steps=1), progress=False)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "inattention-whisper"


def test_distillation_reduces_the_error_of_a_fresh_start(whisper_folder: Path, speech: Speech, tmp_path: Path) -> None:
    settings = config(to="toeplitz@table@fresh", steps=30, learning_rate=3e-3, lengths="30")
    error = convert_trained(str(whisper_folder), speech, tmp_path, settings, progress=False).record["relative_error"]
    assert error["after"] < 0.7 * error["start"]


@pytest.mark.parametrize("row", ["qk", "qk@toeplitz"])
def test_query_key_attention_starts_as_the_teacher(
    row: str, whisper_folder: Path, speech: Speech, tmp_path: Path
) -> None:
    settings = config(to=row, steps=1, lengths="30")
    error = convert_trained(str(whisper_folder), speech, tmp_path, settings, progress=False).record["relative_error"]
    assert error["start"] < 1e-5


@pytest.mark.parametrize("row", ["toeplitz@table", "toeplitz", "patterned", "synthesizer-random"])
def test_fixed_maps_start_nearer_to_the_teacher_than_in_a_new_encoder(
    row: str, whisper_folder: Path, speech: Speech, tmp_path: Path
) -> None:
    derived, fresh = (
        convert_trained(
            str(whisper_folder), speech, tmp_path / str(number), config(to=to, minutes=0, steps=0), progress=False
        ).record["relative_error"]["start"]
        for number, to in enumerate((row, f"{row}@fresh"))
    )
    assert derived < fresh


@pytest.mark.parametrize(
    "to", ["uniform", "none", "local", "shared-qk", "simple-lsh", "synthesizer-dense", "sparse-fixed"]
)
def test_every_kind_of_mechanism_can_replace_the_attention(
    to: str, whisper_folder: Path, speech: Speech, tmp_path: Path
) -> None:
    report = convert_trained(str(whisper_folder), speech, tmp_path, config(to=to, steps=1), progress=False)
    assert report.record["converted_layers"] == 2
    assert report.record["relative_error"]["after"] > 0


def test_single_layers_and_heads_are_replaced_and_the_others_kept(
    whisper_folder: Path, speech: Speech, tmp_path: Path
) -> None:
    report = convert_trained(
        str(whisper_folder), speech, tmp_path, config(layers="1", heads="0,2", steps=1), progress=False
    )
    assert report.record["conversion"]["layers"] == [None, {"row": "toeplitz@table", "heads": [0, 2]}]
    assert "model.encoder.layers.0.self_attn.q_proj.weight" in load_trained(str(tmp_path)).model.state_dict()


def test_kept_heads_are_the_teachers(whisper_folder: Path) -> None:
    from inattention.encoders.attention_handles import attention_handles
    from inattention.encoders.converted import converted_copy
    from inattention.encoders.converted_attention import Conversion, Replacement

    teacher = load_trained(str(whisper_folder)).model
    layers = (Replacement(row="uniform", heads=(1,)), None)
    student = converted_copy(teacher, Conversion(layers=layers, max_length=100))
    hidden = torch.randn(1, 9, 32)
    new, old = (attention_handles(it)[0].module for it in (student, teacher))
    from inattention.conversion.trained.starts import teacher_maps

    mine, its = new.weights(hidden), teacher_maps(old, hidden)
    assert torch.allclose(mine[:, [0, 2, 3]], its[:, [0, 2, 3]], atol=1e-6)
    assert torch.allclose(mine[:, 1], torch.full((1, 9, 9), 1 / 9))
    output = new(hidden)[0]
    values = old.v_proj(hidden).unflatten(-1, (4, 8)).transpose(1, 2)
    assert torch.allclose(output, old.out_proj((mine @ values).transpose(1, 2).flatten(2)), atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_stopped_conversion_resumes_to_the_same_bits(
    precision: str, whisper_folder: Path, speech: Speech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts, settings = tmp_path / "whole", tmp_path / "parts", config(precision=precision)
    convert_trained(str(whisper_folder), speech, whole, settings, progress=False)
    step, count = Distillation._step, []

    def stopping(self: Distillation, *arguments: object) -> dict[str, float]:
        count.append(1)
        if len(count) in (1, 3):
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, *arguments)  # ty: ignore[invalid-argument-type]

    monkeypatch.setattr(Distillation, "_step", stopping)
    for _ in range(2):
        with pytest.raises(RunStopped, match="resumes"):
            convert_trained(str(whisper_folder), speech, parts, settings, progress=False)
    convert_trained(str(whisper_folder), speech, parts, settings, progress=False)
    assert weights(whole) == weights(parts)


def test_the_decoder_is_in_the_loop_of_the_last_steps_alone(
    whisper_folder: Path, speech: Speech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, seen = WhisperTask.loss, []

    def watched(*arguments: Any, decoder: bool) -> Any:
        seen.append(decoder)
        return whole(*arguments, decoder=decoder)

    monkeypatch.setattr(WhisperTask, "loss", watched)
    settings = config(steps=4, hidden_fraction=0.75, accumulate=2)
    report = convert_trained(str(whisper_folder), speech, tmp_path / "some", settings, progress=False)
    assert seen == [False] * 6 + [True] * 2
    assert ["tokens" in point for point in report.record["curve"]] == [False, False, False, True]
    before = load_file(whisper_folder / "model.safetensors")
    decoder = [name for name in before if "decoder.layers" in name]
    changed = load_file(tmp_path / "some" / "model.safetensors")
    assert any(not torch.equal(before[name], changed[name]) for name in decoder)
    convert_trained(str(whisper_folder), speech, tmp_path / "none", config(hidden_fraction=1.0), progress=False)
    kept = load_file(tmp_path / "none" / "model.safetensors")
    assert all(torch.equal(before[name], kept[name]) for name in decoder)


def test_folders_from_before_a_setting_existed_are_their_own() -> None:
    before = config(hidden_fraction=0.0, token_weight=1.0).identity()
    assert not {"hidden_fraction", "token_weight", "precision"} & set(before)
    assert {"hidden_fraction", "token_weight"} < set(config().identity())
    assert not {"hidden_fraction", "token_weight"} & set(config().identity(decoder=False))
    with pytest.raises(ValueError, match="between 0 and 1"):
        config(hidden_fraction=1.5)
    with pytest.raises(ValueError, match="token_weight"):
        config(token_weight=-1.0)


def test_the_divergence_of_tokens_has_its_weight(whisper_folder: Path, speech: Speech) -> None:
    teacher = load_trained(str(whisper_folder))
    student = converted_copy(teacher.model, plan_conversion(teacher.model, config(to="none")))
    example = Examples(speech.train, 0, "own")[0]
    losses = {}
    for weight in (0.0, 0.05, 1.0):
        task = task_of(teacher, config(token_weight=weight))
        losses[weight] = task.loss(student, example, task.teacher_outputs(example))
    parts = losses[1.0].parts
    for weight, loss in losses.items():
        assert loss.parts == parts
        assert float(loss.total.detach()) == pytest.approx(parts["hidden"] + weight * parts["tokens"])
    assert parts["tokens"] > 0


def test_another_conversion_in_the_same_folder_is_refused(whisper_folder: Path, speech: Speech, tmp_path: Path) -> None:
    convert_trained(str(whisper_folder), speech, tmp_path, config(steps=1), progress=False)
    with pytest.raises(RunError, match="another conversion"):
        convert_trained(str(whisper_folder), speech, tmp_path, config(steps=1, to="uniform"), progress=False)


def test_minutes_become_a_number_of_steps_that_is_kept(whisper_folder: Path, speech: Speech, tmp_path: Path) -> None:
    settings = config(steps=0, examples=0, minutes=0.02)
    record = convert_trained(str(whisper_folder), speech, tmp_path, settings, progress=False).record
    assert record["steps"] >= 1
    assert json.loads((tmp_path / "distillation" / "plan.json").read_text())["steps"] == record["steps"]


def test_hubert_is_converted_distilled_and_loaded_equal(hubert_folder: Path, speech: Speech, tmp_path: Path) -> None:
    settings = config(to="toeplitz", steps=10, learning_rate=3e-3)
    error = convert_trained(str(hubert_folder), speech, tmp_path, settings, progress=False).record["relative_error"]
    assert error["after"] < error["start"]
    wave, mask = torch.randn(2, 4000), torch.ones(2, 4000, dtype=torch.long)
    mask[1, 2500:] = 0
    one, other = transformers.AutoModel.from_pretrained(tmp_path), inattention.from_pretrained(str(tmp_path))
    expected = one(wave, attention_mask=mask).last_hidden_state
    assert torch.equal(other(wave, attention_mask=mask).last_hidden_state, expected)
    alone = one(wave[1:, :2500]).last_hidden_state
    assert torch.allclose(expected[1, : alone.shape[1]], alone[0], atol=1e-4)


def test_wavlm_is_refused_by_name(speech: Speech, tmp_path: Path) -> None:
    folder, out = tmp_path / "wavlm", tmp_path / "out"
    wavlm = transformers.WavLMConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=48, conv_dim=(16,),
        conv_kernel=(10,), conv_stride=(10,), num_feat_extract_layers=1,
    )  # fmt: skip
    transformers.WavLMModel(wavlm).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    with pytest.raises(ValueError, match=r"wavlm.*position bias"):
        convert_trained(str(folder), speech, out, config(), progress=False)
    assert not out.exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": "5"}, "layers 0 to 1"),
        ({"heads": "0,9"}, "heads 0 to 3"),
        ({"to": "qk", "heads": "0"}, "single heads"),
        ({"to": "toeplits"}, "toeplitz"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_written(
    settings: dict[str, str], message: str, whisper_folder: Path, speech: Speech, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        convert_trained(str(whisper_folder), speech, tmp_path / "out", config(**settings), progress=False)
    assert not (tmp_path / "out").exists()


def test_a_converted_folder_is_converted_further(whisper_folder: Path, speech: Speech, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    convert_trained(str(whisper_folder), speech, first, config(layers="1", steps=1), progress=False)
    report = convert_trained(str(first), speech, second, config(to="toeplitz", layers="0", steps=1), progress=False)
    rows = [layer["row"] for layer in load_trained(str(second)).model.config.inattention["layers"]]
    assert rows == ["toeplitz", "toeplitz@table"]
    assert report.record["relative_error"]["start"] > 0


def test_a_folder_that_lacks_weights_is_refused_and_not_filled_with_random_ones(
    whisper_folder: Path, speech: Speech, tmp_path: Path
) -> None:
    folder, out = tmp_path / "whisper", tmp_path / "out"
    shutil.copytree(whisper_folder, folder)
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.encoder.layers.1.self_attn.q_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"1 weights are missing, such as model\.encoder\.layers\.1"):
        convert_trained(str(folder), speech, out, config(), progress=False)
    assert not out.exists()


@pytest.mark.parametrize("family", ["Wav2Vec2", "Data2VecAudio", "UniSpeech", "UniSpeechSat"])
def test_every_family_of_waveform_encoders_is_converted_and_loaded_equal(
    family: str, speech: Speech, tmp_path: Path
) -> None:
    folder, out = tmp_path / "teacher", tmp_path / "out"
    encoder = getattr(transformers, f"{family}Config")(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, conv_dim=(16, 16),
        conv_kernel=(20, 16), conv_stride=(20, 16), num_feat_extract_layers=2, num_conv_pos_embeddings=9,
        num_conv_pos_embedding_groups=2, feat_extract_norm="layer",
    )  # fmt: skip
    getattr(transformers, f"{family}Model")(encoder).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    report = convert_trained(str(folder), speech, out, config(steps=1), progress=False)
    assert report.record["converted_layers"] == 2
    wave = torch.randn(1, 4000)
    one, other = inattention.from_pretrained(str(out)), transformers.AutoModel.from_pretrained(out)
    assert type(one).__name__ == f"Inattention{family}Model"
    assert torch.equal(one(wave).last_hidden_state, other(wave).last_hidden_state)
