"""Claims: each judged right where numbers were made to bear it out, to contradict it, and to leave it open."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup

from inattention.probing.config import TASKS
from inattention.study.reporting.claims.paper import Claim, judge
from inattention.study.reporting.measurements import Evidence, Gap, all_above, mean, most
from inattention.study.reporting.report import write_report
from inattention.study.results import StudyResults
from inattention.study.store import load
from study.fake import fake_study

HASHING = ("sign-alsh", "xbox", "xbox-qnf", "simple-lsh", "simple-alsh")
ROWS = (
    *("mel", "qk", "qk@identity", "shared-qk", "sparse-strided", "sparse-fixed", *HASHING, "synthesizer-dense"),
    *("synthesizer-random", "patterned", "patterned@logits", "toeplitz", "none", "uniform", "none@untrained"),
)
Accuracy = Callable[[str, str], float]


def study_with(folder: Path, accuracy: Accuracy, *, half: float = 0.01, seeds: tuple[int, ...] = (0,)) -> StudyResults:
    """A made-up study with these accuracies by row and task, a little apart from seed to seed."""

    def rewrite(path: Path) -> None:
        lines = [json.loads(text) for text in path.read_text().splitlines()]
        for line in lines:
            for task in line.get("outcome", {}).get("tasks", []):
                middle = accuracy(line["row"], task["task"]) + 0.002 * line["seed"]
                task |= {"accuracy": middle, "low": middle - half, "high": middle + half}
            if (line["kind"], line.get("row")) == ("pretrain", "shared-qk"):
                line["outcome"]["held_out_l1"] = 0.6  # the made-up study has it collapse
            if line["kind"] == "time" and line["row"] in HASHING:
                for timed in line["outcome"]["timed"]:
                    timed |= {"ratio": 0.7, "ratio_low": 0.68, "ratio_high": 0.72}
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    fake_study(folder, rows=ROWS, seeds=seeds)
    rewrite(folder / "results.jsonl")
    return load(folder)


def judgements(results: StudyResults) -> dict[str, str | None]:
    return {str(Markup(claim.text).striptags()): claim.judgement for claim in judge(results)}


def as_the_paper_has_it(row: str, task: str) -> float:
    speaker = task.startswith("speaker")
    frame = task == "speaker-frame"
    if row == "mel":
        return 0.05 if speaker else 0.52
    if row == "shared-qk":
        return 0.89 if speaker else 0.59
    if row in HASHING:
        return 0.60 if frame else 0.80 if speaker else 0.50
    if row.startswith("sparse"):
        return 0.70 if frame else 0.82 if speaker else 0.54
    if row.startswith("synthesizer"):
        return 0.80 if frame else 0.83 if speaker else 0.58
    if row == "patterned@logits":
        return 0.97 if frame else 0.88 if speaker else 0.62
    return 0.90 if speaker else 0.65


def test_claims_hold_where_numbers_are_the_papers(tmp_path: Path) -> None:
    found = judgements(study_with(tmp_path, as_the_paper_has_it))
    for text in (
        "Pre-training beats Mel by far (qk)",
        "Sharing Q and K costs little on speakers, more on phones (shared-qk against qk)",
        "Hashing hurts most tasks",
        "Hashing hurts speakers by frame more than by utterance, where pooling makes up for it",
        "Sparse attention does better than hashing",
        "Synthesizers do better than hashing and sparse on average",
        "Synthesizers miss shared-qk on speakers by frame",
        "The hand-made start beats the random one",
        "It does so most on speakers by frame",
        "On speakers by frame it beats qk",
    ):
        assert found[text] == "holds", text
    assert found["Hashing is no faster at 500 steps"] == "does not hold"


def test_claims_do_not_hold_where_numbers_say_the_opposite(tmp_path: Path) -> None:
    def opposite(row: str, task: str) -> float:
        return 1 - as_the_paper_has_it(row, task)

    found = judgements(study_with(tmp_path, opposite))
    # What is left: claims on time and maps, which accuracies do not touch.
    about_accuracy = [text for text in found if not any(word in text for word in ("time", "emory", "Maps", "faster"))]
    assert {found[text] for text in about_accuracy if found[text]} == {"does not hold"}


def test_what_intervals_leave_open_cannot_be_told(tmp_path: Path) -> None:
    found = judgements(study_with(tmp_path, as_the_paper_has_it, half=0.3))
    for text in ("Hashing hurts most tasks", "Sparse attention does better than hashing"):
        assert found[text] == "cannot be told"


def test_one_seed_is_widened_by_what_seeds_are_worth_elsewhere(tmp_path: Path) -> None:
    fake_study(tmp_path, rows=("mel", "qk", "none"), seeds=(0, 1))
    path = tmp_path / "results.jsonl"
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    lines[0]["config"]["repeated"] = ["qk"]
    kept = [line for line in lines if not (line.get("row") == "none" and line["seed"] == 1)]
    for line in kept:
        for task in line.get("outcome", {}).get("tasks", []):
            middle = 0.5 + (0.08 * line["seed"] if line["row"] == "qk" else 0)
            task |= {"accuracy": middle, "low": middle - 0.01, "high": middle + 0.01}
    path.write_text("".join(json.dumps(line) + "\n" for line in kept))
    of = Evidence(load(tmp_path))
    deviation = 8 / math.sqrt(2)
    assert of.seed_deviation == pytest.approx(dict.fromkeys(TASKS, deviation))
    none = of.accuracy("phone-1-hidden", "none")
    assert none is not None
    assert none.high - none.points == pytest.approx(math.hypot(1.0, 1.96 * deviation), rel=1e-3)
    mel = of.accuracy("phone-1-hidden", "mel")
    assert mel is not None
    assert mel.high - mel.low < 3


def test_a_collapsed_row_supports_no_claim_and_is_named(tmp_path: Path) -> None:
    results = study_with(tmp_path, as_the_paper_has_it)
    path = tmp_path / "results.jsonl"
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    for line in lines:
        if (line["kind"], line.get("row")) == ("pretrain", "shared-qk"):
            line["outcome"]["held_out_l1"] = line["outcome"]["mean_l1"]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    results = load(tmp_path)
    assert "Sharing Q and K costs little on speakers, more on phones (shared-qk against qk)" not in judgements(results)
    page = write_report(tmp_path).read_text()
    assert "Rows that collapsed support no claim: <code>shared-qk</code>" in page
    assert "What the paper claims" in page
    assert "What it could not say" in page
    assert "<strong>One seed</strong>: they say nothing" in page
    written = (tmp_path / "claims.md").read_text()
    assert "| Hashing hurts most tasks | holds | `sign-alsh`, " in written
    assert not re.search(r"<\w|&\w+;", written)


def test_answers_name_rows_and_numbers(tmp_path: Path) -> None:
    claims: dict[str, Claim] = {
        str(Markup(claim.text).striptags()): claim for claim in judge(study_with(tmp_path, as_the_paper_has_it))
    }
    logits = claims["Hand-made maps as log-weights or as logits?"].evidence
    assert "speakers by frame \N{MINUS SIGN}7.0 [\N{MINUS SIGN}8.4, \N{MINUS SIGN}5.6]" in logits
    learned = next(claim for text, claim in claims.items() if text.startswith("How fast does each learn?"))
    assert "<code>patterned</code>" in learned.evidence
    above = claims["How far is patterned@logits above the best control?"].evidence
    assert "speakers by frame +7.0 [+5.6, +8.4] over <code>none</code>" in above


def test_a_study_without_query_key_attention_has_its_claims_all_the_same(tmp_path: Path) -> None:
    fake_study(tmp_path, rows=("mel", "patterned@logits"))
    found = judgements(load(tmp_path))
    assert found["Pre-training beats Mel by far (patterned@logits)"]
    assert "20 % less time in training (at most 0.85 of it)" in found
    assert "Similar memory in training" not in found


def test_differences_add_as_independent_intervals_do() -> None:
    gap = Gap(10, 7, 13) - Gap(4, 0, 8)
    assert (gap.points, gap.high - gap.points) == (6, 5)
    assert mean([Gap(0, -3, 3), Gap(2, -2, 6)]).high == pytest.approx(1 + 2.5)
    assert all_above([Gap(1, 0.5, 2), Gap(1, -1, 3)]) == "cannot be told"
    assert all_above([]) == most([]) == "not measured"
    assert most([True, True, False]) == "holds"
    assert most([True, False, False]) == "does not hold"


@pytest.mark.parametrize(("others", "judgement"), [(3, "holds"), (4, "does not hold")])
def test_four_cases_are_judged_from_analyzed_query_key_encoders(tmp_path: Path, others: int, judgement: str) -> None:
    results = study_with(tmp_path, as_the_paper_has_it)
    heads = ["diagonal"] * (70 - others) + ["sparse"] * 2 + ["mixed"] * others
    table = "layer,head,category\n" + "".join(f"1,{i},{name}\n" for i, name in enumerate(heads))
    for row in ("qk@identity", "patterned"):  # the claim is about attention that looks at its input
        folder = results.path(results.pretraining[row, 0].folder)
        (folder / "atlas").mkdir(parents=True)
        (folder / "atlas" / "measures.csv").write_text(table)
    text = "All maps fall into four cases (qk@identity-0; at most 5 % of heads in none)"
    found = {str(Markup(claim.text).striptags()): claim for claim in judge(results)}
    assert found[text].judgement == judgement
    assert sum("four cases" in name for name in found) == 1
    assert f"{70 - others} diagonal, 0 increasing, 0 decreasing and 2 sparse, and {others} in none" in str(
        found[text].evidence
    )
    folder = results.path(results.pretraining["qk@identity", 0].folder)
    (folder / "atlas" / "measures.csv").write_text("category\nround\n")
    assert text not in judgements(results)


def test_memory_is_held_against_query_key_attention_where_all_layers_were_measured(tmp_path: Path) -> None:
    def change(line: dict[str, Any]) -> None:
        if line["kind"] == "time":
            more = 1.2 if line["row"] == "patterned@logits" else 1
            train = next(it for it in line["outcome"]["timed"] if (it["mode"], it["length"]) == ("train", 500))
            train |= {"peak_bytes": int(90e6 * more), "weight_bytes": int(10e6 * more)}
            line["outcome"]["own"] = {**train, "peak_bytes": 80_000_000, "weight_bytes": int(10e6 * more)}
            line["outcome"]["config"]["layers"] = layers

    found = {}
    for layers in (6, 2):
        folder = fake_study(tmp_path / str(layers), rows=("qk", "patterned@logits"))
        path = folder / "results.jsonl"
        lines = [json.loads(text) for text in path.read_text().splitlines()]
        for line in lines:
            change(line)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        claims = judge(load(folder))
        found[layers] = {claim.text.split("at ")[1]: claim.judgement for claim in claims if "memory" in claim.text}
    own, long = "the study's own size (", "500 steps ("
    assert {name.split("at most")[0]: it for name, it in found[6].items()} == {own: "holds", long: "does not hold"}
    assert {name.split("at most")[0]: it for name, it in found[2].items()} == {own: "holds"}
