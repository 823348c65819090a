"""Which files of a folder are recordings, and what becomes of damaged ones."""

from pathlib import Path
from typing import Any

import pytest

from inattention.audio.reader import cut_waveform
from inattention.corpora.checks.validation import validate
from inattention.corpora.core.corpus import SPLITS, Corpus
from inattention.corpora.core.preparation import read_preparation
from inattention.corpora.readers.folder import FolderConfig, prepare
from recordings import RATE, noise, people, textgrid, write


def prepared(path: Path, out: Path, **options: Any) -> Corpus:
    return prepare(FolderConfig(path=path, **options), out, workers=2, progress=False)


def cuts_in(corpus: Corpus) -> dict[str, Any]:
    return {cut.id: (split, cut) for split in SPLITS for cut in corpus.cuts(split)}


def reasons_in(corpus: Corpus) -> dict[str, str]:
    summary = read_preparation(corpus.folder)
    assert summary is not None
    return {item: reason for group in summary.groups if group.outcome == "skipped" for item, reason in group.first}


def test_truncated_files_are_skipped_or_kept_with_labels_that_end_there(tmp_path: Path) -> None:
    root = people(tmp_path / "in")
    whole = write(root / "ann" / "cut.wav", noise(1.0)).read_bytes()
    (root / "ann" / "cut.wav").write_bytes(whole[: len(whole) // 2])
    phones = [("sil", 0.0, 0.3), ("ah", 0.3, 0.7), ("s", 0.7, 1.0)]
    (root / "ann" / "cut.TextGrid").write_text(textgrid(phones))
    (root / "ann" / "cut.txt").write_text("all of the words")
    skipped = prepared(root, tmp_path / "skipped")
    assert "is truncated: 0.499 s of 1.000 s can be read" in reasons_in(skipped)["ann/cut.wav"]
    kept = prepared(root, tmp_path / "kept", truncated="keep")
    assert kept.key != skipped.key
    _, cut = cuts_in(kept)["ann/cut.wav"]
    assert cut.duration == pytest.approx(0.499, abs=0.001)
    items = cut.supervisions[0].alignment["phone"]
    assert [item.symbol for item in items] == ["sil", "ah"]
    assert items[-1].start + items[-1].duration == pytest.approx(cut.duration)
    assert cut.supervisions[0].text is None
    assert len(cut_waveform(cut, RATE)) == pytest.approx(0.499 * RATE, abs=16)
    assert validate(kept, progress=False) == []


def test_a_single_file_is_a_corpus_of_its_pieces(tmp_path: Path) -> None:
    root = people(tmp_path / "in")
    write(root / "ann" / "long.wav", noise(3.0))
    (root / "ann" / "long.TextGrid").write_text(textgrid([("ah", 0.0, 3.0)]))
    corpus = prepared(root / "ann" / "long.wav", tmp_path / "out")
    assert len(cuts_in(corpus)) >= 3
    assert all(name.startswith("long.wav#") for name in cuts_in(corpus))
    assert corpus.speakers == ("ann",)
    assert corpus.phones == ("ah",)


def test_audio_is_found_by_its_content_and_what_is_none_is_counted(tmp_path: Path) -> None:
    root = people(tmp_path / "in")
    for name, kind in (("a.oga", "OGG"), ("b.sph", "NIST"), ("no suffix", "FLAC"), ("c.wav", "MP3"), ("D.AIF", "AIFF")):
        write(root / "ann" / name, noise(0.5), format=kind)
    for name in ("._0.wav", ".DS_Store", "m.m4a", "n.m4a"):
        (root / "ann" / name).write_bytes(b"\0\0\0\1" + bytes(50))
    (root / "__MACOSX").mkdir()
    (root / "__MACOSX" / "._x.wav").write_bytes(b"\0\x05\x16\x07")
    corpus = prepared(root, tmp_path / "out")
    assert {"ann/a.oga", "ann/b.sph", "ann/no suffix", "ann/c.wav", "ann/D.AIF"} <= set(cuts_in(corpus))
    assert not reasons_in(corpus)
    summary = read_preparation(corpus.folder)
    assert summary is not None
    groups = {group.category: group.count for group in summary.groups}
    assert groups == {
        "macOS AppleDouble file": 1,
        "macOS file": 1,
        "file in a macOS folder": 1,
        "MP4 or M4A: convert with `ffmpeg -i FILE FILE.wav`": 2,
    }
