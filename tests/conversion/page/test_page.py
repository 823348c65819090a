"""The page of a conversion: what it shows, that it is safe, and that a browser shows it at every width."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

transformers = pytest.importorskip("transformers")

from inattention.cli.convert import open_speech  # noqa: E402
from inattention.conversion.page.page import PAGE, against, write_page  # noqa: E402
from inattention.conversion.trained.config import TrainedConversionConfig  # noqa: E402
from inattention.conversion.trained.convert import convert_trained  # noqa: E402

CONFIG = TrainedConversionConfig(
    to="toeplitz@table", heads="0,2", steps=2, held_out=2, start_windows=1, examples=2, accumulate=1
)
ACCURACY = {"accuracy": 0.5, "low": 0.4, "high": 0.6}
TIME = {"input_seconds": 5.0, "bytes": 2**20, "ratio": {"ratio": 0.1, "low": 0.09, "high": 0.11, "rounds": 3}}


def words(length: str) -> dict[str, Any]:
    return {
        "length": length, "utterances": 2, "words": 10, "student": {"word_error_rate": 0.3, "loops": 1},
        "teacher": {"word_error_rate": 0.25, "loops": 0}, "difference": [0.05, 0.01, 0.09],
        "without_loops": {
            "utterances": 1, "words": 5, "student": 0.2, "teacher": 0.2, "difference": None, "words_changed": 0.1,
        },
        "transcribed": 2, "words_changed": 0.2, "words_changed_interval": [0.2, 0.1, 0.3],
        "counts": {"utterances": [], "words": [], "student_errors": [], "teacher_errors": []},
    }  # fmt: skip


def measurements(digest: str) -> dict[str, Any]:
    probes = [
        {"task": task, "layer": layer, "student": ACCURACY, "teacher": ACCURACY, "difference": [0.0, -0.1, 0.1],
         "chance": 0.1, "utterances": 5}
        for task in ("speaker-utterance", "phone-1-hidden") for layer in range(2)
    ]  # fmt: skip
    times = [{"model": it, "speech_seconds": 5, "seconds": 0.0123, **TIME} for it in ("student", "teacher")]
    return {
        "model": {"name": "m", "digest": digest}, "speech": {"name": "calls", "split": "test", "utterances": 2},
        "decoding": "greedy", "words": [words("own"), words("30")], "probes": probes, "times": times, "notes": [],
        "config": {"rounds": 3, "threads": 1}, "device": "cpu", "relative_error": {"layers": [0.1, 0.2], "examples": 4},
    }  # fmt: skip


def heard(utterance: str, audio: str | None = None) -> dict[str, Any]:
    return {
        "utterance": utterance, "seconds": 1.0, "changed": 1, "text": "five <b>men</b>", "student": "five hens",
        "student_loops": True, "teacher": "five men", "teacher_loops": False, "audio": audio,
    }  # fmt: skip


@pytest.fixture(scope="module")
def converted(whisper_folder: Path, recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("converted")
    convert_trained(str(whisper_folder), open_speech(recordings, None), folder, CONFIG, progress=False)
    return folder


@pytest.fixture
def measured(converted: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(converted, folder)
    digest = json.loads((folder / "conversion.json").read_text())["model"]["digest"]
    (folder / "measurements.json").write_text(json.dumps(measurements(digest)))
    differing = {"digest": digest, "utterances": [heard("a", "T2dnUw=="), heard("<script>alert(1)</script>")]}
    (folder / "transcripts-differing.json").write_text(json.dumps(differing))
    write_page(folder)
    return folder


def test_a_conversion_writes_its_page(converted: Path) -> None:
    page = (converted / PAGE).read_text(encoding="utf-8")
    record = json.loads((converted / "conversion.json").read_text())
    assert "heads 0,2 of all 2 encoder layers" in page
    assert f"{record['relative_error']['after']:.3f}" in page
    assert "inattention measure" in page
    # Maps of both models for two layers of four heads, and of the kept heads that they are the teacher's.
    assert page.count("data:image/png") == 2 * 2 * 4
    assert page.count("</b> kept") == 2 * 2
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_measurements_are_added_to_the_page(measured: Path) -> None:
    page = (measured / PAGE).read_text(encoding="utf-8")
    for text in ("+0.050 [+0.010, +0.090]", "Probes by layer", "12.3", "(loop)", "<mark>hens</mark>", "calls"):
        assert text in page
    assert page.count("<audio ") == 1
    assert "Not measured yet" not in page


def test_text_from_transcripts_and_names_is_escaped(measured: Path) -> None:
    page = (measured / PAGE).read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "<b>men" not in page


def test_measurements_of_another_model_are_not_shown(measured: Path) -> None:
    (measured / "measurements.json").write_text(json.dumps(measurements("another")))
    page = write_page(measured).read_text(encoding="utf-8")
    assert "Not measured yet" in page
    assert "<audio " not in page


def test_measurements_elsewhere_have_a_page_of_their_own(converted: Path, measured: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(measured / "measurements.json", elsewhere)
    before = (converted / PAGE).read_bytes()
    assert "Probes by layer" in write_page(converted, elsewhere).read_text(encoding="utf-8")
    assert (converted / PAGE).read_bytes() == before


def test_a_conversion_of_an_earlier_version_has_a_page(converted: Path, tmp_path: Path) -> None:
    record = json.loads((converted / "conversion.json").read_text())
    for name in ("curve", "model", "device"):
        del record[name]
    del record["teacher"]["family"]
    (tmp_path / "conversion.json").write_text(json.dumps(record))
    assert "Error of hidden states" in write_page(tmp_path).read_text(encoding="utf-8")


def test_a_folder_without_a_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"conversion\.json cannot be read"):
        write_page(tmp_path)


def test_words_that_the_reference_lacks_are_marked_whatever_their_case_and_punctuation() -> None:
    assert against("The CAT, sat <here>.", "the cat sat") == "The CAT, sat <mark>&lt;here&gt;.</mark>"
    assert against("a b", None) == "a b"
    assert against("", "a b") == ""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_a_browser_shows_the_page_without_errors_requests_or_sideways_scrolling(
    browser: Any, measured: Path, width: int, scheme: str
) -> None:
    staged(measured)
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    troubles: list[str] = []
    address = (measured / PAGE).as_uri()
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda it: None if it.url.startswith(("data:", address)) else troubles.append(it.url))
    page.goto(address)
    assert not troubles
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].filter(it => it.complete && !it.naturalWidth).length") == 0
    page.close()


def staged(folder: Path) -> Path:
    """Pretend that a conversion was made in stages."""
    path = folder / "conversion.json"
    record = json.loads(path.read_text())
    sides = {"student": {"word_error_rate": 0.3, "loops": 1}, "teacher": {"word_error_rate": 0.2, "loops": 0}}
    words = {"length": "own", "utterances": 40, "words": 300, "difference": [0.1, 0.05, 0.15], **sides}
    record["config"] |= {"order": "least-dependent", "until": "wer=+0.15"}
    record["stages"] = [
        {"stage": number, "layer": layer, "layers": layers, "input_dependence": 0.25, "steps": 5, "seconds": 61.0,
         "relative_error": {"start": 0.5, "after": 0.2 * number}, "words": words, "within": kept, "kept": kept}
        for number, layer, layers, kept in ((1, 1, [1], True), (2, 0, [0, 1], False))
    ]  # fmt: skip
    path.write_text(json.dumps(record))
    return write_page(folder)


def test_a_conversion_in_stages_shows_its_frontier(measured: Path) -> None:
    page = staged(measured).read_text(encoding="utf-8")
    for text in ("Layer after layer", "depend least on the input", "wer=+0.15", "stage 1", "+0.100 [+0.050, +0.150]"):
        assert text in page
    assert "2 replaced: 0.4" in page
    assert "Teacher 0.200; 1 replaced: 0.300" in page
    assert page.count(" beyond</th>") == 1


def test_heads_are_listed_by_the_error_of_replacing_them(converted: Path) -> None:
    page = (converted / PAGE).read_text(encoding="utf-8")
    heads = json.loads((converted / "conversion.json").read_text())["heads"]
    first = max(heads, key=lambda it: it["error_alone"])
    table = page[page.index("Error if replaced alone") :]
    assert table.index(f'<th scope="row">{first["layer"]}.{first["head"]}</th>') == table.index('<th scope="row">')
    assert f"Of {len(heads)} heads" in page


def test_a_conversion_without_a_report_on_heads_has_a_page(measured: Path) -> None:
    path = measured / "conversion.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"heads": []}))
    assert "Heads of the original" not in write_page(measured).read_text(encoding="utf-8")
