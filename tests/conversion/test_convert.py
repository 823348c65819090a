"""Conversion: input-independent encoders stay as they are; others lose queries and keys, and are distilled."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from inattention.conversion.config import ConversionConfig
from inattention.conversion.convert import convert
from inattention.conversion.derive import derive_maps, write_maps
from inattention.conversion.distillation import Distillation
from inattention.conversion.install import looks_at_input, student_of
from inattention.corpora.core.corpus import Corpus
from inattention.encoders.crops import crop_batches
from inattention.encoders.ours import EncoderSource
from inattention.model.transformer import AudioTransformer
from inattention.pretraining.stopping import RunError
from inattention.probing.config import ProbeConfig
from small_models import small_input, small_model
from speech import make_corpus

SETTINGS = ConversionConfig(
    utterances=8,
    held_out=4,
    crop_steps=20,
    steps=30,
    batch_size=4,
    learning_rate=3e-3,
    timing_rounds=1,
    probes=ProbeConfig(tasks=("speaker-utterance", "phone-1-hidden"), epochs=2, hidden_width=8, bootstrap_draws=10),
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus") / "tones", {"train": 10, "dev": 4, "test": 4})


@pytest.fixture(scope="module")
def teacher() -> AudioTransformer:
    return small_model(attention="qk", attention_options={"start": "identity", "gain": 2.0}, dropout=0.1)


@pytest.fixture(scope="module")
def converted(teacher: AudioTransformer, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("converted")
    convert(teacher, corpus, out, SETTINGS, progress=False)
    return out


@pytest.mark.parametrize(
    "attention", ["patterned", "synthesizer-random", "toeplitz", "uniform", "none", "fixed-encoder"]
)
def test_an_encoder_that_is_input_independent_already_gives_the_same_outputs(
    attention: str, corpus: Corpus, tmp_path: Path
) -> None:
    model = small_model(attention=attention)
    report = convert(model, corpus, tmp_path, SETTINGS, progress=False)
    assert report.input_independent_already
    assert "no output changes" in report.summary()
    features, valid = small_input(2, 30), torch.arange(30) < torch.tensor([30, 17])[:, None]
    with torch.no_grad():
        before = model(features, valid).last_hidden_state
        after = AudioTransformer.from_pretrained(tmp_path)(features, valid).last_hidden_state
    assert torch.equal(before, after)


@pytest.mark.parametrize("attention", ["qk", "shared-qk", "xbox", "synthesizer-dense"])
def test_attention_that_depends_on_the_input_is_recognised(attention: str) -> None:
    assert looks_at_input(small_model(attention=attention))


def test_query_key_heads_among_fixed_patterns_depend_on_the_input() -> None:
    assert looks_at_input(small_model(attention="fixed-encoder", attention_options={"learned": 1}))


def test_the_converted_encoder_has_no_queries_and_keys_and_needs_no_other_file(
    converted: Path, teacher: AudioTransformer, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("config.json", "model.safetensors"):
        (moved / name).write_bytes((converted / name).read_bytes())
    model = AudioTransformer.from_pretrained(moved)
    assert not any("query" in name or "key" in name for name in model.state_dict())
    assert not looks_at_input(model)
    assert model.config == replace(
        teacher.config, attention="patterned", attention_options={"init": "maps.safetensors"}, maps="per-layer"
    )


def test_distillation_lowers_the_error_of_hidden_states(converted: Path) -> None:
    record = json.loads((converted / "conversion.json").read_text())
    assert 0 < record["hidden_state_error"]["after"] < 0.95 * record["hidden_state_error"]["before"]


def test_the_record_contains_probes_times_and_parameters(converted: Path, teacher: AudioTransformer) -> None:
    record = json.loads((converted / "conversion.json").read_text())
    probes = record["probes"]
    assert list(probes) == ["untrained", "teacher", "converted", "distilled"]
    accuracy = {name: report["tasks"][1]["accuracy"] for name, report in probes.items()}
    gained = accuracy["teacher"] - accuracy["untrained"]
    share = (accuracy["distilled"] - accuracy["untrained"]) / gained if gained > 0 else None
    assert record["kept"]["distilled"]["phone-1-hidden"] == share
    assert record["parameters"]["before"]["attention"] == 2 * (24 * 24 + 24)
    assert record["parameters"]["after"]["attention"] == 2 * 12 * 48 * 48
    assert record["time"]["ratio"]["median"] > 0


def test_finished_parts_are_not_repeated_and_another_conversion_is_refused(
    converted: Path, teacher: AudioTransformer, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inattention.conversion import convert as conversion

    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("done again")

    for name in ("derive_maps", "fit", "probe", "measure_time"):
        monkeypatch.setattr(conversion, name, never)
    report = convert(teacher, corpus, converted, SETTINGS, progress=False)
    assert json.loads(json.dumps(report.to_dict())) == json.loads((converted / "conversion.json").read_text())
    with pytest.raises(RunError, match="another conversion"):
        convert(teacher, corpus, converted, replace(SETTINGS, steps=7), progress=False)
    with pytest.raises(RunError, match="another converted"):
        convert(small_model(attention="qk"), corpus, converted, SETTINGS, progress=False)


def test_a_stopped_distillation_resumes_to_the_same_result(
    converted: Path, teacher: AudioTransformer, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, calls = Distillation.forward, [0]

    def dying(self: Distillation, batch: object) -> object:
        calls[0] += self.training
        if calls[0] == 4:
            raise KeyboardInterrupt
        return forward(self, batch)

    settings = replace(SETTINGS, probed=False)
    monkeypatch.setattr("inattention.conversion.distillation.CHECKPOINT_MINUTES", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(Distillation, "forward", dying)
        with pytest.raises(BaseException):  # noqa: B017, PT011 - however Lightning passes an interrupt on
            convert(teacher, corpus, tmp_path, settings, progress=False)
    assert not (tmp_path / "model.safetensors").exists()
    calls[0] = 100
    convert(teacher, corpus, tmp_path, settings, progress=False)
    whole, pieced = (AudioTransformer.from_pretrained(folder).state_dict() for folder in (converted, tmp_path))
    assert all(torch.equal(whole[name], pieced[name]) for name in whole)


def test_a_student_is_the_teacher_except_for_its_attention(
    teacher: AudioTransformer, converted: Path, corpus: Corpus, tmp_path: Path
) -> None:
    student = student_of(teacher, converted / "maps.safetensors", "shared")
    state = teacher.state_dict()
    for name, tensor in student.state_dict().items():
        assert "mechanisms" in name or torch.equal(tensor, state[name])
    derived = derive_maps(teacher, corpus, crop_steps=48)
    write_maps(derived, tmp_path / "maps.safetensors")
    student = student_of(teacher, tmp_path / "maps.safetensors", "per-layer")
    uniform = AudioTransformer(replace(teacher.config, attention="uniform", attention_options={})).eval()
    uniform.load_state_dict({n: t for n, t in state.items() if "mechanisms" not in n})
    source = EncoderSource(teacher)
    (batch,) = crop_batches(source, corpus.cuts("test"), crop_steps=48, seed=0, skipped=[])
    with torch.no_grad():
        wanted, got, plain = (m(batch.inputs).last_hidden_state for m in (teacher, student, uniform))
    assert float((got - wanted).abs().mean()) < 0.95 * float((plain - wanted).abs().mean())
