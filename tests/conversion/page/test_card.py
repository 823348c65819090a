"""The model card of a converted encoder."""

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from inattention.conversion.page.card import CARD, render_card, write_card
from inattention.conversion.page.sources import Sources

RECORD: dict[str, Any] = {
    "to": "toeplitz@table",
    "layers": 2,
    "conversion": {"layers": [None, {"row": "toeplitz@table"}]},
    "teacher": {"name": "some/whisper", "family": "whisper"},
    "speech": {"name": "calls"},
    "steps": 3,
    "config": {"seed": 7},
    "relative_error": {"start": 0.5, "after": 0.25},
}
WORDS = {
    "length": "own",
    "utterances": 9,
    "student": {"word_error_rate": 0.25},
    "teacher": {"word_error_rate": 0.2},
    "difference": [0.05, -0.01, 0.11],
}
TIMES = [
    {"model": it, "speech_seconds": seconds, "ratio": {"ratio": ratio}}
    for it in ("teacher", "student")
    for seconds, ratio in ((2, 0.05), (5, 0.125))
]
LONG = {**WORDS, "length": "30", "student": {"word_error_rate": 0.3}, "difference": None}
MEASURED = {"speech": {"name": "calls", "split": "test"}, "words": [WORDS, LONG], "times": TIMES}


def sources(record: dict[str, Any] | None = None, measured: dict[str, Any] | None = None) -> Sources:
    return Sources(record or RECORD, [], [], 0, measured, [])


def test_the_card_says_what_was_replaced_and_measured() -> None:
    text = render_card("mine", sources(measured=MEASURED))
    data = ModelCard(text).data
    assert (data.base_model, data.pipeline_tag, data.library_name) == (
        "some/whisper", "automatic-speech-recognition", "inattention",
    )  # fmt: skip
    assert [(it.metric_type, it.metric_value, it.dataset_name) for it in data.eval_results] == [
        ("wer", 0.25, "calls, fed the speech"),
        ("wer", 0.3, "calls, fed 30 s"),
    ]
    for part in (
        "1 of its 2 encoder layers",
        "0.250, original 0.200 (+0.050 [-0.010, +0.110])",
        "5 s",
        "0.125",
        "seed 7",
    ):
        assert part in text


def test_what_was_not_measured_is_not_on_it() -> None:
    text = render_card("mine", sources())
    assert "word error rate" not in text
    assert ModelCard(text).data.eval_results is None


def test_a_readme_of_others_is_kept_and_ours_is_replaced(tmp_path: Path) -> None:
    write_card(tmp_path, sources())
    write_card(tmp_path, sources(measured=MEASURED))
    assert "word error rate" in (tmp_path / CARD).read_text()
    (tmp_path / CARD).write_text("My own words.")
    write_card(tmp_path, sources())
    assert (tmp_path / CARD).read_text() == "My own words."


@pytest.mark.parametrize("name", ["a|b", "`x`", "<script>", "a\nb", 'it\'s: "quoted"'])
def test_names_of_others_break_neither_table_nor_metadata(name: str) -> None:
    text = render_card(name, sources({**RECORD, "teacher": {"name": name}, "speech": {"name": name}}, MEASURED))
    assert ModelCard(text).data.base_model == name
    assert "<script>" not in text.split("---")[2]
    assert all(line.count("|") - line.count("\\|") == 3 for line in text.splitlines() if line.startswith("| "))
