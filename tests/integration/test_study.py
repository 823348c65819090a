"""A whole study, small: from a corpus to the report, in any number of pieces, with a stranger's mechanism too."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from inattention.corpora.core.corpus import Corpus
from inattention.model.transformer import AudioTransformer
from inattention.study.execution.run import run_study
from inattention.study.planning.plan import make_plan, parse_config
from inattention.study.reporting.report import build_report, write_report
from inattention.study.store import load
from small_studies import SMALL
from speech import make_corpus

TESTS = Path(__file__).parents[1]
pytestmark = pytest.mark.usefixtures("forked_workers")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("study") / "tones", {"train": 12, "dev": 4, "test": 4})


@pytest.fixture(scope="module")
def study(forked_workers: None, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "small"
    results = run_study(replace(SMALL, corpus=corpus.folder), folder, jobs=2, progress=False)
    assert not results.failures
    assert not results.missing
    assert write_report(build_report(results)) == folder / "report.html"
    return folder


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def test_every_row_comes_out_with_all_that_it_was_made_from(study: Path, corpus: Corpus) -> None:
    head, *outcomes = lines(study)
    assert head["rows"] == ["mel", "qk", "patterned@logits", "none@untrained"]
    assert head["corpus"]["key"] == corpus.key
    assert head["provenance"]["packages"]["torch"]
    have = {(line["kind"], line["row"]) for line in outcomes}
    assert have == {
        ("floor", None),
        *(("probe", row) for row in head["rows"]),
        *(("pretrain", row) for row in head["rows"][1:]),
        ("time", "qk"),
        ("time", "patterned@logits"),
    }
    trained = next(line for line in outcomes if (line["kind"], line["row"]) == ("pretrain", "patterned@logits"))
    assert [point["step"] for point in trained["curve"]] == [2, 4]
    assert trained["precision"] == "32-true"
    assert (study / trained["maps"]).is_file()
    timed = next(line for line in outcomes if (line["kind"], line["row"]) == ("time", "patterned@logits"))["outcome"]
    own = timed["own"]
    assert (own["length"], own["batch"], own["mode"]) == (40, 6, "train")
    assert "training time, in steps of qk" in (study / "report.html").read_text()
    for name in ("table1.csv", "table2.csv", "report.html"):
        assert (study / name).stat().st_size > 100


def test_trained_models_have_names_that_people_can_say(study: Path) -> None:
    model = AudioTransformer.from_pretrained(study / "patterned@logits-0")
    assert model.config.attention_options == {"init": "logits"}


def test_a_study_run_again_redoes_nothing_and_a_new_row_redoes_nothing_else(study: Path, corpus: Corpus) -> None:
    def written() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (study / "steps").glob("*/outcome.json")}

    before = written()
    wider = replace(SMALL, corpus=corpus.folder, rows=(*SMALL.rows, "uniform"))
    results = run_study(wider, study, jobs=1, progress=False)
    after = written()
    assert not results.failures
    assert {path: after[path] for path in before} == before
    new = {path.parent.name.rsplit("-", 1)[0] for path in after.keys() - before.keys()}
    assert new == {"pretrain-uniform-0", "probe-uniform-0"}
    assert "uniform" in results.timing


def test_rows_of_a_finished_study_are_probed_during_training_and_trained_again_for_it(
    study: Path, corpus: Corpus, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(study, folder, symlinks=True)
    before = load(folder)
    config = replace(SMALL, corpus=corpus.folder, curve_rows=("qk",), curve_steps=(1, 3))
    results = run_study(config, folder, jobs=1, progress=False)
    assert not results.failures
    assert not results.missing
    assert set(results.curves) == {("qk", 0, 1), ("qk", 0, 3)}
    # Trained again, it is the same encoder; those of other steps are others.
    assert results.pretraining["qk", 0].held_out_l1 == before.pretraining["qk", 0].held_out_l1
    assert results.probes == {run: before.probes[run] for run in results.probes}
    model = AudioTransformer.from_pretrained(folder / "qk-0")
    early = AudioTransformer.from_pretrained(folder / "qk-0" / "snapshots" / "step-000001")
    assert not all(torch.equal(a, b) for a, b in zip(model.parameters(), early.parameters(), strict=True))
    write_report(build_report(results))
    drawn = {path.stem for path in (folder / "figures").glob("*phone-1-hidden-*")}
    assert {f"learning-phone-1-hidden-{against}" for against in ("step", "time", "operations")} <= drawn
    assert (folder / "figures" / "loss-operations.svg").is_file()
    # Ticks are plain numbers, and no markup of matplotlib's.
    assert not [path.name for path in (folder / "figures").glob("*.svg") if "mathdefault" in path.read_text()]
    # Resumed, nothing is left to do; without the snapshots, results are enough.
    shutil.rmtree(folder / "steps")
    again = run_study(config, folder, jobs=1, progress=False)
    assert (again.curves, again.missing) == (results.curves, ())
    assert not list(folder.glob("steps/*/model.safetensors"))


def test_a_narrower_study_and_back_loses_nothing_and_redoes_nothing(
    study: Path, corpus: Corpus, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(study, folder, symlinks=True)
    whole = load(folder)
    config = replace(SMALL, corpus=corpus.folder)
    before = (folder / "results.jsonl").read_bytes()
    narrow = run_study(replace(config, rows=("qk",)), folder, jobs=1, progress=False)
    assert narrow.pretraining.keys() == {("qk", 0)}
    assert narrow.others.rows
    report = build_report(narrow)
    assert [it.row.name for it in report.tables.accuracy] == ["qk"]
    assert "patterned@logits" in write_report(report).read_text()  # as one of the rows that the file also holds
    again = run_study(whole.config, folder, jobs=1, progress=False)
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_bytes().removeprefix(before).splitlines()]
    assert {line["kind"] for line in lines} == {"study"}
    assert again.probes == whole.probes


def test_a_study_goes_on_from_its_results_alone_and_trains_again_only_what_a_new_probe_needs(
    study: Path, corpus: Corpus, tmp_path: Path
) -> None:
    config = replace(SMALL, corpus=corpus.folder)
    cloned = tmp_path / "cloned"
    cloned.mkdir()
    (cloned / "results.jsonl").write_bytes((study / "results.jsonl").read_bytes())
    results = run_study(config, cloned, jobs=1, progress=False)
    assert not results.failures
    written = (cloned / "results.jsonl").read_bytes()
    assert [line for line in lines(cloned) if line["kind"] != "study"] == [
        line for line in lines(study) if line["kind"] != "study"
    ]
    assert not list(cloned.glob("steps/*/model.safetensors"))
    assert not list(cloned.glob("qk-0"))
    fewer = replace(config, rows=("mel", "qk"), probes=replace(SMALL.probes, epochs=1))
    results = run_study(fewer, cloned, jobs=1, progress=False)
    assert not results.failures
    assert (cloned / "results.jsonl").read_bytes().startswith(written)
    assert [path.parent.name.rsplit("-", 1)[0] for path in cloned.glob("steps/*/model.safetensors")] == [
        "pretrain-qk-0"
    ]
    again = {line["row"]: line["outcome"]["held_out_l1"] for line in lines(cloned) if line["kind"] == "pretrain"}
    before = {line["row"]: line["outcome"]["held_out_l1"] for line in lines(study) if line["kind"] == "pretrain"}
    assert again["qk"] == before["qk"]


def test_a_row_may_have_settings_a_learning_rate_and_seeds_of_its_own(corpus: Corpus, tmp_path: Path) -> None:
    config = replace(
        SMALL,
        corpus=corpus.folder,
        rows=("mel", "none", "none@model.maps=per-layer@training.steps=2", "qk@identity"),
        seeds=(0, 1),
        repeated=("none", "patterned@init=logits"),
        learning_rates=("control=2e-3", "qk=5e-4", "qk@start=identity=3e-3"),
    )
    results = run_study(config, tmp_path, jobs=2, progress=False)
    assert not results.failures
    found = {(it["row"], it["seed"]): it for it in lines(tmp_path) if it["kind"] == "pretrain"}
    assert {(row, seed): it["learning_rate"] for (row, seed), it in found.items()} == {
        ("none", 0): 2e-3,
        ("none", 1): 2e-3,
        ("none@model.maps=per-layer@training.steps=2", 0): 2e-3,
        ("qk@identity", 0): 3e-3,
    }
    assert found["none@model.maps=per-layer@training.steps=2", 0]["outcome"]["steps"] == 2
    model = AudioTransformer.from_pretrained(tmp_path / "none@model.maps=per-layer@training.steps=2-0")
    assert model.config.maps == "per-layer"
    assert {it["row"] for it in lines(tmp_path) if it["kind"] == "time"} == {"none", "qk@identity"}
    report = write_report(build_report(results)).read_text()
    assert "Not there:" not in report
    assert "one seed" in report


def test_a_study_that_is_not_timed_has_all_else_and_lacks_nothing(corpus: Corpus, tmp_path: Path) -> None:
    config = replace(SMALL, corpus=corpus.folder, rows=("mel", "none"), timed=False)
    results = run_study(config, tmp_path, jobs=1, progress=False)
    assert not results.failures
    assert {line["kind"] for line in lines(tmp_path)} == {"study", "floor", "pretrain", "probe"}
    assert "Not there" not in write_report(build_report(results)).read_text()


def test_one_failed_row_costs_no_other_and_says_so(corpus: Corpus, tmp_path: Path) -> None:
    config = replace(SMALL, corpus=corpus.folder, rows=("mel", "uniform"))
    job = next(job for job in make_plan(parse_config(config), corpus).jobs if job.id.kind == "pretrain")
    (tmp_path / "steps").mkdir()
    (tmp_path / job.id.folder).write_text("a file where a folder should be")
    results = run_study(config, tmp_path, jobs=1, progress=False)
    assert {failure.job.title for failure in results.failures} == {"pretrain uniform-0", "probe uniform-0"}
    assert load(tmp_path).failures == results.failures
    assert ("mel", 0) in results.probes
    assert "uniform" in write_report(build_report(results)).read_text()
    (tmp_path / job.id.folder).unlink()
    assert not run_study(config, tmp_path, jobs=1, progress=False).failures


def test_a_study_killed_in_mid_run_goes_on_and_ends_the_same(corpus: Corpus, study: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, TESTS / "kill_studies.py", corpus.folder, tmp_path / "killed"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    def results(folder: Path) -> dict[tuple, float]:
        found = {}
        for line in lines(folder)[1:]:
            if line["kind"] == "pretrain":
                found["pretrain", line["row"]] = line["outcome"]["held_out_l1"]
            if line["kind"] == "probe":
                found["probe", line["row"]] = [task["accuracy"] for task in line["outcome"]["tasks"]]
        return found

    whole, pieced = results(study), results(tmp_path / "killed")
    assert pieced
    assert {name: whole[name] for name in pieced} == pieced


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_study_that_is_asked_to_end_writes_checkpoints_first(corpus: Corpus, tmp_path: Path, number: int) -> None:
    words = [
        *("study", "--corpus", str(corpus.folder), "--out", str(tmp_path), "--only", "none", "--jobs", "1"),
        *("--model.width", "24", "--model.feed-forward", "24", "--model.layers", "1", "--model.max-length", "40"),
        *("--training.steps", "20000", "--training.validate-every", "5", "--training.checkpoint-minutes", "60"),
    ]
    # Where tests run in the background of a script, Ctrl-C is ignored, and what they start inherits that.
    start = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from inattention import cli; "
    command = [sys.executable, "-c", f"{start}raise SystemExit(cli.main())", *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("steps/*/curve.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else 2)
    assert said.strip().endswith("stopped; run the same command again to resume")
    assert "leaked" not in said
    assert len(list(tmp_path.glob("steps/pretrain-none-0-*/checkpoint.ckpt"))) == 1


PLUGIN = '''
"""The mean of a step and its neighbours: a stranger's mechanism."""
import torch
from inattention.attention import AttentionMechanism, Card, register

@register(Card(
    name="neighbours", label="Neighbours", family="plug-in", citation="a test", training_cost="O(T)",
    inference_cost="O(T)", flops=lambda time, width, heads, **options: 2 * time**2 * width, input_independent=True,
))
class Neighbours(AttentionMechanism):
    """Weights 1/3 on i - 1, i, i + 1, as far as they are valid."""

    def weights(self, hidden, valid):
        time = hidden.shape[1]
        near = torch.ones(time, time).tril(1).triu(-1)
        weights = near * valid[:, None, :]
        weights = weights / weights.sum(-1, keepdim=True).clamp(min=1)
        return weights[:, None].expand(-1, self.heads, -1, -1).to(hidden.dtype)
'''


def test_a_plug_in_that_is_installed_beside_us_is_listed_checked_and_studied(corpus: Corpus, tmp_path: Path) -> None:
    source, site = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    (source / "neighbours_plugin.py").write_text(PLUGIN)
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "neighbours-plugin"\nversion = "1.0"\n'
        '[project.entry-points."inattention.mechanisms"]\nneighbours = "neighbours_plugin"\n'
        '[tool.hatch.build.targets.wheel]\ninclude = ["neighbours_plugin.py"]\n'
    )
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target"]
    subprocess.run([sys.executable, *install, str(site), str(source)], check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    check_and_study = (
        "import inattention; from inattention import cli; from inattention.testing import check_mechanism\n"
        "assert 'neighbours' in inattention.attention.mechanisms()\n"
        "check_mechanism('neighbours')\n"
        "raise SystemExit(cli.main())"
    )
    words = [
        *("study", "--corpus", str(corpus.folder), "--out", str(tmp_path / "study"), "--only", "mel", "neighbours"),
        *("--model.width", "24", "--model.feed-forward", "24", "--model.layers", "1", "--model.max-length", "40"),
        *("--training.steps", "2", "--probes.epochs", "1", "--probes.hidden-width", "8", "--timing.lengths", "20"),
        *("--timing.width", "24", "--timing.layers", "1", "--timing.feed-forward", "24", "--timing.seconds", "0"),
        *("--jobs", "1"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", check_and_study, *words], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "neighbours" in done.stdout.lower()
    assert {line["row"] for line in lines(tmp_path / "study")[1:]} >= {"neighbours", "mel"}
    assert done.stdout.strip().splitlines()[-1].endswith("report.html")
