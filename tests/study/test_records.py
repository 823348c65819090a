"""Reading a study's results: all of it, typed, and a clear word about what is broken."""

import json
from pathlib import Path

import pytest

from inattention.study.records import ResultsError, StudyResults
from study.fake import fake_study


def broken(tmp_path: Path, line: str) -> Path:
    folder = fake_study(tmp_path / "study", rows=("mel", "qk"))
    with (folder / "results.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    return folder


def test_every_line_is_there_with_its_types(study: Path) -> None:
    results = StudyResults.load(study)
    run = results.pretraining["patterned", 1]
    assert (run.seed, len(run.curve) > 5, run.curve[-1].held_out_l1) == (1, True, run.held_out_l1)
    assert run.maps is not None
    assert run.maps.is_file()
    assert results.pretraining["patterned@untrained", 0].curve == ()
    assert results.probes["mel", 0].scores["phone-1-hidden"].classes == 41
    assert results.timing["qk"].timed[0].round_seconds == (results.timing["qk"].timed[0].seconds,) * 3
    assert results.floor == pytest.approx(0.531)


def test_rows_stand_by_family_then_controls_then_untrained(tmp_path: Path) -> None:
    rows = ("patterned@untrained", "none", "patterned", "xbox", "mel", "shared-qk", "qk", "sparse-fixed")
    results = StudyResults.load(fake_study(tmp_path, rows=rows, leave_out=lambda line: True))
    names = [info.name for info in results.infos]
    assert names == ["mel", "shared-qk", "qk", "sparse-fixed", "xbox", "patterned", "none", "patterned@untrained"]


def test_a_mechanism_that_is_not_installed_is_still_a_row(tmp_path: Path) -> None:
    results = StudyResults.load(fake_study(tmp_path, rows=("qk", "strangers-own@fast"), leave_out=lambda line: True))
    info = results.info("strangers-own@fast")
    assert (info.label, info.card) == ("strangers-own, fast", None)


def test_of_two_lines_for_one_outcome_the_later_stands(tmp_path: Path) -> None:
    folder = broken(tmp_path, json.dumps({"kind": "floor", "row": None, "seed": 0, "outcome": {"neighbour_l1": 0.1}}))
    assert StudyResults.load(folder).floor == 0.1


def test_it_knows_which_rows_failed_and_how(study: Path) -> None:
    results = StudyResults.load(study)
    assert results.failed("pretrain", "xbox-qnf") == "OutOfMemoryError: made up"
    assert results.failed("pretrain", "xbox") is None
    assert results.failed("probe", "xbox-qnf") is None


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"there is no .*results\.jsonl: run the study"):
        StudyResults.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"kind": "probe", "row": "q', "Unterminated string"),
        ('{"kind": "portrait"}', "there is no kind 'portrait'"),
        ('{"row": "qk"}', "it lacks 'kind'"),
        ('{"kind": "floor", "seed": 0, "outcome": {}}', "it lacks 'neighbour_l1'"),
        ('{"kind": "floor", "seed": "zero", "outcome": {"neighbour_l1": 1}}', "zero"),
        ('{"kind": "time", "row": "qk", "outcome": {"timed": [{"row": "qk"}]}}', "it lacks 'length'"),
        ('["kind"]', "list indices"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    folder = broken(tmp_path, line)
    number = len((folder / "results.jsonl").read_text().splitlines())
    with pytest.raises(ResultsError, match=rf"results\.jsonl, line {number}: .*{said}.*run the study again"):
        StudyResults.load(folder)


def test_a_file_without_the_studys_own_line_is_refused(tmp_path: Path) -> None:
    folder = fake_study(tmp_path, rows=("qk",))
    lines = (folder / "results.jsonl").read_text().splitlines()
    (folder / "results.jsonl").write_text("\n".join(lines[1:]))
    with pytest.raises(ResultsError, match="no line of kind 'study'"):
        StudyResults.load(folder)
