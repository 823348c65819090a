"""CPC labels: frames become times, and nothing else is read as if it were right."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inattention.corpora.labels.cpc import CLASSES, CpcError, CpcLabels, parse_cpc_line, read_cpc_split
from intervals import QUICK


@QUICK
@given(st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=300))
def test_cpc_frames_of_10_ms_become_the_same_labels_in_seconds(labels: list[int]) -> None:
    name, phones = parse_cpc_line("103-1240-0000 " + " ".join(map(str, labels)) + "\n")
    assert name == "103-1240-0000"
    assert phones[0][1] == 0.0
    assert phones[-1][2] == pytest.approx(0.01 * len(labels))
    for frame, label in enumerate(labels):
        centre = (frame + 0.5) * 0.01
        assert [s for s, a, b in phones if a <= centre < b] == [str(label)]


@QUICK
@given(st.text(max_size=100))
def test_a_line_that_is_no_cpc_line_is_refused(text: str) -> None:
    line = "name x" + text
    with pytest.raises(CpcError):
        parse_cpc_line(line)


@pytest.mark.parametrize("label", ["41", "-1", "1.0", "007", "٣", "", "1e1"])
def test_a_label_that_is_no_class_is_refused(label: str) -> None:
    with pytest.raises(CpcError):
        parse_cpc_line(f"a {label}")


def test_cpc_files_are_read_an_utterance_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("a 1 1 2\n\nb 3 x\nc 4\nc 4\n")
    labels = CpcLabels(path)
    assert len(labels) == 3
    assert labels.phones("a") == [("1", 0.0, 0.02), ("2", 0.02, 0.03)]
    with pytest.raises(CpcError, match=r"labels.txt, line 3: 'b' has the label 'x'"):
        labels.phones("b")
    with pytest.raises(CpcError, match="has two lines"):
        labels.phones("c")
    with pytest.raises(CpcError, match="has no line"):
        labels.phones("d")
    for content, words in ((b"", "has no labels"), (b"a \xff\n", "line 1: is no text"), (b"a " * 2**20, "longer")):
        path.write_bytes(content)
        with pytest.raises(CpcError, match=words):
            CpcLabels(path)
    with pytest.raises(CpcError, match="cannot be read"):
        CpcLabels(tmp_path / "none")


def test_a_cpc_split_is_a_name_a_line(tmp_path: Path) -> None:
    path = tmp_path / "split.txt"
    path.write_text("a\nb\r\n\n")
    assert read_cpc_split(path) == {"a", "b"}
    path.write_text("a b\n")
    with pytest.raises(CpcError, match="line 1: has 2 words"):
        read_cpc_split(path)
    path.write_text("\n")
    with pytest.raises(CpcError, match="names no utterance"):
        read_cpc_split(path)
