"""Fingerprints hash what results depend on, under names of their own, and nothing else."""

from dataclasses import asdict, fields, make_dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import inattention
from inattention import attention
from inattention.audio.config import FeatureConfig
from inattention.corpora.core.corpus import Corpus
from inattention.model.config import AudioTransformerConfig
from inattention.probing.config import ProbeConfig
from inattention.study.planning import fingerprint as module
from inattention.study.planning.config import StudyConfig
from inattention.study.planning.fingerprint import NAMES, NOT_HASHED, fingerprint, mechanism_meaning, settings
from inattention.study.planning.plan import make_plan, parse_config
from inattention.timing.config import TimingConfig

CORPUS = Corpus(Path("nowhere"), {"name": "made-up", "key": "0123456789abcdef"})
CONFIG = StudyConfig(rows=("mel", "qk", "patterned@logits", "none@untrained"), timed=False)


def prints(config: StudyConfig, kind: str = "", corpus: Corpus = CORPUS) -> set[str]:
    return {job.id.fingerprint for job in make_plan(parse_config(config), corpus).jobs if kind in ("", job.id.kind)}


def test_known_results_are_found_by_later_versions() -> None:
    """If this fails, read the rules in `fingerprint.py`: only a raised revision may change these."""
    found = {job.id.title: job.id.fingerprint for job in make_plan(parse_config(CONFIG), CORPUS).jobs}
    assert found == {
        "baseline": "cf0b52f3f144",
        "probe mel-0": "46272da74e38",
        "pretrain qk-0": "c9cf6211b61f",
        "probe qk-0": "e65b235d9ef7",
        "pretrain patterned@logits-0": "cebe89a54bc9",
        "probe patterned@logits-0": "3901f4f23e53",
        "pretrain none@untrained-0": "77096daf9dcf",
        "probe none@untrained-0": "cffe3aae2a99",
    }


def test_mixed_precision_has_a_revision_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = replace(CONFIG, training=replace(CONFIG.training, precision="bf16-mixed"))
    whole_before, mixed_before = prints(CONFIG), prints(mixed, "pretrain")
    monkeypatch.setattr(module, "MIXED_PRECISION", module.MIXED_PRECISION + 1)
    assert prints(CONFIG) == whole_before
    assert not prints(mixed, "pretrain") & mixed_before


def test_a_new_version_finds_everything_again(monkeypatch: pytest.MonkeyPatch) -> None:
    before = prints(CONFIG)
    monkeypatch.setattr(inattention, "__version__", "99.0")
    assert prints(CONFIG) == before


def test_a_renamed_field_finds_everything_again(monkeypatch: pytest.MonkeyPatch) -> None:
    probes = ProbeConfig(hidden_width=123)
    renamed = {("units" if name == "hidden_width" else name): value for name, value in asdict(probes).items()}
    after = make_dataclass("Renamed", list(renamed))(**renamed)
    before = settings("probes", probes)
    monkeypatch.setitem(NAMES["probes"], "hidden_width", "units")
    assert settings("probes", after) == before


def test_a_setting_or_option_added_later_counts_where_it_changes_something(monkeypatch: pytest.MonkeyPatch) -> None:
    old = settings("probes", ProbeConfig())
    del old["averaging"]
    monkeypatch.setitem(module.ADDED_LATER, "probes.averaging", 0.98)
    assert settings("probes", ProbeConfig()) == old
    assert settings("probes", ProbeConfig(averaging=0.5)) == {**old, "averaging": 0.5}
    assert "start" in mechanism_meaning("qk", {})["options"]
    monkeypatch.setitem(module.ADDED_LATER, "qk.start", attention.options_of("qk")["start"])
    assert "start" not in mechanism_meaning("qk", {})["options"]
    assert mechanism_meaning("qk", {"start": "identity"})["options"]["start"] == "identity"


def test_every_setting_is_hashed_or_named_as_one_that_changes_no_numbers() -> None:
    for name, of in (
        ("features", FeatureConfig),
        ("model", AudioTransformerConfig),
        ("probes", ProbeConfig),
        ("timing", TimingConfig),
    ):
        assert {*NAMES[name].values(), *NOT_HASHED[name]} == {field.name for field in fields(of)}, name


def test_a_raised_revision_redoes_its_kind_and_what_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {kind: prints(CONFIG, kind) for kind in ("baseline", "pretrain", "probe")}
    monkeypatch.setitem(module.REVISIONS, "pretrain", 2)
    assert prints(CONFIG, "baseline") == before["baseline"]
    assert not prints(CONFIG, "pretrain") & before["pretrain"]
    mel = prints(replace(CONFIG, rows=("mel",)), "probe")
    assert prints(CONFIG, "probe") & before["probe"] == mel


def test_fingerprints_depend_on_what_results_depend_on_and_on_nothing_else() -> None:
    longer = replace(CONFIG, training=replace(CONFIG.training, steps=5))
    untrained = prints(replace(CONFIG, rows=("none@untrained",)), "pretrain")
    assert prints(CONFIG, "pretrain") & prints(longer, "pretrain") == untrained
    assert prints(CONFIG, "baseline") == prints(longer, "baseline")
    probed = replace(CONFIG, probes=replace(CONFIG.probes, epochs=3))
    assert prints(probed, "pretrain") == prints(CONFIG, "pretrain")
    assert not prints(probed, "probe") & prints(CONFIG, "probe")
    elsewhere = replace(CONFIG, training=replace(CONFIG.training, workers=3, checkpoint_minutes=9.0))
    assert prints(elsewhere) == prints(CONFIG)
    assert prints(CONFIG, "pretrain") < prints(replace(CONFIG, seeds=(0, 1)), "pretrain")
    other = Corpus(Path("nowhere"), {"name": "made-up", "key": "another"})
    assert not prints(CONFIG, corpus=other) & prints(CONFIG)


def test_numbers_of_either_type_are_alike_and_kinds_are_not() -> None:
    assert fingerprint("probe", {"rate": 1, "seed": 2**60}) == fingerprint("probe", {"rate": 1.0, "seed": 2**60})
    assert fingerprint("probe", {"seed": 2**60}) != fingerprint("probe", {"seed": 2**60 + 1})
    assert fingerprint("probe", {}) != fingerprint("pretrain", {})


def test_a_file_counts_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "maps.safetensors"
    config = replace(CONFIG, rows=(f"patterned@init={path}",))

    def written(shift: int) -> set[str]:
        save_file({"maps": torch.eye(8).roll(shift, 1).expand(12, 8, 8).contiguous()}, path)
        return prints(config) - prints(config, "baseline")

    first = written(0)
    assert written(0) == first
    assert not written(1) & first
    assert all(job.id.folder.count("/") == 1 for job in make_plan(parse_config(config), CORPUS).jobs)
    path.unlink()
    with pytest.raises(ValueError, match=r"maps\.safetensors"):
        prints(config)
