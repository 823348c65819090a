"""The results file: typed when read, only ever appended to, with a clear word about what cannot be used."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from inattention.corpora.core.corpus import Corpus
from inattention.study.execution.run import jobs_to_do
from inattention.study.header import Provenance, StudyHeader
from inattention.study.planning.config import StudyConfig
from inattention.study.planning.plan import JobId, Plan, make_plan, parse_config
from inattention.study.records import BaselineRecord, Failure
from inattention.study.store import RESULTS, ResultsError, Store, load
from study.fake import fake_study

CORPUS = Corpus(Path("nowhere"), {"name": "made-up", "key": "0123456789abcdef"})
SMALL = StudyConfig(rows=("mel", "qk"), timed=False)


def appended(tmp_path: Path, line: str) -> Path:
    folder = fake_study(tmp_path / "study", rows=("mel", "qk"))
    with (folder / RESULTS).open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    return folder


def begun(folder: Path, config: StudyConfig, corpus: Corpus = CORPUS, preset: str = "") -> tuple[Store, Plan]:
    plan, store = make_plan(parse_config(config), corpus), Store(folder)
    store.begin(StudyHeader.of(plan, preset, Provenance()))
    return store, plan


def finish(store: Store, plan: Plan) -> None:
    """Store a result for every job: that of a made-up baseline, as any would do."""
    for job in plan.jobs:
        if job.id.fingerprint not in store.records:
            store.append(BaselineRecord(seed=0, fingerprint=job.id.fingerprint, neighbour_l1=0.5))


def test_every_record_is_there_with_its_types(study: Path) -> None:
    results = load(study)
    run = results.pretraining["patterned", 1]
    assert (run.row.mechanism, run.seed, len(run.curve) > 5) == ("patterned", 1, True)
    assert run.curve[-1].held_out_l1 == run.held_out_l1
    assert run.maps is not None
    assert results.path(run.maps).is_file()
    assert results.pretraining["patterned@untrained", 0].curve == ()
    task = results.probes["mel", 0].tasks["phone-1-hidden"]
    assert task.counts is not None
    assert (task.classes, sum(task.counts.correct) / sum(task.counts.items)) == (41, pytest.approx(task.accuracy))
    assert len(results.timing["qk"].timed[0].round_seconds) == 5
    assert results.timing["qk"].config.layers == 1
    assert results.baseline == pytest.approx(0.531)
    assert (results.corpus.splits["test"].cuts, results.corpus.bad_items.items) == (
        60,
        (("voice-3-0007", "is silent"),),
    )
    assert results.config.training.steps == 100
    assert results.seeds_of("qk") == (0, 1)
    missing = {(job.kind, job.row) for job in results.missing}
    assert missing == {
        ("pretrain", "xbox-qnf"), ("probe", "xbox-qnf"), ("probe", "simple-lsh"), ("time", "simple-alsh"),
    }  # fmt: skip


def test_records_are_written_as_they_are_read(study: Path, tmp_path: Path) -> None:
    read = Store(study)
    again = Store(tmp_path)
    again.begin(load(study).header)
    for record in read.records.values():
        again.append(record)
    for failure in load(study).failures:
        again.append(failure)
    assert replace(load(tmp_path), folder=study) == load(study)


def test_probes_during_training_are_kept_apart_from_those_of_the_trained_encoder(tmp_path: Path) -> None:
    results = load(fake_study(tmp_path, rows=("mel", "qk"), seeds=(0, 1), curve_rows=("qk",)))
    assert set(results.curves) == {("qk", seed, step) for seed in (0, 1) for step in (10, 30)}
    assert set(results.probes) == {(row, seed) for row in ("mel", "qk") for seed in (0, 1)}
    assert results.curves["qk", 1, 30].tasks["phone-1-hidden"] != results.probes["qk", 1].tasks["phone-1-hidden"]
    assert not results.missing
    fewer = [line for line in (tmp_path / RESULTS).read_text().splitlines() if '"step": 30, ' not in line[:200]]
    assert len(fewer) == len((tmp_path / RESULTS).read_text().splitlines()) - 2
    (tmp_path / RESULTS).write_text("\n".join(fewer) + "\n")
    assert [job.title for job in load(tmp_path).missing] == ["curve qk-0 at step 30", "curve qk-1 at step 30"]


def test_of_two_results_of_one_job_the_later_counts(tmp_path: Path) -> None:
    folder = fake_study(tmp_path, rows=("mel",))
    line = json.loads((folder / RESULTS).read_text().splitlines()[1])
    line["outcome"]["neighbour_l1"] = 0.1
    with (folder / RESULTS).open("a") as file:
        file.write(json.dumps(line) + "\n")
    assert load(folder).baseline == 0.1


def test_it_knows_which_rows_failed_and_how(study: Path) -> None:
    results = load(study)
    assert results.failed("pretrain", "xbox-qnf") == "OutOfMemoryError: made up"
    assert results.failed("pretrain", "xbox") is None
    assert results.failed("probe", "xbox-qnf") is None


def test_a_row_with_a_path_fails_under_its_own_name_until_it_has_a_result(tmp_path: Path) -> None:
    row = f"patterned@init=../{'long' * 50}.safetensors"
    job = JobId("pretrain", row, 0, "0123456789ab")
    folder = fake_study(tmp_path, rows=(row,), leave_out=lambda line: line["kind"] == "pretrain")
    store = Store(folder)
    (missing,) = [it for it in load(folder).missing if it.kind == "pretrain"]
    store.append(Failure(replace(job, fingerprint=missing.fingerprint), "ValueError: no such file"))
    assert load(folder).failed("pretrain", row) == "ValueError: no such file"
    assert not [it for it in load(folder).missing if it.kind == "pretrain"]
    store.append(BaselineRecord(seed=0, fingerprint=missing.fingerprint, neighbour_l1=0.5))
    assert load(folder).failures == ()


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"there is no .*results\.jsonl: run the study"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"kind": "probe", "row": "q', "Unterminated string"),
        (
            '{"format": 2, "kind": "portrait", "row": null, "seed": 0, "fingerprint": "0"}',
            "there is no kind 'portrait'",
        ),
        ('{"format": 2, "row": "qk"}', "it lacks 'kind'"),
        ('{"format": 3, "kind": "probe"}', "format 3 is not known"),
        ('{"format": 2, "kind": "floor", "row": null, "seed": 0, "fingerprint": "0", "outcome": {}}', "'neighbour_l1'"),
        ('{"format": 2, "kind": "floor", "row": null, "seed": "zero", "fingerprint": "0", "outcome": {}}', "zero"),
        (
            '{"format": 2, "kind": "time", "row": "qk", "seed": null, "fingerprint": "0", '
            '"outcome": {"timed": [{"row": "qk"}]}}',
            "it lacks 'length'",
        ),
        ('["kind"]', "no JSON object"),
    ],
)
def test_a_broken_line_is_named_and_kept_and_the_rest_is_used(tmp_path: Path, line: str, why: str) -> None:
    folder = appended(tmp_path, line)
    before = (folder / RESULTS).read_bytes()
    results = load(folder)
    (problem,) = results.problems
    assert problem.line == len(before.splitlines())
    assert why in str(problem)
    assert results.probes.keys() == {("mel", 0), ("qk", 0)}
    store, plan = begun(folder, SMALL)
    finish(store, plan)
    assert (folder / RESULTS).read_bytes().startswith(before)


def test_a_line_cut_off_by_a_crash_stays_and_the_next_is_whole(tmp_path: Path) -> None:
    folder = fake_study(tmp_path, rows=("mel", "qk"))
    path = folder / RESULTS
    path.write_bytes(path.read_bytes()[:-20])
    (problem,) = load(folder).problems
    assert "cut off" in problem.reason
    lost = path.read_bytes()
    store, plan = begun(folder, SMALL)
    finish(store, plan)
    assert path.read_bytes().startswith(lost + b"\n")
    assert len(load(folder).problems) == 1
    assert jobs_to_do(plan, Store(folder)) == []


def test_bytes_that_are_no_text_cost_their_line_alone(tmp_path: Path) -> None:
    folder = fake_study(tmp_path, rows=("mel", "qk"))
    path = folder / RESULTS
    path.write_bytes(path.read_bytes() + b"\xff\xfe\n")
    assert len(load(folder).problems) == 1


def test_a_file_without_a_header_is_refused_and_a_run_writes_one(tmp_path: Path) -> None:
    folder = fake_study(tmp_path, rows=("qk",))
    lines = (folder / RESULTS).read_text().splitlines()
    (folder / RESULTS).write_text("\n".join(lines[1:]))
    with pytest.raises(ResultsError, match="no line of kind 'study'"):
        load(folder)
    begun(folder, SMALL)
    assert load(folder).others.count == len(lines) - 1


def test_finishing_a_job_appends_one_line_and_reads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, plan = begun(tmp_path, SMALL)

    def refuse(self: Path) -> bytes:
        raise AssertionError("read again")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    sizes = [(tmp_path / RESULTS).stat().st_size]
    for job in plan.jobs:
        store.append(BaselineRecord(seed=0, fingerprint=job.id.fingerprint, neighbour_l1=0.5))
        sizes.append((tmp_path / RESULTS).stat().st_size)
    grown = [after - before for before, after in pairwise(sizes)]
    assert max(grown) < 250


def test_a_study_that_asks_for_the_same_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    store, plan = begun(tmp_path, SMALL)
    finish(store, plan)
    before = (tmp_path / RESULTS).read_bytes()
    begun(tmp_path, SMALL)
    assert (tmp_path / RESULTS).read_bytes() == before


@pytest.mark.parametrize(
    ("change", "corpus", "preset", "redone", "others"),
    [
        ({"rows": ("qk",)}, CORPUS, "", 0, 1),
        ({"rows": ("mel", "qk", "none")}, CORPUS, "", 2, 0),
        ({"seeds": (1, 0)}, CORPUS, "", 4, 1),
        ({"seeds": (7,)}, CORPUS, "", 4, 4),
        ({"training": replace(SMALL.training, steps=7)}, CORPUS, "", 2, 2),
        ({"probes": replace(SMALL.probes, epochs=7)}, CORPUS, "", 2, 2),
        ({}, Corpus(Path("elsewhere"), {"name": "made-up", "key": "another"}), "", 4, 4),
        ({}, CORPUS, "laptop", 0, 0),
    ],
    ids=["narrower", "wider", "more seeds", "other seeds", "trained longer", "probed longer", "corpus", "preset"],
)
def test_no_variation_of_a_study_loses_a_result(
    tmp_path: Path, change: dict, corpus: Corpus, preset: str, redone: int, others: int
) -> None:
    store, plan = begun(tmp_path, SMALL)
    finish(store, plan)
    before = (tmp_path / RESULTS).read_bytes()
    store, plan = begun(tmp_path, replace(SMALL, **change), corpus, preset)
    todo = [job for job in plan.jobs if job.id.fingerprint not in store.records]
    assert len(todo) == redone
    finish(store, plan)
    assert (tmp_path / RESULTS).read_bytes().startswith(before)
    assert load(tmp_path).others.count == others
    # And back: nothing is to do, and the study is the one that it was.
    store, plan = begun(tmp_path, SMALL)
    assert jobs_to_do(plan, store) == []
    assert load(tmp_path).header.jobs == tuple(job.id for job in plan.jobs)


def test_what_else_a_file_holds_is_summed_up(tmp_path: Path) -> None:
    folder = fake_study(tmp_path, rows=("mel", "qk", "none"), seeds=(0, 1))
    begun(folder, replace(SMALL, rows=("mel", "qk")))
    others = load(folder).others
    assert (others.rows, others.seeds, others.changed) == (("none",), (1,), ("mel", "qk"))
    assert "rows none; seeds 1; other settings or corpora of mel, qk" in str(others)
    assert not load(fake_study(tmp_path / "alone", rows=("mel",))).others


def test_rows_that_mean_the_same_share_results_under_their_own_names(tmp_path: Path) -> None:
    steps = SMALL.training.steps
    plan = make_plan(parse_config(replace(SMALL, rows=("none", f"none@training.steps={steps}"))), CORPUS)
    first, second = [job.id for job in plan.jobs if job.id.kind == "pretrain"]
    assert first.fingerprint == second.fingerprint
    folder = fake_study(tmp_path, rows=("none",), seeds=(0,))
    store = Store(folder)
    run = replace(load(folder).pretraining["none", 0], fingerprint=first.fingerprint)
    store.begin(StudyHeader.of(plan, "", Provenance()))
    store.append(run)
    assert {name: it.row.name for (name, _), it in load(folder).pretraining.items()} == {
        row.name: row.name for row in plan.rows
    }
