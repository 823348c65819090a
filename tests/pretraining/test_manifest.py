"""The manifest of a run: what run.json holds, of this version, of earlier ones, and of restored studies."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inattention.pretraining.manifest import CorpusId, Run, RunManifest, claim
from inattention.pretraining.stopping import RunError


def test_a_manifest_is_read_back_as_it_was_written(run: Run, tmp_path: Path) -> None:
    manifest = replace(run.manifest(), provenance={"commit": "abc"}, files={"init": "0123"})
    manifest.write(tmp_path)
    assert RunManifest.read(tmp_path) == manifest
    assert manifest.is_complete


def test_a_manifest_holds_all_that_the_outcome_depends_on(run: Run) -> None:
    assert run.manifest().to_dict() == {
        "model": run.model.to_dict(),
        "training": run.training.hyperparameters(),
        "corpus": {"name": run.corpus.info["name"], "key": run.corpus.key},
        "seed": 3,
    }


def test_the_manifest_of_a_restored_study_has_a_rate_and_provenance_only(tmp_path: Path) -> None:
    stub: dict[str, Any] = {"training": {"learning_rate": 1e-3}, "provenance": {"python": "3.12"}}
    manifest = RunManifest.from_dict(stub)
    assert not manifest.is_complete
    assert manifest.learning_rate == 1e-3
    assert manifest.corpus is None
    assert manifest.to_dict() == stub


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"seed": 1}, "'training' is missing"),
        ({"training": 3}, "'training' must be an object, not 3"),
        ({"training": {}, "corpus": {"name": "tones"}}, r"corpus\.key is missing"),
        ({"training": {}, "files": ["maps"]}, "'files' must be an object"),
    ],
)
def test_a_broken_manifest_is_refused_and_what_is_wrong_named(data: dict[str, Any], message: str) -> None:
    with pytest.raises(RunError, match=message):
        RunManifest.from_dict(data)


@pytest.mark.parametrize(("text", "message"), [("{", "is damaged"), ("[]", "must hold a JSON object, not list")])
def test_a_damaged_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RunError, match=message):
        RunManifest.read(tmp_path)


def test_a_folder_is_claimed_once_and_provenance_does_not_count(run: Run, tmp_path: Path) -> None:
    parts = run.manifest().to_dict()
    claim(tmp_path, parts)
    written = json.loads((tmp_path / "run.json").read_text())
    assert "packages" in written.pop("provenance")
    assert written == parts
    claim(tmp_path, parts)
    with pytest.raises(RunError, match="another corpus and another seed"):
        claim(tmp_path, {**parts, "seed": 4, "corpus": {"name": "tones", "key": "other"}})
    assert RunManifest.read(tmp_path).corpus == CorpusId(run.corpus.info["name"], run.corpus.key)
