"""A Kaldi data folder becomes a corpus; commands are never run, and what is wrong is named by file and line."""

import os
from pathlib import Path
from typing import Any

import pytest

from inattention.audio.reader import cut_waveform
from inattention.corpora.core.corpus import SPLITS, Corpus
from inattention.corpora.core.preparation import read_preparation
from inattention.corpora.errors import CorpusError
from inattention.corpora.readers.kaldi.reader import KaldiConfig, prepare
from recordings import RATE, noise, write

from .data_folders import data_folder, edit


def make(path: Path, out: Path, **options: Any) -> Corpus:
    return prepare(KaldiConfig(path=path, **options), out, workers=1, progress=False)


def cuts_of(corpus: Corpus) -> dict[str, Any]:
    return {cut.id: cut for split in SPLITS for cut in corpus.cuts(split)}


def reasons_of(corpus: Corpus) -> dict[str, str]:
    return dict(corpus.info["bad_items"]["items"])


def test_segments_speakers_texts_and_phones_are_read_and_paths_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = data_folder(tmp_path / "egs")
    monkeypatch.chdir("/")
    corpus = make(folder, tmp_path / "out", phone_set="english")
    cuts = cuts_of(corpus)
    assert len(cuts) == 12
    assert corpus.speakers == ("ann", "bob")
    cut = cuts["bob-r1-1"]
    assert (cut.start, cut.duration) == (0.5, 0.5)
    assert cut.supervisions[0].text == "THE WORDS OF BOB-R1-1"
    items = [(i.symbol, round(i.start, 6), round(i.end, 6)) for i in cut.supervisions[0].alignment["phone"]]
    assert items == [("sil", 0.0, 0.2), ("ah", 0.2, 0.5)]
    assert len(cut_waveform(cut, RATE)) == RATE // 2
    assert not reasons_of(corpus)
    splits = [{cut.id.rpartition("-")[0] for cut in corpus.cuts(split)} for split in SPLITS]
    assert sum(map(len, splits)) == len(set().union(*splits))  # no recording is in two splits


def test_commands_are_refused_by_name_and_never_run(tmp_path: Path) -> None:
    folder = data_folder(tmp_path / "egs")
    marker = tmp_path / "it ran"
    edit(folder / "wav.scp", "ann-r0 wav/ann-r0.flac", f"ann-r0 touch {marker} |")
    edit(folder / "wav.scp", "ann-r1 wav/ann-r1.flac", f"ann-r1 | touch {marker}")
    edit(folder / "wav.scp", "ann-r2 wav/ann-r2.flac", "ann-r2 wav.ark:1024")
    edit(folder / "wav.scp", "bob-r0 wav/bob-r0.flac", "bob-r0 -")
    corpus = make(folder, tmp_path / "out")
    reasons = reasons_of(corpus)
    assert "wav.scp, line 1" in reasons["ann-r0-0"]
    assert "is a command, which is not run" in reasons["ann-r0-0"]
    assert "is a command" in reasons["ann-r1-1"]
    assert "in an archive" in reasons["ann-r2-0"]
    assert "is no path of a file" in reasons["bob-r0-0"]
    assert len(reasons) == 8
    assert len(cuts_of(corpus)) == 4
    counts = {c.kind: (c.found, c.used, c.skipped, c.ignored) for c in read_preparation(corpus.folder).counts}
    assert counts["recording"] == (12, 4, 8, 0)
    assert counts["label"] == (12, 4, 0, 8)
    assert not marker.exists()


def test_nothing_but_commands_is_an_error_with_the_reason(tmp_path: Path) -> None:
    folder = data_folder(tmp_path / "egs", speakers=("ann",))
    (folder / "wav.scp").write_text("".join(f"ann-r{k} flac -c -d -s wav/ann-r{k}.flac |\n" for k in range(3)))
    with pytest.raises(CorpusError, match="is a command, which is not run"):
        make(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_segments_recordings_are_utterances_and_long_ones_are_divided(tmp_path: Path) -> None:
    folder = data_folder(tmp_path / "egs")
    (folder / "segments").unlink()
    (folder / "ctm").unlink()
    (folder / "text").write_text("ann-r0 one\nann-r1\n")
    (folder / "utt2spk").unlink()
    (folder / "spk2utt").write_text("ann ann-r0 ann-r1 ann-r2\nbob bob-r0 bob-r1\n")
    cuts = cuts_of(make(folder, tmp_path / "out", longest_seconds=0.6, copy=True))
    assert sorted(cuts)[:2] == ["ann-r0#000", "ann-r0#001"]
    assert len(cuts) == 12
    assert {cut.supervisions[0].speaker for name, cut in cuts.items() if name.startswith("bob-r2")} == {None}
    assert all(Path(cut.recording.sources[0].source).is_relative_to(tmp_path / "out") for cut in cuts.values())


BAD_SEGMENTS = {
    "fields": ("x ann-r0 0.0", "has 3 fields"),
    "number": ("x ann-r0 0.0 abc", "'abc' is no number"),
    "nan": ("x ann-r0 nan 1", "'nan' is no number"),
    "infinite": ("x ann-r0 0 1e999", "'1e999' is no number"),
    "digits": ("x ann-r0 0 ٣", "is no number"),
    "backwards": ("x ann-r0 0.7 0.3", "the start must be before the end"),
    "negative": ("x ann-r0 -0.5 0.3", "the start must be before the end"),
    "beyond": ("x ann-r0 0.5 1.6", "it goes from 0.5 s to 1.6 s, its audio ends at 1.000 s"),
    "after": ("x ann-r0 1.2 1.4", "its audio ends at 1.000 s"),
    "unknown": ("x carl-r0 0.0 0.5", "wav.scp has no recording 'carl-r0'"),
    "channel": ("x ann-r0 0.0 0.5 3", "its channel is 3, its file has 1"),
    "side": ("x ann-r0 0.0 0.5 B", "its channel is 'B'"),
    "empty": ("x ann-r0 0.00001 0.00002", "it has no sample"),
}


def test_each_bad_segment_is_named_with_its_line_and_costs_itself_alone(tmp_path: Path) -> None:
    folder = data_folder(tmp_path / "egs")
    with (folder / "segments").open("a") as file:
        for name, (line, _) in BAD_SEGMENTS.items():
            file.write(line.replace("x ", f"x-{name} ", 1) + "\n")
        file.write("ann-r0-0 ann-r0 0.1 0.2\n")
        file.write("tail ann-r0 0.5 1.3\n")  # Kaldi, too, cuts off what is up to half a second past the end
        file.write("open ann-r0 0.5 -1\n")
    corpus = make(folder, tmp_path / "out")
    reasons = reasons_of(corpus)
    for number, (name, (_, words)) in enumerate(BAD_SEGMENTS.items(), 13):
        assert f"segments, line {number}: " in reasons[f"x-{name}"]
        assert words in reasons[f"x-{name}"]
    assert "is already in line 1" in reasons["segments, line 26"]
    cuts = cuts_of(corpus)
    assert (cuts["tail"].duration, cuts["open"].duration) == (0.5, 0.5)
    assert len(cuts) == 14


def test_damaged_lines_of_other_files_cost_what_they_describe(tmp_path: Path) -> None:
    folder = data_folder(tmp_path / "egs")
    edit(folder / "ctm", "ann-r0-0 1 0.20 0.30 AH0_B", "ann-r0-0 1 0.20 x AH0_B")
    edit(folder / "ctm", "ann-r0-1 1 0.20 0.30 AH0_B", "ann-r0-1 1 0.20 0.30 QQ")
    with (folder / "utt2spk").open("a") as file:
        file.write("alone\nann-r1-0 bob\n")
    edit(folder / "utt2spk", "bob-r0-1 bob\n", "")
    with (folder / "text").open("ab") as file:
        file.write(b"\xff\xfe words\nnobody WORDS\nann-r0-0 AGAIN\n")
    with (folder / "ctm").open("a") as file:
        file.write("nobody 1 0.0 0.5 AH\n")
    corpus = make(folder, tmp_path / "out", phone_set="english")
    cuts, reasons = cuts_of(corpus), corpus.info["bad_items"]["items"]
    assert len(cuts) == 12
    said = [f"{item}: {reason}" for item, reason in reasons]
    repaired = read_preparation(corpus.folder).groups
    assert [(group.count, group.first[0][0]) for group in repaired if group.outcome == "repaired"] == [(1, "bob-r0-1")]
    for words in (
        "utt2spk, line 13",
        "ann-r1-0 is already in line 3",
        "text, line 13: is not text in utf-8",
        "text, line 14: there is no such utterance",
        "ann-r0-0 is already in line 1",
        "ann-r0-0: its phones are skipped: ctm, line 2",
        "no English phone",
        "nobody: ctm has its phones, but there is no such utterance",
    ):
        assert any(words in line for line in said), words
    assert cuts["ann-r0-0"].supervisions[0].alignment is None
    assert cuts["ann-r0-0"].supervisions[0].text == "THE WORDS OF ANN-R0-0"
    assert cuts["ann-r1-0"].supervisions[0].speaker == "ann"
    assert cuts["bob-r0-1"].supervisions[0].speaker is None


def test_older_encodings_are_read_by_option_and_a_ctm_that_is_no_text_costs_labels_alone(tmp_path: Path) -> None:
    folder = data_folder(tmp_path / "egs")
    (folder / "text").write_bytes("ann-r0-0 größe\n".encode("latin-1"))
    cuts = cuts_of(make(folder, tmp_path / "one", encoding="latin-1"))
    assert cuts["ann-r0-0"].supervisions[0].text == "größe"
    (folder / "ctm").write_bytes(b"\xff\xff\xff\n")
    corpus = make(folder, tmp_path / "two")
    assert "its phones are skipped" in reasons_of(corpus)["ctm"]
    assert (len(cuts_of(corpus)), corpus.phones) == (12, ())


def test_phones_of_a_recording_are_cut_to_its_segments_and_numbers_looked_up(tmp_path: Path) -> None:
    folder = data_folder(tmp_path / "egs")
    (folder / "ctm").rename(folder / "unused")
    (folder / "phones.txt").write_text("<eps> 0\nSIL 1\nAH0_B 2\n")
    (folder / "ali.ctm").write_text(
        "".join(f"{s}-r{k} 1 0.00 0.40 1\n{s}-r{k} 1 0.40 0.60 2\n" for s in ("ann", "bob") for k in range(3))
    )
    cuts = cuts_of(make(folder, tmp_path / "out"))
    items = [
        (i.symbol, round(i.start, 6), round(i.end, 6)) for i in cuts["ann-r0-0"].supervisions[0].alignment["phone"]
    ]
    assert items == [("sil", 0.0, 0.4), ("AH0_B", 0.4, 0.5)]
    items = [
        (i.symbol, round(i.start, 6), round(i.end, 6)) for i in cuts["ann-r0-1"].supervisions[0].alignment["phone"]
    ]
    assert items == [("AH0_B", 0.0, 0.5)]


def test_folders_of_their_own_are_the_splits_and_a_channel_can_be_chosen(tmp_path: Path) -> None:
    folders = {split: data_folder(tmp_path / split, speakers=(split,)) for split in SPLITS}
    write(tmp_path / "train/wav/train-r0.flac", noise(1.0, channels=2))
    edit(folders["train"] / "segments", "train-r0-0 train-r0 0.00 0.50", "train-r0-0 train-r0 0.00 0.50 1")
    (folders["dev"] / "segments").write_text((folders["dev"] / "segments").read_text() + "train-r0-0 dev-r0 0.0 0.5\n")
    corpus = make(folders["train"], tmp_path / "out", dev=folders["dev"], test=folders["test"])
    for split in SPLITS:
        assert {cut.supervisions[0].speaker for cut in corpus.cuts(split)} == {split}
    assert "has the same id" in reasons_of(corpus)["train-r0-0"]
    cut = cuts_of(corpus)["train-r0-0"]
    assert cut.channel == 1
    assert cut_waveform(cut, RATE).numpy() == pytest.approx(noise(1.0, channels=2)[: RATE // 2, 1], abs=1e-4)


def test_a_missing_recording_says_where_it_was_looked_for(tmp_path: Path) -> None:
    folder = data_folder(tmp_path / "egs")
    (tmp_path / "egs/wav").rename(tmp_path / "elsewhere")
    with pytest.raises(CorpusError, match=r"tried .*data/train \(the manifest's folder\), .*--audio-root"):
        make(folder, tmp_path / "out")
    (tmp_path / "root").mkdir()
    (tmp_path / "elsewhere").rename(tmp_path / "root/wav")
    assert len(cuts_of(make(folder, tmp_path / "out", audio_root=tmp_path / "root"))) == 12


def test_what_is_no_data_folder_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="there is no such folder"):
        make(tmp_path / "none", tmp_path / "out")
    with pytest.raises(CorpusError, match=r"it has no wav\.scp"):
        make(tmp_path, tmp_path / "out")
    folder = data_folder(tmp_path / "egs")
    (folder / "text").unlink()
    os.mkfifo(folder / "text")
    with pytest.raises(CorpusError, match="text is no plain file"):
        make(folder, tmp_path / "out")
    with pytest.raises(CorpusError, match="there is no CTM"):
        make(folder, tmp_path / "out", ctm=tmp_path / "none.ctm")
    with pytest.raises(CorpusError, match="both --dev and --test"):
        KaldiConfig(dev=folder)
