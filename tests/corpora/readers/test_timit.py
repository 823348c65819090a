"""A tree shaped like TIMIT: the fold to 39 classes, the core test set, and what may be missing."""

from pathlib import Path

import pytest
import soundfile
from lhotse.recipes.timit import get_phonemes, get_speakers

from inattention.corpora.core.corpus import SPLITS, Corpus
from inattention.corpora.errors import CorpusError
from inattention.corpora.readers.timit import DROPPED, TIMIT_PHONES, TimitConfig, fold_phn, prepare
from recordings import noise, write

PHN = "0 1600 h#\n1600 3200 ix\n3200 3300 q\n3300 4800 zh\n"


def tree(folder: Path, suffix: str = ".WAV") -> Path:
    dev, core = get_speakers()
    speakers = {"TRAIN": ["FCJF0", "MDAC0"], "TEST": [dev[0].upper(), core[0].upper(), "MXXX0"]}
    for part, names in speakers.items():
        for name in names:
            for sentence in ("SA1", "SX1", "SI2", "SX3"):
                place = folder / part / "DR1" / name
                write(place / f"{sentence}{suffix}", noise(0.3), format="WAV")
                (place / f"{sentence}.PHN").write_text(PHN)
                (place / f"{sentence}.TXT").write_text("0 4800 She had your suit.\n")
    return folder


def make(root: Path, out: Path, **options) -> Corpus:
    return prepare(TimitConfig(path=root, **options), out, workers=1, progress=False)


def test_the_fold_is_the_one_that_lhotse_has() -> None:
    theirs = get_phonemes(39)
    assert len(TIMIT_PHONES) == 39
    for symbol, phone in theirs.items():
        if symbol == DROPPED:
            assert not list(fold_phn(f"0 1 {symbol}", 16_000))
        else:
            assert [p for p, _, _ in fold_phn(f"0 1 {symbol}", 16_000)] == [phone], symbol
    assert set(theirs.values()) - {""} == set(TIMIT_PHONES)


@pytest.mark.parametrize("above", ["", "data", "timit"])
def test_the_core_test_set_and_its_phones(tmp_path: Path, above: str) -> None:
    tree(tmp_path / "corpus" / above)
    corpus = make(tmp_path / "corpus", tmp_path / "out")
    dev, core = get_speakers()
    speakers = {split: {cut.supervisions[0].speaker for cut in corpus.cuts(split)} for split in SPLITS}
    assert speakers == {"train": {"fcjf0", "mdac0"}, "dev": {dev[0]}, "test": {core[0]}}
    assert corpus.info["notes"]["sentences in no split"] == 3
    for cut in corpus.cuts("train"):
        assert "sa1" not in cut.id
        supervision = cut.supervisions[0]
        assert supervision.text == "She had your suit."
        items = [(item.symbol, round(item.start, 6), round(item.end, 6)) for item in supervision.alignment["phone"]]
        assert items == [("sil", 0.0, 0.1), ("ih", 0.1, 0.2), ("sh", 0.20625, 0.3)]


def test_copies_with_two_suffixes_count_once_and_speakers_can_be_divided(tmp_path: Path) -> None:
    tree(tmp_path / "corpus")
    tree(tmp_path / "corpus", ".WAV.wav")
    corpus = make(tmp_path / "corpus", tmp_path / "out", split="speakers")
    assert sum(corpus.info["splits"][split]["cuts"] for split in SPLITS) == 15
    assert {cut.supervisions[0].speaker for cut in corpus.cuts("test")} == set(corpus.speakers)
    assert corpus.info["bad_items"]["count"] == 0


def test_broken_labels_and_audio_are_left_out_and_said(tmp_path: Path) -> None:
    place = tree(tmp_path / "corpus") / "TRAIN/DR1/FCJF0"
    (place / "SX1.PHN").unlink()
    (place / "SI2.PHN").write_text("0 4800 xx\n")
    (place / "SX3.WAV").write_bytes(b"")
    corpus = make(tmp_path / "corpus", tmp_path / "out")
    reasons = dict(corpus.info["bad_items"]["items"])
    assert "no .PHN beside it" in reasons["TRAIN/DR1/FCJF0/SX1.WAV"]
    assert "'xx' is no phone of TIMIT" in reasons["TRAIN/DR1/FCJF0/SI2.PHN"]
    assert "is an empty file" in reasons["TRAIN/DR1/FCJF0/SX3.WAV"]
    assert len(reasons) == 3


@pytest.mark.parametrize("text", ["0 x h#", "0 1", "5 1 h#", "0 1 h# 2", "-1 1 h#"])
def test_a_line_that_is_no_phone_is_refused(text: str) -> None:
    with pytest.raises(CorpusError, match="line 1"):
        list(fold_phn(text, 16_000))


def test_another_folder_is_no_timit(tmp_path: Path) -> None:
    write(tmp_path / "in" / "a.wav")
    with pytest.raises(CorpusError, match="there is no TIMIT in"):
        make(tmp_path / "in", tmp_path / "out")


def sentences(corpus: Corpus) -> dict:
    return {cut.id: cut for split in SPLITS for cut in corpus.cuts(split)}


def test_lower_case_trees_and_other_formats_have_the_same_sentences(tmp_path: Path) -> None:
    upper = sentences(make(tree(tmp_path / "upper"), tmp_path / "one"))
    for path in sorted(tree(tmp_path / "mixed").rglob("*"), reverse=True):
        path.rename(path.with_name(path.name.lower()))
    for path in (tmp_path / "mixed").rglob("*.wav"):
        write(path.with_suffix(".flac"), soundfile.read(path)[0])
        path.unlink()
    lower = sentences(make(tmp_path / "mixed", tmp_path / "two"))
    assert lower.keys() == upper.keys()
    for name, cut in lower.items():
        assert cut.supervisions[0].alignment == upper[name].supervisions[0].alignment


def test_a_riff_copy_replaces_a_sphere_file_that_cannot_be_read(tmp_path: Path) -> None:
    tree(tmp_path / "corpus")
    tree(tmp_path / "corpus", ".WAV.wav")
    bad = tmp_path / "corpus/TRAIN/DR1/FCJF0/SX1.WAV"
    bad.write_bytes(b"NIST_1A\n   1024\n" + bytes(2000))
    corpus = make(tmp_path / "corpus", tmp_path / "out")
    assert Path(sentences(corpus)["fcjf0-sx1"].recording.sources[0].source).name == "SX1.WAV.wav"
    assert corpus.info["bad_items"]["count"] == 0


def test_labels_count_the_samples_of_the_published_audio_whatever_its_copy_has(tmp_path: Path) -> None:
    tree(tmp_path / "corpus")
    for path in list((tmp_path / "corpus").rglob("*.WAV")):
        write(path, noise(0.3, rate=8000), rate=8000, format="WAV")
    corpus = make(tmp_path / "corpus", tmp_path / "out")
    items = sentences(corpus)["fcjf0-sx1"].supervisions[0].alignment["phone"]
    assert [round(item.start, 6) for item in items] == [0.0, 0.1, 0.20625]
    assert corpus.info["bad_items"]["count"] == 0


def test_a_missing_part_is_named_with_the_split_that_needs_none(tmp_path: Path) -> None:
    root = tree(tmp_path / "corpus")
    for path in root.rglob("SA1.*"):
        path.unlink()
    assert len(sentences(make(root, tmp_path / "whole"))) == 12
    (root / "TEST").rename(tmp_path / "gone")
    words = r"no sentence that can be used of the development set's speakers in TEST, nor of the core speakers.*--split"
    with pytest.raises(CorpusError, match=words):
        make(root, tmp_path / "out")
    assert set(make(root, tmp_path / "out", split="speakers").speakers) == {"fcjf0", "mdac0"}
