"""What commands print: tables as wide as the terminal, JSON alone on stdout, and nothing with --quiet."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import torch

from inattention import AudioTransformer, AudioTransformerConfig
from inattention.cli import main
from inattention.cli.terminal.output import print_json, print_lines
from inattention.corpora.core.corpus import Corpus
from inattention.corpora.readers.espeak.reader import EspeakConfig, prepare
from inattention.text import aligned, within
from toy_corpus import SMALL, utterances, write_corpus

RESULTS = Path(__file__).parents[2] / "results"
COMPARE = ("compare", str(RESULTS / "smoke"), "--against", "qk")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "toy", utterances())


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpora") / "espeak"
    return prepare(EspeakConfig(hours=0.02, voices=3), folder, workers=1, progress=False)


def on_terminal(columns: int, *words: str) -> str:
    """Return what a command prints on a terminal of so many columns."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen(
        [sys.executable, "-m", "inattention", *words],
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as process:
        os.close(follower)
        shown = b""
        try:
            while part := os.read(leader, 65536):
                shown += part
        except OSError:  # Linux's end of a terminal
            pass
        os.close(leader)
    assert process.returncode == 0
    return shown.decode().replace("\r\n", "\n")


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("words", [("mechanisms",), COMPARE, ("corpus", "prepare"), ()])
def test_tables_fit_the_terminal(columns: int, words: tuple[str, ...]) -> None:
    shown = on_terminal(columns, *words)
    assert len(shown.splitlines()) > 5
    assert max(len(line) for line in shown.splitlines()) <= columns


def test_columns_that_do_not_fit_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["mechanisms"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Left out in 80 columns: training, inference, applied in; --json and a wider terminal show them" in shown
    monkeypatch.delenv("COLUMNS")
    assert main(["mechanisms"]) == 0  # in a pipe: one line per mechanism, with all columns
    title = capsys.readouterr().out.splitlines()[0]
    assert title.split() == ["mechanism", "family", "label", "training", "inference", "applied", "in"]


def test_in_a_pipe_comparisons_are_markdown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert main(list(COMPARE)) == 0
    assert capsys.readouterr().out.startswith("| row | masked L1 |")


def test_comparisons_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMPARE, "--only", "none", "uniform", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["row"] for row in rows] == ["uniform", "none"] or [row["row"] for row in rows] == ["none", "uniform"]
    for row in rows:
        assert row["reference"] == "qk"
        assert row["masked_l1"] > 0
        for task, score in row["accuracies"].items():
            assert 0 <= score["mean"] <= 1
            assert row["differences"][task]["verdict"] in ("holds", "does not hold", "cannot be told")


def test_mechanisms_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mechanisms", "--json"]) == 0
    assert {"name", "label", "family", "options", "rows"} <= set(json.loads(capsys.readouterr().out)[0])


def test_a_corpus_as_json(spoken: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "show", str(spoken.folder), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["folder"] == str(spoken.folder)
    assert shown["key"] == spoken.key
    assert shown["splits"]["train"]["cuts"] > 0
    assert shown["preparation"]


def test_times_as_json_and_in_silence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = "--rows none --lengths 16 --width 24 --layers 1 --feed-forward 24 --seconds 0 --rounds 1 --modes forward"
    words = ["time", *small.split(), "--exponent-lengths", "--out", str(tmp_path)]
    assert main([*words, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == json.loads((tmp_path / "timing.json").read_text())
    assert main([*words, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_probes_as_json_and_in_silence(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["probe", "mel", "--corpus", str(corpus.folder), "--tasks", "speaker-frame", "--epochs", "1"]
    assert main([*words, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["model"] == "mel"
    assert shown["report"]["tasks"][0]["task"] == "speaker-frame"
    assert main([*words, "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_working_commands_are_silent_if_asked(
    corpus: Corpus, spoken: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    sizes = {"width": 12, "heads": 2, "layers": 1, "feed_forward": 16, "max_length": 32}
    AudioTransformer(AudioTransformerConfig(attention="qk", features=SMALL, **sizes)).save_pretrained(
        tmp_path / "model"
    )
    audio = corpus.folder / "audio"
    assert main(["extract", str(tmp_path / "model"), str(audio), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    assert main(["corpus", "validate", str(spoken.folder), "--quiet"]) == 0
    assert main(["corpus", "describe", str(spoken.folder), "--cuts", "2", "--workers", "1", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert list((tmp_path / "out").rglob("*.safetensors"))


def test_json_has_no_numbers_that_json_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": float("nan"), "b": [float("inf"), 1.5], "c": Path("x"), 4: ("y",)})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5], "c": "x", "4": ["y"]}


@pytest.mark.parametrize("width", [20, 40, 80])
def test_aligned_columns_lose_nothing_in_narrow_terminals(width: int) -> None:
    head = ["row", *(f"column {i}" for i in range(6))]
    rows = [[f"a-long-row-{i}", *(f"{10 * i + j}.123" for j in range(6))] for i in range(3)]
    text = aligned([head, *rows], width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert all(cell in text for row in rows for cell in row[1:])


def test_long_lines_are_broken_and_short_ones_stay() -> None:
    assert within("  short\none two three", 9) == "  short\none two\nthree"


def test_lines_are_broken_at_the_width_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    text = "title\n  " + "a caveat of many words " * 6
    monkeypatch.setenv("COLUMNS", "40")
    print_lines(text)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 40
    assert [line[:4] for line in lines[1:3]] == ["  a ", "    "]
    assert " ".join(" ".join(lines).split()) == " ".join(text.split())
    monkeypatch.delenv("COLUMNS")
    print_lines(text)
    assert capsys.readouterr().out == f"{text}\n"
