"""The report: all that was found, on one page that needs nothing else and says no more than the numbers do."""

import json
import math
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup

from inattention import attention
from inattention.study import comparison, store
from inattention.study.reporting import report as reporting
from inattention.study.reporting.page import Report
from inattention.study.reporting.report import build_report, write_report
from inattention.study.reporting.rerun_command import rerun_command
from inattention.study.reporting.tables import terminal_table
from inattention.study.store import ResultsError
from study.fake import ROWS, fake_study, put_accuracy, rewrite

pytestmark = pytest.mark.slow

FEW = ("mel", "qk", "patterned", "patterned@untrained")


class Text(HTMLParser):
    """The words of a page, without styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.skipping = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.skipping = tag == "style"
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.skipping = False

    def handle_data(self, data: str) -> None:
        if not self.skipping:
            self.words.append(data)

    def __str__(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


def built(folder: Path) -> Report:
    return build_report(store.load(folder))


def written(folder: Path) -> Path:
    return write_report(built(folder))


def text_of(folder: Path) -> str:
    return str(Text(written(folder).read_text(encoding="utf-8")))


def test_a_report_leaves_its_tables_figures_and_page_and_nothing_half_written(report: Path) -> None:
    folder = report.parent
    names = {path.name for path in folder.iterdir()}
    assert {"report.html", "table1.csv", "table2.csv", "figures", "results.jsonl"} <= names
    figures = {path.name for path in (folder / "figures").iterdir()}
    assert {"accuracy-speaker-frame.svg", "time-speaker-utterance-wide.svg", "loss-step.svg"} <= figures
    assert {"maps-patterned@logits.png", "maps-patterned.png", "maps-synthesizer-random.png"} <= figures
    assert not [name for name in names | figures if "writing" in name]


def test_the_same_results_give_the_same_report(tmp_path: Path) -> None:
    folder = fake_study(tmp_path, rows=FEW)
    first = written(folder).read_bytes()
    assert written(folder).read_bytes() == first


def test_every_row_is_in_both_tables(report: Path) -> None:
    page = report.read_text(encoding="utf-8").replace("<wbr>", "")
    for table, rows in (("table2", ROWS), ("table1", [row for row in ROWS if not re.search("mel|untrained", row)])):
        inside = page[page.index(f'<table id="{table}">') :]
        inside = inside[: inside.index("</table>")]
        for row in rows:
            assert f">{row}</span>" in inside


def test_measured_growth_stands_beside_the_theory_of_the_card(study: Path, report: Path) -> None:
    page = report.read_text(encoding="utf-8").replace("<wbr>", "")
    inside = page[page.index('<table id="theory">') :]
    lines = inside[: inside.index("</table>")].split("</tr>")
    results = store.load(study)
    for name in ("qk", "patterned", "sparse-strided", "none", "simple-alsh"):
        (line,) = (str(Text(it)) for it in lines if f">{name}</span>" in it)
        timing = results.timing.get(name)
        if timing is None:
            assert "missing missing" in re.sub(r"(missing)(?=missing)", r"\1 ", line)
            continue
        fit = timing.exponent
        assert fit is not None
        assert attention.card(name).inference_cost.replace("^", "") in line
        assert f"{fit.exponent:.2f}{fit.exponent_low:.2f}\N{EN DASH}{fit.exponent_high:.2f}" in line
        assert ("2.00" in line.replace(f"{fit.exponent_low:.2f}", "", 1)) == (fit.theory is not None)


@pytest.mark.usefixtures("undrawn")
def test_nothing_is_said_of_growth_that_was_not_measured(tmp_path: Path) -> None:
    def forget(line: dict[str, Any]) -> bool:
        if line["kind"] == "time":
            line["outcome"]["exponent"] = None
        return False

    text = text_of(fake_study(tmp_path, rows=FEW, leave_out=forget))
    assert "In theory" in text
    assert "Measured:" not in text


def test_the_sheet_shows_each_mechanism_of_the_study_once(report: Path) -> None:
    drawn = (report.parent / "figures" / "mechanisms.svg").read_text(encoding="utf-8")
    names = re.findall(r">([a-z@-]+)</text>", drawn)
    for row in ROWS:
        assert names.count(row) == (0 if re.search("mel|untrained", row) else 1), row
    assert "fnet" not in names
    page = report.read_text(encoding="utf-8")
    assert 'id="mechanisms-' in page


def test_a_row_that_cannot_be_drawn_costs_its_pictures_and_not_the_report(tmp_path: Path) -> None:
    folder = fake_study(tmp_path, rows=("qk", "sparse-strided@head_split=13", "not-installed-here"))
    written(folder)
    drawn = (folder / "figures" / "mechanisms.svg").read_text(encoding="utf-8")
    assert ">qk<" in drawn
    assert "sparse" not in drawn


def test_the_page_asks_for_nothing_from_elsewhere(report: Path) -> None:
    page = report.read_text(encoding="utf-8")
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page) + re.findall(r"url\(([^)]*)\)", page)
    assert addresses
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert "<script" not in page
    assert "@import" not in page


@pytest.mark.usefixtures("undrawn")
def test_the_report_links_to_atlases_that_stand_beside_it_and_to_no_others(tmp_path: Path) -> None:
    folder = fake_study(tmp_path, rows=("mel", "patterned@logits", "qk"))
    assert "atlas" not in text_of(folder)
    atlas = folder / "patterned@logits-0" / "atlas" / "atlas.html"
    atlas.parent.mkdir(parents=True)
    atlas.write_text("the atlas")
    page = written(folder).read_text(encoding="utf-8")
    addresses = [it for it in re.findall(r'href="([^"]*)"', page) if not it.startswith(("#", "data:"))]
    assert addresses == ["patterned%40logits-0/atlas/atlas.html"]


def test_what_speakers_and_files_are_called_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    evil = '<script>alert("x")</script>'
    corpus = {
        "name": evil,
        "caveat": evil,
        "speakers": [evil],
        "bad_items": {"count": 1, "items": [[evil, evil]]},
    }
    failures = [{"step": f"probe {evil}", "error": evil}]
    page = written(fake_study(tmp_path, rows=("mel", "qk"), corpus=corpus, failures=failures)).read_text()
    assert "script" not in Text(page).tags
    assert "&lt;script&gt;" in page


def level(accuracies: dict[str, float], **options: Any) -> Callable[[dict[str, Any]], None]:
    """Put rows at accuracies of our choice, in all tasks."""
    return lambda line: put_accuracy(line, lambda task: accuracies.get(line["row"], 0.3), **options)


def said(folder: Path) -> str:
    """The findings as text."""
    found = built(folder).findings
    return " ".join(Markup(text).striptags() for _, paragraphs in found for text in paragraphs)


@pytest.mark.usefixtures("undrawn")
def test_what_an_interval_leaves_open_is_never_called_a_difference(tmp_path: Path) -> None:
    change = level({"patterned": 0.52, "qk": 0.5, "mel": 0.5}, utterances=12, spread=0.3)
    folder = rewrite(fake_study(tmp_path, rows=("mel", "qk", "patterned")), change)
    text = said(folder)
    assert "patterned against qk: no difference can be told on any task" in text
    assert "speakers by utterance, 0 of 2 above and 0 below" in text
    assert "higher" not in text
    for pair in built(folder).pairs:
        assert {found.verdict for found in pair.measured.values()} == {"cannot be told"}


@pytest.mark.usefixtures("undrawn")
def test_differences_are_reported_with_their_intervals(tmp_path: Path) -> None:
    text = said(rewrite(fake_study(tmp_path, rows=FEW), level({"patterned": 0.7, "qk": 0.5})))
    assert re.search(r"patterned against qk: higher on speakers by utterance \(\+20\.0 \[\+1\d\.\d, \+2\d\.\d\]", text)
    assert "patterned against its untrained copy: higher on" in text
    assert "speakers by utterance, 2 of 2 above (qk and patterned) and 0 below" in text


@pytest.mark.usefixtures("undrawn")
def test_old_results_without_counts_are_reported_without_differences(tmp_path: Path) -> None:
    def forget(line: dict[str, Any]) -> None:
        for task in line["outcome"]["tasks"] if line["kind"] == "probe" else ():
            del task["counts"]

    folder = rewrite(fake_study(tmp_path, rows=FEW), forget)
    text = text_of(folder)
    assert "Not measured per utterance: the probes of all rows stored no counts" in text
    assert "No two rows can be compared" in text
    assert "Against query-key attention" not in said(folder)
    assert ",0." in (folder / "table2.csv").read_text()


@pytest.mark.usefixtures("undrawn")
def test_one_seed_intervals_are_marked(tmp_path: Path) -> None:
    page = written(fake_study(tmp_path / "one", rows=FEW)).read_text()
    assert re.search(r'<span class="spread">\[[^]]*\]\N{DOUBLE DAGGER}</span>', page)

    folder = fake_study(tmp_path / "two", rows=FEW, seeds=(0, 1), repeated=("qk",))
    page = written(folder).read_text()
    assert re.search(r'<span class="spread">\[[^]]*\]\N{DAGGER}</span>', page)


@pytest.mark.usefixtures("undrawn")
def test_the_opening_counts_the_seeds_that_have_results(tmp_path: Path) -> None:
    def unfinished(line: dict[str, Any]) -> bool:
        return line.get("seed") == 2 or (line.get("seed") == 1 and line["row"] != "qk")

    page = written(fake_study(tmp_path / "some", rows=FEW, seeds=(0, 1, 2), leave_out=unfinished)).read_text()
    assert "1 to 2 seeds a row so far, of 3 planned" in page
    assert "accuracies on 60 test utterances" in page
    assert "So far" not in page
    some = fake_study(
        tmp_path / "some", rows=FEW, leave_out=lambda line: (line["kind"], line["row"]) == ("pretrain", "qk")
    )
    assert "So far 1 of 2 encoders that differ only in their attention" in written(some).read_text()
    page = written(fake_study(tmp_path / "all", rows=FEW, seeds=(0, 1))).read_text()
    assert "2 seeds: intervals cover" in page


def test_everything_is_computed_once_for_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Counter[str] = Counter()

    def counting(module: Any, name: str) -> None:
        original = getattr(module, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            calls[name] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, counted)

    steps = (
        "measured_rows", "build_tables", "row_pairs", "judge_claims", "findings", "learning_curves", "draw_figures",
        "learned_maps",
    )  # fmt: skip
    for name in steps:
        counting(reporting, name)
    counting(comparison, "PairedBootstrap")
    monkeypatch.setattr(store, "load", store.load)
    counting(store, "load")
    report = built(fake_study(tmp_path, rows=FEW))
    write_report(report)
    assert terminal_table(report.tables)
    assert calls == {**dict.fromkeys(steps, 1), "load": 1, "PairedBootstrap": 2}  # sound rows, and collapsed ones


def test_a_run_that_diverged_is_told_and_does_not_spoil_the_rest(tmp_path: Path) -> None:
    def diverge(line: dict[str, Any]) -> bool:
        if line["kind"] == "pretrain" and line["row"] == "qk":
            line["outcome"]["held_out_l1"] = math.nan
            for point, loss in zip(line["curve"], [0.9, 40.0, *[math.nan] * (len(line["curve"]) - 2)], strict=True):
                point["held_out_l1"] = loss
        return False

    folder = fake_study(tmp_path, rows=FEW, leave_out=diverge)
    assert "Lowest on held-out speech: patterned" in said(folder)
    assert "Collapsed" in text_of(folder)
    drawn = (folder / "figures" / "loss-step.svg").read_text()
    assert ">qk<" in drawn
    assert "nan" not in drawn
    assert len(re.findall(r">0\.\d+<", drawn)) > 3  # ticks: the scale is that of the others


@pytest.mark.usefixtures("undrawn")
def test_what_is_missing_is_listed(study: Path, report: Path) -> None:
    text = str(Text(report.read_text(encoding="utf-8")))
    assert "Failed: pretrain xbox-qnf-0: OutOfMemoryError: made up" in text
    assert "Missing: timing of simple-alsh" in text
    assert "voice-3-0007: is silent" in text
    listed = [str(it) for it in built(study).missing]
    assert not [it for it in listed if "pre-training of" in it and "xbox-qnf-0" in it]  # it failed: listed already


@pytest.mark.usefixtures("undrawn")
def test_unreadable_lines_and_results_of_earlier_settings_are_listed(tmp_path: Path) -> None:
    folder = fake_study(tmp_path, rows=FEW)
    with (folder / "results.jsonl").open("a") as file:
        file.write("{broken\n")
    lines = (folder / "results.jsonl").read_text().splitlines()
    head = json.loads(lines[0])
    head |= {"rows": ["mel", "patterned"], "jobs": [job for job in head["jobs"] if job["row"] in ("mel", "patterned")]}
    (folder / "results.jsonl").write_text("\n".join([json.dumps(head), *lines[1:]]) + "\n")
    text = text_of(folder)
    assert re.search(r"Unreadable: results\.jsonl, line \d+: .*; the line is skipped and stays in the file", text)
    assert re.search(r"also holds \d+ results that this study does not ask for: rows qk, patterned@untrained", text)


@pytest.mark.parametrize("kept", [(), ("pretrain",), ("probe",), ("time",), ("pretrain", "probe", "floor")])
def test_whatever_is_missing_there_is_a_report_that_says_so(tmp_path: Path, kept: tuple[str, ...]) -> None:
    text = text_of(fake_study(tmp_path, rows=FEW, leave_out=lambda line: line["kind"] not in kept))
    if "time" not in kept:
        assert "Missing: timing of qk and patterned" in text
        assert "No row was both probed and timed" in text
    if "probe" not in kept:
        assert "Missing: probes of mel-0, qk-0, patterned-0 and patterned@untrained-0" in text
    if "pretrain" not in kept:
        assert "No run has a curve" in text
    if not kept:
        assert "Nothing has been measured yet" in text


@pytest.mark.usefixtures("undrawn")
def test_a_leaking_task_is_called_one(tmp_path: Path) -> None:
    def leak(line: dict[str, Any]) -> None:
        line["config"]["training"]["masking"]["before_deltas"] = False

    assert "This task leaks" in text_of(fake_study(tmp_path / "leaking", rows=("qk",), change_head=leak))
    assert "so that nothing leaks" in text_of(fake_study(tmp_path / "mended", rows=("qk",)))


def test_a_broken_file_of_maps_costs_the_picture_and_not_the_report(tmp_path: Path) -> None:
    folder = fake_study(tmp_path, rows=FEW)
    for maps in folder.glob("steps/*/maps.safetensors"):
        maps.write_bytes(b"broken")
    assert "does not contain attention maps" in text_of(folder)


def test_figures_of_rows_that_are_gone_are_taken_away(tmp_path: Path) -> None:
    written(fake_study(tmp_path, rows=FEW))
    assert (tmp_path / "figures" / "maps-patterned.png").exists()
    written(fake_study(tmp_path, rows=("mel", "qk")))
    assert not (tmp_path / "figures" / "maps-patterned.png").exists()


@pytest.mark.usefixtures("undrawn")
def test_results_that_cannot_be_read_leave_the_old_report(tmp_path: Path) -> None:
    folder = fake_study(tmp_path, rows=("mel",))
    old = written(folder).read_bytes()
    (folder / "results.jsonl").write_text("{")
    with pytest.raises(ResultsError):
        written(folder)
    assert (folder / "report.html").read_bytes() == old


def test_the_command_names_what_differs_from_the_preset(tmp_path: Path) -> None:
    def change(line: dict[str, Any]) -> None:
        line["config"]["training"]["learning_rate"] = 0.5
        line["config"]["training"]["masking"]["before_deltas"] = False
        line["config"]["timing"]["lengths"] = [250, 500]

    results = store.load(fake_study(tmp_path, rows=("qk", "mel"), seeds=(3, 4), change_head=change))
    assert rerun_command(results) == (
        "inattention study --preset smoke --only qk mel --seeds 3 4 --training.learning-rate 0.5 "
        "--training.masking.no-before-deltas --timing.lengths 250 500"
    )


def test_a_row_that_starts_from_a_file_in_a_folder_is_drawn_too(tmp_path: Path) -> None:
    row = "patterned@init=../elsewhere/maps.safetensors"
    folder = fake_study(tmp_path / "study", rows=("mel", "qk", "patterned"))
    path = folder / "results.jsonl"
    path.write_text(path.read_text().replace('"patterned"', f'"{row}"'))
    page = written(folder).read_text()
    assert f"<code>{row}</code>" in page
    assert (folder / "figures" / "maps-patterned@init=..%2Felsewhere%2Fmaps.safetensors.png").is_file()
    assert [it.name for it in tmp_path.iterdir()] == ["study"]
