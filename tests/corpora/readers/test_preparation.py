"""Each preparation ends with a ledger: printed, saved, and the same after an interruption."""

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from inattention.cli import main
from inattention.corpora.core.preparation import FILE, read_preparation
from inattention.corpora.errors import CorpusError
from inattention.corpora.readers import folder
from inattention.corpora.readers.folder import FolderConfig, prepare
from recordings import RATE, noise, people, textgrid, write


@pytest.fixture
def some_bad(tmp_path: Path) -> Path:
    root = people(tmp_path / "in", ("ann", "bob"), each=6)
    for number in range(3):
        write(root / f"ann/silent-{number}.wav", np.zeros(RATE))
    write(root / "bob/short.wav", noise(0.1))
    for number in range(4):
        (root / f"bob/{number}.TextGrid").write_text(textgrid([("ah", 0.0, 0.3)]))
        (root / f"ann/{number}.TextGrid").write_text(textgrid([("ah", 0.0, 0.3 if number else 9.0)]))
    return root


def counts(where: Path, kind: str) -> dict[str, int]:
    (count,) = (count for count in json.loads((where / FILE).read_text())["counts"] if count["kind"] == kind)
    return {name: value for name, value in count.items() if name != "kind"}


def test_every_recording_and_label_is_accounted_for(some_bad: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert main(["corpus", "prepare", "folder", "--path", str(some_bad), "--out", str(out), "--workers", "1"]) == 0
    text = capsys.readouterr().out
    assert counts(out, "recording") == {"found": 16, "used": 12, "repaired": 0, "skipped": 4, "ignored": 0}
    assert counts(out, "label") == {"found": 8, "used": 7, "repaired": 0, "skipped": 1, "ignored": 0}
    saved = json.loads((out / FILE).read_text())
    outcome = Counter((item["outcome"], item["kind"]) for item in saved["items"])
    assert outcome == {("skipped", "recording"): 4, ("skipped", "label"): 1, ("used", "recording"): 4}
    assert "used without labels: 4\n    ann/4.wav\n" in text
    assert {item["item"] for item in saved["items"]} >= {"ann/silent-2.wav", "bob/short.wav", "ann/0.TextGrid"}
    assert "WARNING: more than a tenth of the recordings was dropped: 4 of 16 (25 %); --shortest-seconds" in text
    assert "more than a tenth of the labels of 1 speakers was dropped: ann (1 of 4)" in text
    assert main(["corpus", "show", str(out)]) == 0
    assert capsys.readouterr().out == text


def test_strict_preparation_fails_if_anything_was_skipped_and_writes_the_corpus(
    some_bad: Path, tmp_path: Path, capsys
) -> None:
    command = ["corpus", "prepare", "folder", "--path", str(some_bad), "--out", str(tmp_path / "out"), "--workers", "1"]
    assert main([*command, "--strict"]) == 2
    assert "5 items were skipped" in capsys.readouterr().err
    assert read_preparation(tmp_path / "out").skipped == 5
    assert main([*command, "--strict"]) == 2  # and again when there is nothing to do
    os.remove(tmp_path / "out" / FILE)  # as older versions left it
    assert main([*command, "--strict"]) == 2
    assert main(command) == 0
    assert "5 bad items skipped" in capsys.readouterr().out


def test_strict_preparation_of_good_recordings_succeeds(tmp_path: Path) -> None:
    root = people(tmp_path / "in")
    out = str(tmp_path / "out")
    assert main(["corpus", "prepare", "folder", "--path", str(root), "--out", out, "--workers", "1", "--strict"]) == 0


def test_a_resumed_preparation_has_the_same_ledger(some_bad: Path, tmp_path: Path, monkeypatch) -> None:
    whole = prepare(FolderConfig(path=some_bad), tmp_path / "whole", workers=1, progress=False)
    monkeypatch.setattr(folder, "_add", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        prepare(FolderConfig(path=some_bad), tmp_path / "out", workers=1, progress=False)
    monkeypatch.undo()
    again = prepare(FolderConfig(path=some_bad), tmp_path / "out", workers=1, progress=False)
    assert (again.folder / FILE).read_bytes() == (whole.folder / FILE).read_bytes()


def test_a_divided_recording_is_one_recording_whose_text_is_reported(tmp_path: Path) -> None:
    root = people(tmp_path / "in")
    write(root / "ann/long.wav", noise(3.0))
    (root / "ann/long.txt").write_text("a text of all of it")
    prepare(FolderConfig(path=root, longest_seconds=1.0), tmp_path / "out", workers=1, progress=False)
    assert counts(tmp_path / "out", "recording")["used"] == counts(tmp_path / "out", "recording")["found"]
    assert counts(tmp_path / "out", "text") == {"found": 1, "used": 0, "repaired": 0, "skipped": 0, "ignored": 1}


def test_a_damaged_ledger_does_not_hide_the_corpus(some_bad: Path, tmp_path: Path, capsys) -> None:
    prepare(FolderConfig(path=some_bad), tmp_path / "out", workers=1, progress=False)
    (tmp_path / "out" / FILE).write_text("{")
    assert main(["corpus", "show", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    assert "is damaged" in text
    assert "5 bad items skipped" in text


def test_the_seconds_of_skipped_recordings_are_counted_where_they_are_known(tmp_path: Path) -> None:
    root = people(tmp_path / "in", ("ann", "bob"), each=4)
    write(root / "ann/silent.wav", np.zeros(2 * RATE))
    write(root / "ann/cut.wav", noise(2.0))
    data = (root / "ann/cut.wav").read_bytes()
    (root / "ann/cut.wav").write_bytes(data[: len(data) // 2])
    corpus = prepare(FolderConfig(path=root), tmp_path / "out", workers=1, progress=False)
    assert read_preparation(corpus.folder).seconds_skipped == pytest.approx(3.0, abs=0.01)


def test_two_names_of_one_file_are_one_recording(tmp_path: Path) -> None:
    root = people(tmp_path / "in", ("ann", "bob"), each=4)
    (root / "ann/again.wav").symlink_to(root / "ann/0.wav")
    os.link(root / "ann/1.wav", root / "bob/linked.wav")
    prepare(FolderConfig(path=root), tmp_path / "out", workers=1, progress=False)
    summary = read_preparation(tmp_path / "out")
    assert counts(tmp_path / "out", "recording")["used"] == 8
    assert {g.category: g.count for g in summary.groups} == {"another name of a recording that is used": 2}


def test_too_few_recordings_are_an_error_with_a_way_out_after_the_ledger(tmp_path: Path, capsys) -> None:
    root = people(tmp_path / "in", ("ann",), each=2)
    write(root / "ann/silent.wav", np.zeros(RATE))
    with pytest.raises(CorpusError, match=r"2 recordings are too few for train, dev and test: add some"):
        prepare(FolderConfig(path=root), tmp_path / "out", workers=1, progress=False)
    assert "3 recordings: 2 used, 1 skipped" in capsys.readouterr().err
    for path in root.rglob("[01].wav"):
        path.unlink()
    with pytest.raises(CorpusError, match="no recording can be used; the reasons are above") as error:
        prepare(FolderConfig(path=root), tmp_path / "none", workers=1, progress=False)
    assert len(str(error.value)) < 500
