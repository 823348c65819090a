"""`corpus validate` finds everything that was spoiled after preparation, and `describe` measures and draws."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from inattention.cli import main
from inattention.corpora.checks.description import as_text, measure, rows, write_page
from inattention.corpora.checks.validation import validate
from inattention.corpora.core.corpus import Corpus, open_corpus
from inattention.corpora.errors import CorpusError
from inattention.corpora.readers.folder import FolderConfig, prepare
from recordings import RATE, noise, people, textgrid, write


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root = tmp_path_factory.mktemp("validation")
    people(root / "in", ("ann", "<script>alert(1)"), each=5)
    (root / "in/ann/0.TextGrid").write_text(textgrid([("<i>", 0.0, 0.2), ("ah", 0.2, 0.3)]))
    loud = np.concatenate([np.zeros(RATE // 2), np.ones(RATE // 4), -np.ones(RATE // 4)])
    write(root / "in/ann/loud.wav", loud)
    return prepare(FolderConfig(path=root / "in", copy=True), root / "out", workers=1, progress=False)


@pytest.fixture
def spoiled(sound: Corpus, tmp_path: Path) -> Corpus:
    shutil.copytree(sound.folder, tmp_path / "corpus")
    return open_corpus(tmp_path / "corpus")


def test_a_sound_corpus_has_nothing_wrong(sound: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(sound, workers=1, progress=False) == []
    assert main(["corpus", "validate", str(sound.folder), "--workers", "1"]) == 0
    assert "all 11 cuts can be used" in capsys.readouterr().out


def test_everything_that_was_spoiled_is_found(spoiled: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    cuts = {cut.id: cut.recording.sources[0].source for cut in spoiled.cuts("train")}
    names = sorted(cuts)
    Path(cuts[names[0]]).write_bytes(b"no audio")
    Path(cuts[names[1]]).unlink()
    soundfile.write(cuts[names[2]], noise(0.3), RATE // 2)
    soundfile.write(cuts[names[3]], noise(3.0), RATE)
    path = spoiled.folder / "cuts-dev.jsonl.gz"
    with gzip.open(path, "rt") as file:
        first, *others = [json.loads(line) for line in file]
    first["supervisions"][0]["alignment"] = {"phone": [["zz", 0.0, 0.3]]}
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(line) + "\n" for line in [first, *others, others[0], {"id": "x"}])
    test = spoiled.folder / "cuts-test.jsonl.gz"
    test.write_bytes(test.read_bytes()[:-12])
    assert main(["corpus", "validate", str(spoiled.folder), "--workers", "1"]) == 1
    out = capsys.readouterr().out
    for words in (
        f"{names[0]}: cannot be read as audio",
        f"{names[1]}: cannot be read",
        f"{names[2]}: its file has 8000 Hz",
        f"{names[3]}: its file lasts 3.000 s",
        "the phone 'zz' is not in the corpus's inventory",
        f"{others[0]['id']}: is in the corpus twice",
        "cuts-dev.jsonl.gz, line 4: cut 'x' is a None",
        "cuts-dev.jsonl.gz: holds 4 cuts, corpus.json says 2",
        "cuts-test.jsonl.gz: ",
        "9 faults in",
    ):
        assert words in out


def test_what_is_measured_is_what_is_there(sound: Corpus) -> None:
    found = measure(sound, cuts=0, workers=1, progress=False)
    assert sum(found.seconds) == pytest.approx(10 * 0.3 + 1.0)
    assert found.speakers["ann"] == pytest.approx(2.5)
    assert found.phones == pytest.approx({"<i>": 0.2, "ah": 0.1})
    assert found.rates == {RATE: 11}
    assert max(found.clipped) == pytest.approx(0.5)
    assert max(found.pause) == pytest.approx(0.5)
    assert np.median(found.level_db) == pytest.approx(-20.0, abs=0.2)
    assert "1 cuts touch full scale" in dict(rows(found))["clipping"]
    assert "11 cuts" in as_text(found)


def test_only_some_cuts_need_to_be_decoded(sound: Corpus) -> None:
    found = measure(sound, cuts=3, workers=1, progress=False)
    assert 3 <= len(found.level_db) <= 4
    assert len(found.seconds) == 11


def test_the_page_shows_names_as_text_and_needs_no_other_file(sound: Corpus, tmp_path: Path) -> None:
    where = str(tmp_path / "a/page.html")
    assert main(["corpus", "describe", str(sound.folder), "--out", where, "--workers", "1"]) == 0
    page = (tmp_path / "a/page.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "&lt;i&gt;" in page
    assert page.count("src=") == page.count('src="data:image/png;base64,') == 1
    found = measure(sound, cuts=1, workers=1, progress=False)
    write_page(found, tmp_path / "page.png")
    assert (tmp_path / "page.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(CorpusError, match="must end in"):
        write_page(found, tmp_path / "page.pdf")
    (tmp_path / "file").touch()
    with pytest.raises(CorpusError, match="cannot be written"):
        write_page(found, tmp_path / "file" / "page.html")


def test_a_corpus_whose_audio_is_gone_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people(tmp_path / "in")
    prepare(FolderConfig(path=tmp_path / "in"), tmp_path / "out", workers=1, progress=False)
    (tmp_path / "in").rename(tmp_path / "gone")
    assert main(["corpus", "validate", str(tmp_path / "out")]) == 2
    assert "which is not there" in capsys.readouterr().err
