import json
from collections.abc import Callable
from inspect import unwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import soundfile
import torch

from inattention import attention
from inattention.audio.frames import features
from inattention.audio.reader import AudioError, load_audio
from inattention.model.chunks import encode
from inattention.model.transformer import AudioTransformer, ModelFolderError
from small_models import SMALL_FEATURES, small_config, small_input, small_model

RATE = 16_000


def sound(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    return 0.3 * np.sin(2 * np.pi * (200 + 100 * time) * time) + 0.05 * draw.standard_normal(len(time))


def refuses(call: Callable[[], object], words: str, error: type[Exception] = ValueError) -> str:
    with pytest.raises(error, match=words) as caught:
        call()
    return str(caught.value)


def test_features_of_another_size_are_refused():
    refuses(lambda: small_model()(torch.zeros(1, 9, 47)), r"takes features of \(batch, time, 48\).*not of \(1, 9, 47\)")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((torch.zeros(9, 48),), r"not of \(9, 48\)"),
        ((torch.zeros(1, 9, 48), torch.ones(1, 8, dtype=torch.bool)), r"valid must be truth values of \(1, 9\)"),
        ((torch.zeros(1, 9, 48), torch.ones(1, 9)), "not torch.float32"),
    ],
)
def test_input_of_another_form_is_refused_where_nothing_checks_shapes(arguments: tuple[Any, ...], words: str):
    forward = unwrap(AudioTransformer.forward)  # as it is outside of tests
    refuses(lambda: forward(small_model(), *arguments), words)


def test_without_valid_all_steps_are():
    model, steps = small_model(), small_input(2, 9)
    valid = torch.ones(2, 9, dtype=torch.bool)
    assert torch.equal(model(steps).last_hidden_state, model(steps, valid).last_hidden_state)


@pytest.mark.parametrize("kind", [str, Path])
def test_extract_encodes_a_file_of_any_rate(tmp_path: Path, kind: Callable[[str], str | Path]):
    model, path = small_model(), tmp_path / "a.wav"
    soundfile.write(path, np.stack([sound(1.5, 44_100)] * 2, axis=1), 44_100)
    steps = features(load_audio(path, RATE), SMALL_FEATURES)
    extracted = model.extract(kind(str(path)))
    assert extracted.values.shape == (40, 24)
    torch.testing.assert_close(extracted.values, encode(model.encoder, [steps])[0])


@pytest.mark.parametrize("make", [torch.from_numpy, lambda x: torch.from_numpy(x).float(), np.asarray, np.float32])
def test_extract_takes_samples_with_their_rate(make: Callable[[np.ndarray], Any]):
    model, samples = small_model(), sound(1.5)
    expected = encode(model.encoder, [features(torch.from_numpy(samples).float(), SMALL_FEATURES)])[0]
    torch.testing.assert_close(model.extract(make(samples), sampling_rate=RATE).values, expected, atol=1e-4, rtol=0)


def test_extracted_features_know_their_times():
    extracted = small_model().extract(sound(1.5), sampling_rate=RATE)
    assert extracted.step_seconds == pytest.approx(0.0375)
    assert extracted.times.dtype == torch.float64
    expected = 0.0125 + 0.0375 * torch.arange(40, dtype=torch.float64)
    torch.testing.assert_close(extracted.times, expected)


def test_extract_gives_one_layer_or_all():
    model, samples = small_model(), sound(1.5)
    everything = model.extract(samples, sampling_rate=RATE, layer=None)
    assert everything.values.shape == (3, 40, 24)
    assert everything.times.shape == (40,)
    for layer in (0, 1, 2):
        one = model.extract(samples, sampling_rate=RATE, layer=layer).values
        torch.testing.assert_close(one, everything.values[layer])
    refuses(lambda: model.extract(samples, sampling_rate=RATE, layer=3), "no layer 3")


def test_extract_takes_audio_of_any_length():
    model, samples = small_model(max_length=20), sound(4.0)
    extracted = model.extract(samples, sampling_rate=RATE)
    assert extracted.values.shape == (107, 24)
    steps = features(torch.from_numpy(samples).float(), SMALL_FEATURES)
    first = model(steps[None, :20]).last_hidden_state[0]
    torch.testing.assert_close(extracted.values[:15], first[:15], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("samples", "rate", "words"),
    [
        (np.zeros(RATE), RATE, "the audio: is silent"),
        (np.full(RATE, 0.5), 44_100, "the audio: is silent"),
        (np.zeros(0), RATE, "the audio: holds no samples"),
        (np.full(RATE, np.nan), 8_000, "the audio: holds NaN"),
        (sound(0.01), RATE, "too short"),
        (sound(1.0), None, "need their sampling_rate"),
        (sound(1.0), 0, "must be 1000 to 768000 Hz, not 0"),
        (sound(1.0), -RATE, "not -16000"),
    ],
)
def test_samples_that_cannot_be_used_are_refused(samples: np.ndarray, rate: int | None, words: str):
    refuses(lambda: small_model().extract(samples, sampling_rate=rate), words)


@pytest.mark.parametrize("samples", [torch.zeros(2, RATE), torch.zeros(RATE, dtype=torch.int16)])
def test_samples_of_another_form_are_refused_where_nothing_checks_shapes(samples: torch.Tensor):
    extract = unwrap(AudioTransformer.extract)
    refuses(lambda: extract(small_model(), samples, sampling_rate=RATE), "one channel of floating-point numbers, not")


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path):
    for name, samples in {"silent": np.zeros(RATE), "short": sound(0.01), "empty": np.zeros(0)}.items():
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, samples, RATE)
        message = refuses(lambda path=path: small_model().extract(path), name, AudioError)
        assert message.startswith(f"{path}: ")
    refuses(lambda: small_model().extract(tmp_path / "none.wav"), "no such file", AudioError)
    refuses(lambda: small_model().extract(tmp_path / "short.wav", sampling_rate=RATE), "a file has its own")


@pytest.mark.parametrize("name", attention.mechanisms())
def test_a_saved_model_comes_back_the_same(tmp_path: Path, name: str):
    model = small_model(attention=name, share_layers=False, maps="per-layer", dropout=0.25)
    model.save_pretrained(tmp_path / "model")
    loaded = AudioTransformer.from_pretrained(tmp_path / "model")
    assert loaded.config == model.config
    assert not loaded.training
    steps, valid = small_input(2, 20), torch.arange(20) < torch.tensor([[20], [11]])
    with torch.no_grad():
        assert torch.equal(loaded(steps, valid).last_hidden_state, model(steps, valid).last_hidden_state)


def test_a_saved_model_brings_its_features(tmp_path: Path):
    small_model().save_pretrained(tmp_path)
    loaded = AudioTransformer.from_pretrained(str(tmp_path))
    assert loaded.config.features == SMALL_FEATURES
    samples = sound(1.0)
    one, two = (model.extract(samples, sampling_rate=RATE).values for model in (small_model(), loaded))
    assert torch.equal(one, two)


def test_saving_and_loading_prints_nothing_and_moves_no_random_state(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    model = small_model()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    model.save_pretrained(tmp_path)
    AudioTransformer.from_pretrained(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    assert capfd.readouterr() == ("", "")


def test_a_model_is_four_files(tmp_path: Path):
    small_model().save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    ]
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config.pop("model_type"), config.pop("architectures")) == ("inattention", ["InattentionModel"])
    assert config == small_config().to_dict()
    assert set(safetensors.torch.load_file(tmp_path / "model.safetensors")) == set(small_model().state_dict())


def test_saving_again_replaces_the_model_and_keeps_a_readme(tmp_path: Path):
    small_model(seed=0).save_pretrained(tmp_path)
    (tmp_path / "README.md").write_text("mine")
    other = small_model(seed=1)
    other.save_pretrained(tmp_path)
    loaded = AudioTransformer.from_pretrained(tmp_path)
    assert torch.equal(loaded.encoder.embed.weight, other.encoder.embed.weight)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_failed_save_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = small_model()
    model.save_pretrained(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_: object, **__: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("inattention.model.transformer.save", full)
    refuses(lambda: small_model(seed=1).save_pretrained(tmp_path), "No space left", OSError)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_options_of_pushing_need_a_push(tmp_path: Path):
    refuses(lambda: small_model().save_pretrained(tmp_path, private=True), r"\['private'\] go with push_to_hub")


def test_the_model_card_says_what_it_is_and_how_it_is_loaded(tmp_path: Path):
    model = small_model(attention="qk", attention_options={"start": "identity"}, share_layers=False)
    model.save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "inattention.AudioTransformer.from_pretrained(" in card
    for words in ("`qk`", "Vaswani", "`start='identity'`", "library_name: inattention", "24 numbers", "37.5 ms"):
        assert words in card
    assert f"{sum(p.numel() for p in model.parameters()):,}" in card
    assert str(tmp_path) not in card
    assert len(card.splitlines()) < 50


def folder_with(tmp_path: Path, **files: bytes | str) -> Path:
    small_model().save_pretrained(tmp_path)
    for name, content in files.items():
        path = tmp_path / {"config": "config.json", "weights": "model.safetensors"}[name]
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return tmp_path


def config_text(**settings: Any) -> str:
    return json.dumps({**small_config().to_dict(), **settings})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not a model's settings in JSON"),
        ("{", "not a model's settings in JSON"),
        (b"\xff\xfe\x00garbage", "not a model's settings in JSON"),
        ("[" * 100_000, "not a model's settings in JSON"),
        ('{"width": ' + "9" * 5_000 + "}", "not a model's settings in JSON"),
        (" " * 2**20 + "{}", "which no settings have"),
        ("[]", "expected settings by name, found list"),
        ("null", "expected settings by name, found NoneType"),
        ("3", "expected settings by name, found int"),
        (config_text(colour="red"), "no setting 'colour'"),
        (config_text(width="24"), "width must be a int"),
        (config_text(attention="patternd"), "perhaps 'patterned'"),
        (config_text(attention_options={"inti": "logits"}), "has no option 'inti'; perhaps 'init'"),
        (config_text(attention_options={"init": ["logits"]}), "init"),
        (config_text(features={"mels": 9}), "embed.weight is .24, 48., not .24, 54."),
        (config_text(width=48), "tensors are of another shape"),
        (config_text(width=1_200_000_000), "tensors are of another shape"),
        (config_text(max_length=10**7), "tensors are of another shape"),
        (config_text(feed_forward=10**12), "tensors are of another shape"),
        (config_text(layers=10**9), "layers must be at most"),
        (config_text(attention="qk"), "missing .*unknown"),
        (config_text(share_layers=False), "missing"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, content: str | bytes, words: str):
    folder = folder_with(tmp_path, config=content)
    message = refuses(lambda: AudioTransformer.from_pretrained(folder), words, ModelFolderError)
    assert str(folder) in message
    assert "\n" not in message
    assert len(message) < 1_000


def test_weights_that_are_no_whole_safetensors_are_refused(tmp_path: Path):
    whole = (folder_with(tmp_path) / "model.safetensors").read_bytes()
    for content in (b"", b"junk", whole[:-1], whole[: len(whole) // 2], b"\xff" * 100, b"\x80\x02}q\x00."):
        folder = folder_with(tmp_path, weights=content)
        message = refuses(lambda folder=folder: AudioTransformer.from_pretrained(folder), "damaged", ModelFolderError)
        assert str(folder / "model.safetensors") in message
        assert "\n" not in message


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file_is_refused(tmp_path: Path, missing: str):
    (folder_with(tmp_path) / missing).unlink()
    refuses(lambda: AudioTransformer.from_pretrained(tmp_path), f"holds no {missing}", ModelFolderError)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("model.safetensors", POINTER, "is a Git LFS pointer .* `git lfs pull`"),
        ("config.json", POINTER, "is a Git LFS pointer .* `git lfs pull`"),
        ("model.safetensors", "Entry not found", "is no safetensors file but 15 bytes of text"),
        ("model.safetensors", "<html>no</html>", "is a web page"),
    ],
)
def test_a_text_in_the_place_of_a_file_is_named(tmp_path: Path, file: str, content: str, words: str):
    (folder_with(tmp_path) / file).write_text(content)
    refuses(lambda: AudioTransformer.from_pretrained(tmp_path), words, ModelFolderError)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_link_that_leads_nowhere_is_named(tmp_path: Path, file: str):
    (folder_with(tmp_path) / file).unlink()
    (tmp_path / file).symlink_to("../blobs/1234")
    words = f"{file}: is a link to ../blobs/1234, which does not exist"
    refuses(lambda: AudioTransformer.from_pretrained(tmp_path), words, ModelFolderError)


def test_pickled_weights_are_never_read(tmp_path: Path):
    (folder_with(tmp_path) / "model.safetensors").unlink()
    torch.save(small_model().state_dict(), tmp_path / "pytorch_model.bin")
    message = refuses(lambda: AudioTransformer.from_pretrained(tmp_path), "holds no model.safet", ModelFolderError)
    assert "pickles such as .bin" in message


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("./nowhere", "there is no such folder"),
        ("/no/where", "there is no such folder"),
        ("", "there is no such folder"),
        ("mistyped", "there is no such folder"),
        ("a/b/c", "there is no such folder"),
        (
            "some/model",
            "is no folder, and no config.json was found on the hub or in its cache .*; .* `hf download some/model`",
        ),
        (__file__, "is a file; give the folder"),
    ],
)
def test_a_name_that_is_no_model_is_refused(name: str, words: str):
    message = refuses(lambda: AudioTransformer.from_pretrained(name), words, ModelFolderError)
    assert "\n" not in message


def test_options_that_loading_does_not_have_are_refused(tmp_path: Path):
    folder = folder_with(tmp_path)
    refuses(lambda: AudioTransformer.from_pretrained(folder, width=48), r"unknown options \['width'\]")
