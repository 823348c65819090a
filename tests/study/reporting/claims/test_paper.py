"""Claims: the verdict follows the numbers, whether they support a claim, contradict it or leave it open."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup

from inattention.study import store
from inattention.study.comparison import RowComparison, measured_rows
from inattention.study.reporting.claims.claim import Claim
from inattention.study.reporting.claims.judge import judge_claims
from inattention.study.reporting.measurements import Measurements
from inattention.study.reporting.report import build_report, write_report
from inattention.study.reporting.tables import build_tables
from study.fake import fake_study, put_accuracy, rewrite

HASHING = ("sign-alsh", "xbox", "xbox-qnf", "simple-lsh", "simple-alsh")
ROWS = (
    *("mel", "qk", "qk@identity", "shared-qk", "sparse-strided", "sparse-fixed", *HASHING, "synthesizer-dense"),
    *("synthesizer-random", "patterned", "patterned@logits", "toeplitz", "none", "uniform", "none@untrained"),
)
Accuracy = Callable[[str, str], float]


def study_with(folder: Path, accuracy: Accuracy, *, seeds: tuple[int, ...] = (0,), **options: Any) -> Path:
    """A made-up study with these accuracies by row and task, in which hashing is fast and nothing collapses."""

    def change(line: dict[str, Any]) -> None:
        put_accuracy(line, lambda task: accuracy(line["row"], task), **options)
        if (line["kind"], line.get("row")) == ("pretrain", "shared-qk"):
            line["outcome"]["held_out_l1"] = 0.6  # the made-up study has it collapse
        if line["kind"] == "time" and line["row"] in HASHING:
            for timed in line["outcome"]["timed"]:
                faster = 0.7 / timed["ratio"]
                timed |= {"ratio": 0.7, "round_seconds": [faster * seconds for seconds in timed["round_seconds"]]}

    return rewrite(fake_study(folder, rows=ROWS, seeds=seeds), change)


def judged(folder: Path) -> list[Claim]:
    """The claims of a study, without the figures of its report, which take most of the time."""
    results = store.load(folder)
    comparison = RowComparison(measured_rows(results))
    return judge_claims(Measurements(results, build_tables(results, comparison), comparison))


def claims_of(folder: Path) -> dict[str, Claim]:
    return {str(Markup(claim.text).striptags()): claim for claim in judged(folder)}


def verdicts(folder: Path) -> dict[str, str | None]:
    return {text: claim.verdict for text, claim in claims_of(folder).items()}


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
    found = verdicts(study_with(tmp_path, as_the_paper_has_it))
    for text in (
        "Pre-trained features beat Mel on every task (qk)",
        "Sharing Q and K lowers accuracy on phones, and less so on speakers (shared-qk against qk)",
        "Hashing lowers accuracy on most tasks",
        "Hashing lowers accuracy on speakers by frame more than by utterance, where pooling compensates",
        "Sparse attention is more accurate than hashing",
        "Synthesizers are more accurate than hashing and sparse attention",
        "Synthesizers are less accurate than shared-qk on speakers by frame",
        "Hand-made initial maps are better than random ones",
        "Their advantage is largest on speakers by frame",
        "On speakers by frame, hand-made initial maps are more accurate than qk",
    ):
        assert found[text] == "holds", text
    assert found["Most hashing rows are no faster than query-key attention at 500 frames"] == "does not hold"


def test_claims_do_not_hold_where_numbers_are_the_opposite(tmp_path: Path) -> None:
    def opposite(row: str, task: str) -> float:
        return 1 - as_the_paper_has_it(row, task)

    found = verdicts(study_with(tmp_path, opposite))
    # Claims about time, memory and maps do not depend on accuracies.
    about_accuracy = [text for text in found if not any(word in text for word in ("time", "emory", "Maps", "faster"))]
    assert {found[text] for text in about_accuracy if found[text]} == {"does not hold"}


def test_what_intervals_leave_open_cannot_be_told_and_names_what_would_decide_it(tmp_path: Path) -> None:
    claims = claims_of(study_with(tmp_path, as_the_paper_has_it, utterances=8, spread=0.4))
    claim = claims["Sparse attention is more accurate than hashing"]
    assert claim.verdict == "cannot be told"
    assert re.fullmatch(r"about [\d,]+ test utterances", claim.decided_by)
    assert all(bool(it.decided_by) == (it.verdict == "cannot be told") for it in claims.values())


def test_sharing_has_to_cost_on_phones_as_well_as_more_there(tmp_path: Path) -> None:
    def free_on_phones(row: str, task: str) -> float:
        if row.startswith("shared-qk") and task.startswith("phone"):
            return 0.65
        return 0.8 if row.startswith("qk") and task.startswith("speaker") else as_the_paper_has_it(row, task)

    text = "Sharing Q and K lowers accuracy on phones, and less so on speakers (shared-qk against qk)"
    claim = claims_of(study_with(tmp_path, free_on_phones))[text]
    assert "Phones minus speakers: +9.0" in claim.evidence
    assert claim.verdict == "cannot be told"


@pytest.mark.usefixtures("undrawn")
def test_a_collapsed_row_supports_no_claim_and_is_named(tmp_path: Path) -> None:
    def collapse(line: dict[str, Any]) -> None:
        if (line["kind"], line.get("row")) == ("pretrain", "shared-qk"):
            line["outcome"]["held_out_l1"] = line["outcome"]["mean_l1"]

    folder = rewrite(study_with(tmp_path, as_the_paper_has_it), collapse)
    report = build_report(store.load(folder))
    assert not [claim for claim in report.claims if "Sharing" in claim.text]
    page = write_report(report).read_text()
    assert "Collapsed here: <code>shared-qk</code>" in page
    assert "What the paper claims" in page
    assert "What the paper leaves open" in page
    table = (folder / "claims.md").read_text()
    assert "| claim | verdict | evidence | what would decide it |" in table
    assert "| Hashing lowers accuracy on most tasks | holds | Mean of `sign-alsh`, " in table
    assert not re.search(r"<\w|&\w+;", table)


def test_answers_name_rows_and_numbers(tmp_path: Path) -> None:
    claims = claims_of(study_with(tmp_path, as_the_paper_has_it))
    logits = claims["Are hand-made maps better as log-weights or as logits?"].evidence
    assert re.search(r"speakers by frame \N{MINUS SIGN}7\.0 \[\N{MINUS SIGN}\d+\.\d, [^]]+\]", logits)
    learned = next(claim for text, claim in claims.items() if text.startswith("How fast does each row learn?"))
    assert "<code>patterned</code>" in learned.evidence
    above = claims["How far is patterned@logits above the best control?"].evidence
    assert re.search(r"speakers by frame \+7\.0 \[[^]]+\]\N{DOUBLE DAGGER} over <code>none</code>", above)


def test_a_study_without_query_key_attention_has_its_claims_all_the_same(tmp_path: Path) -> None:
    found = verdicts(fake_study(tmp_path, rows=("mel", "patterned@logits")))
    assert found["Pre-trained features beat Mel on every task (patterned@logits)"]
    assert not [text for text in found if "20 % less time" in text or "Similar memory" in text]  # relative to qk


def test_maps_are_judged_by_the_interval_over_heads(tmp_path: Path) -> None:
    text = "Maps end close to their initialisation (at most 25 % of their weight moved)"
    claim = claims_of(fake_study(tmp_path, rows=("qk", "patterned@logits")))[text]
    assert claim.verdict == "holds"
    assert re.search(r"<code>patterned@logits</code> \d+ % \[\d+, \d+\]", claim.evidence)


@pytest.mark.parametrize(("others", "verdict"), [(0, "holds"), (3, "cannot be told"), (12, "does not hold")])
def test_four_cases_are_judged_from_analyzed_query_key_encoders(tmp_path: Path, others: int, verdict: str) -> None:
    study_with(tmp_path, as_the_paper_has_it)
    results = store.load(tmp_path)
    heads = ["diagonal"] * (74 - others) + ["sparse"] * 2 + ["mixed"] * others
    table = "layer,head,category\n" + "".join(f"1,{i},{name}\n" for i, name in enumerate(heads))
    folders = {row: results.path(results.pretraining[row, 0].folder) for row in ("qk@identity", "patterned")}
    for folder in folders.values():  # the claim is about attention that depends on its input
        (folder / "atlas").mkdir(parents=True)
        (folder / "atlas" / "measures.csv").write_text(table)
    text = "All maps fall into four categories (qk@identity-0; at most 5 % of heads in none)"
    found = claims_of(tmp_path)
    assert found[text].verdict == verdict
    assert ("heads" in found[text].decided_by) == (verdict == "cannot be told")
    assert sum("four categories" in name for name in found) == 1
    counts = f"{74 - others} diagonal, 0 increasing, 0 decreasing and 2 sparse, and {others} in none"
    assert counts in found[text].evidence
    (folders["qk@identity"] / "atlas" / "measures.csv").write_text("category\nround\n")
    assert text not in claims_of(tmp_path)


def test_memory_is_compared_with_query_key_attention_where_all_layers_were_measured(tmp_path: Path) -> None:
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
        claims = judged(rewrite(folder, change))
        found[layers] = {claim.text.split("at ")[1]: claim.verdict for claim in claims if "memory" in claim.text}
    own, long = "the study's own size (", "500 frames ("
    assert {name.split("at most")[0]: it for name, it in found[6].items()} == {own: "holds", long: "does not hold"}
    assert {name.split("at most")[0]: it for name, it in found[2].items()} == {own: "holds"}


def test_means_of_rows_name_those_alone_that_have_counts_per_utterance(tmp_path: Path) -> None:
    def without_counts(line: dict[str, Any]) -> None:
        for task in line["outcome"]["tasks"] if (line["kind"], line.get("row")) == ("probe", "xbox") else ():
            task["counts"] = None

    folder = fake_study(tmp_path, rows=("qk", "sign-alsh", "xbox", "sparse-fixed"), seeds=(0, 1))
    claim = claims_of(rewrite(folder, without_counts))["Hashing lowers accuracy on most tasks"]
    assert "sign-alsh" in claim.evidence
    assert "xbox" not in claim.evidence
