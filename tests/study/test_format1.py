"""Results files of earlier versions: all that they hold is shown, and found again."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inattention.corpora.core.corpus import Corpus
from inattention.study.execution.run import jobs_to_do
from inattention.study.header import Provenance, StudyHeader
from inattention.study.planning.plan import make_plan, parse_config
from inattention.study.planning.rows import file_name
from inattention.study.store import RESULTS, Store, load
from study.fake import rewrite

KEPT = Path(__file__).parents[2] / "results"
STUDIES = sorted(path.parent.name for path in KEPT.glob(f"*/{RESULTS}"))


def copy(name: str, folder: Path, change: Callable[[list[dict[str, Any]]], None] = lambda lines: None) -> Path:
    lines = [json.loads(text) for text in (KEPT / name / RESULTS).read_text(encoding="utf-8").splitlines()]
    change(lines)
    (folder / RESULTS).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder


def corpus_of(folder: Path) -> Corpus:
    return Corpus(Path("nowhere"), dict(load(folder).corpus.everything))


@pytest.mark.parametrize("name", STUDIES)
def test_every_result_that_was_ever_kept_is_shown(name: str) -> None:
    results = load(KEPT / name)
    lines = (KEPT / name / RESULTS).read_text(encoding="utf-8").splitlines()
    kinds = [json.loads(line)["kind"] for line in lines]
    assert len(list(results.records())) == len(lines) - kinds.count("study")  # each run appends its header
    assert (results.problems, results.others.count) == ((), 0)
    begun = {(job.row, job.seed) for job in results.header.jobs} - {(job.row, job.seed) for job in results.missing}
    for row in (row for row in results.rows if (row.name, results.seeds_of(row.name)[0]) in begun):
        assert row.is_features or results.runs_of(row.name)
        assert all(results.scores_of(row.name, task) for task in results.tasks)


@pytest.mark.parametrize("name", [name for name in STUDIES if not name.endswith("-paired")])  # which are in progress
def test_finished_studies_lack_nothing(name: str) -> None:
    assert load(KEPT / name).missing == ()


@pytest.mark.parametrize("name", ["queen", "espeak", "queen-leak", "smoke"])
def test_a_study_run_again_with_the_same_settings_has_nothing_to_train_or_probe(name: str, tmp_path: Path) -> None:
    folder = copy(name, tmp_path)
    results = load(folder)
    plan, store = make_plan(parse_config(results.config), corpus_of(folder)), Store(folder)
    assert {job.id.kind for job in jobs_to_do(plan, store)} <= {"time"}  # which hold for one machine
    before = (folder / RESULTS).read_bytes()
    store.begin(StudyHeader.of(plan, results.preset, Provenance()))
    assert (folder / RESULTS).read_bytes().startswith(before)
    assert load(folder).pretraining.keys() == results.pretraining.keys()


def test_probes_with_other_settings_need_the_models_again_and_lose_nothing(tmp_path: Path) -> None:
    folder = copy("espeak", tmp_path)
    config = load(folder).config
    plan = make_plan(parse_config(replace(config, probes=replace(config.probes, epochs=3))), corpus_of(folder))
    store = Store(folder)
    todo = [job.id.kind for job in jobs_to_do(plan, store)]
    assert todo.count("pretrain") == len(load(folder).pretraining)
    store.begin(StudyHeader.of(plan, "", Provenance()))
    results = load(folder)
    assert (len(results.probes), results.others.changed) == (0, tuple(row.name for row in results.rows))
    assert len(results.pretraining) == todo.count("pretrain")


def test_probes_without_counts_are_run_again_where_that_is_asked_for(tmp_path: Path) -> None:
    def forget(line: dict[str, Any]) -> None:
        if line["kind"] == "probe" and line["row"] == "qk":
            for task in line["outcome"]["tasks"]:
                task.pop("counts", None)
        elif line["kind"] == "probe":
            for task in line["outcome"]["tasks"]:
                task["counts"] = {"utterances": ["one"], "correct": [1], "items": [1], "classes": None}

    folder = rewrite(copy("queen-leak", tmp_path), forget)
    plan, store = make_plan(parse_config(load(folder).config), corpus_of(folder)), Store(folder)
    assert jobs_to_do(plan, store) == []
    todo = [job.id for job in jobs_to_do(plan, store, renew=True)]
    assert [(job.kind, job.row) for job in todo] == [("pretrain", "qk"), ("probe", "qk")]  # the model is not kept


def test_models_in_folders_of_earlier_versions_are_used(tmp_path: Path) -> None:
    folder = copy("espeak", tmp_path)
    results = load(folder)
    for run in results.pretraining.values():
        place = results.path(run.folder)
        place.mkdir(parents=True)
        (place / "model.safetensors").touch()
    config = replace(results.config, probes=replace(results.config.probes, epochs=3))
    plan = make_plan(parse_config(config), corpus_of(folder))
    assert {job.id.kind for job in jobs_to_do(plan, Store(folder))} == {"probe"}


def test_results_of_before_0_2_0_are_shown_and_not_mixed_with_those_of_today(tmp_path: Path) -> None:
    folder = copy("short", tmp_path)
    plan, store = make_plan(parse_config(load(folder).config), corpus_of(folder)), Store(folder)
    todo = [job.id.kind for job in jobs_to_do(plan, store)]
    assert todo.count("pretrain") == len(load(folder).pretraining)  # the order of batches was another


def test_a_row_whose_file_is_gone_is_still_shown(tmp_path: Path) -> None:
    row = "patterned@init=gone/maps.safetensors"

    def change(lines: list[dict[str, Any]]) -> None:
        for line in lines:
            if "rows" in line:
                line["rows"] = [row if name == "patterned" else name for name in line["rows"]]
            if line.get("row") == "patterned":
                line["row"] = row

    results = load(copy("espeak", tmp_path, change))
    assert results.runs_of(row)
    assert results.scores_of(row, "speaker-frame")
    assert (results.problems, results.missing) == ((), ())


def test_failures_keep_their_rows_whatever_folders_are_called(tmp_path: Path) -> None:
    row = "patterned@init=../gone.safetensors"

    def change(lines: list[dict[str, Any]]) -> None:
        head = lines[0]
        head["rows"] = [*head["rows"], row]
        head["failures"] = [
            {"step": f"pretrain {file_name(row)}-0", "error": "ValueError: gone"},
            {"step": "time", "error": "RuntimeError: busy"},
        ]
        lines[:] = [line for line in lines if line["kind"] != "time"]

    results = load(copy("queen", tmp_path, change))
    assert results.failed("pretrain", row) == "ValueError: gone"
    assert results.failed("time", "qk") == "RuntimeError: busy"


def test_the_narrower_study_that_lost_rows_loses_none(tmp_path: Path) -> None:
    folder = tmp_path
    shutil.copy(KEPT / "smoke" / RESULTS, folder)
    whole = load(folder)
    store = Store(folder)
    plan = make_plan(parse_config(replace(whole.config, rows=("qk",))), corpus_of(folder))
    store.begin(StudyHeader.of(plan, "smoke", Provenance()))
    assert set(load(folder).others.rows) == {row.name for row in whole.rows} - {"qk"}
    again = make_plan(parse_config(whole.config), corpus_of(folder))
    Store(folder).begin(StudyHeader.of(again, "smoke", Provenance()))
    assert load(folder).pretraining.keys() == whole.pretraining.keys()
    assert load(folder).probes.keys() == whole.probes.keys()
