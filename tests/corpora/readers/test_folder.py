"""A folder of recordings becomes a corpus; whatever is wrong with one file costs that file, and is said."""

import json
import os
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest

from inattention.audio.reader import cut_waveform
from inattention.corpora.core.corpus import SPLITS, Corpus
from inattention.corpora.core.preparation import read_preparation
from inattention.corpora.errors import CorpusError
from inattention.corpora.labels import alignment_jobs
from inattention.corpora.readers.folder import FolderConfig, prepare
from inattention.corpora.workers.pool import Failure
from recordings import RATE, noise, people, textgrid, write


def make(path: Path, out: Path, **options) -> Corpus:
    return prepare(FolderConfig(path=path, **options), out, workers=1, progress=False)


def cuts_of(corpus: Corpus) -> dict:
    return {cut.id: (split, cut) for split in SPLITS for cut in corpus.cuts(split)}


def reasons_of(corpus: Corpus) -> dict[str, str]:
    assert corpus.info["bad_items"]["count"] == len(corpus.info["bad_items"]["items"])
    return dict(corpus.info["bad_items"]["items"])


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """One corpus with everything that can be wrong with a file, and every kind of sound one."""
    root = people(tmp_path_factory.mktemp("odd") / "recordings")
    ann = root / "ann"
    # sound, under names and in forms that are seldom
    write(ann / "-rf * ; $(true).flac")
    write(ann / "two\nlines.wav")
    write(ann / "naïve 日本 .ogg")
    write(Path(os.fsdecode(os.fsencode(ann) + b"/not-utf8-\xff.wav")))
    write(ann / "a" / "b" / "deep.mp3")
    write(ann / "opus.opus", noise(0.5, 48_000), 48_000, format="OGG", subtype="OPUS")
    write(ann / "channels.wav", noise(0.5, channels=32))
    write(ann / "phone.wav", noise(0.5, 8_000), 8_000)
    write(ann / "studio.wav", noise(0.5, 192_000), 192_000)
    write(ann / "LOUD.WAV")
    # broken
    write(ann / "header-only.wav", np.zeros(0))
    write(ann / "one-sample.wav", noise(1 / RATE))
    write(ann / "silent.wav", np.zeros(RATE))
    write(ann / "nan.wav", np.where(np.arange(RATE) == 4000, np.nan, 0.1), subtype="FLOAT")
    write(ann / "infinite.wav", np.where(np.arange(RATE) == 4000, np.inf, 0.1), subtype="FLOAT")
    (ann / "text.wav").write_text("this is no audio")
    (ann / "bytes.mp3").write_bytes(np.random.default_rng(0).bytes(5000))
    write(ann / "slow.wav", noise(0.1), 10)
    write(ann / "fast.wav", noise(0.1), 2_000_000)
    whole = write(ann / "cut-off.flac", noise(3.0)).read_bytes()
    (ann / "cut-off.flac").write_bytes(whole[: len(whole) // 2])
    (ann / "gone.wav").symlink_to(ann / "nowhere.wav")
    (ann / "loop.wav").symlink_to(ann / "loop.wav")
    (ann / "device.wav").symlink_to("/dev/zero")
    os.mkfifo(ann / "pipe.wav")
    (ann / "circle").symlink_to(root, target_is_directory=True)
    (ann / "folder.wav").mkdir()
    return make(root, root.parent / "out")


ODD_NAMES = ("-rf * ; $(true).flac", r"two\nlines.wav", "naïve 日本 .ogg", r"not-utf8-\xff.wav", "LOUD.WAV")
ODD_FORMS = ("opus.opus", "channels.wav", "phone.wav", "studio.wav", "a/b/deep.mp3")


@pytest.mark.parametrize("name", [*ODD_NAMES, *ODD_FORMS])
def test_a_sound_file_of_any_name_rate_and_form_is_taken(odd: Corpus, name: str) -> None:
    cut = cuts_of(odd)[f"ann/{name}"][1]
    assert cut.supervisions[0].speaker == ("b" if "deep" in name else "ann")
    waveform = cut_waveform(cut, RATE)
    assert len(waveform) == pytest.approx(cut.duration * RATE, abs=2)
    assert len(waveform) == pytest.approx(0.5 * RATE, abs=0.06 * RATE)  # codecs pad


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("header-only.wav", "holds no samples"),
        ("one-sample.wav", "is silent"),
        ("silent.wav", "is silent"),
        ("nan.wav", "NaN or infinite samples (1.000 s of audio, the first at 0.250 s)"),
        ("infinite.wav", "NaN or infinite samples (1.000 s of audio, the first at 0.250 s)"),
        ("text.wav", "cannot be read as audio"),
        ("bytes.mp3", "cannot be read as audio"),
        ("slow.wav", "its header says 10 Hz"),
        ("fast.wav", "its header says 2000000 Hz"),
        ("cut-off.flac", "is truncated: "),
        ("gone.wav", "cannot be read"),
        ("loop.wav", "cannot be read"),
        ("device.wav", "is no plain file"),
        ("pipe.wav", "is no plain file"),
        ("circle", "leads to a folder that was read already"),
    ],
)
def test_a_broken_file_is_left_out_with_its_reason(odd: Corpus, name: str, words: str) -> None:
    assert words in reasons_of(odd)[f"ann/{name}"]
    assert f"ann/{name}" not in cuts_of(odd)


def test_nothing_else_is_left_out_and_nothing_is_written_outside(odd: Corpus) -> None:
    assert len(reasons_of(odd)) == 15
    assert sorted(path.name for path in odd.folder.parent.iterdir()) == ["out", "recordings"]
    assert sorted(path.name for path in odd.folder.iterdir()) == [
        "corpus.json",
        *(f"cuts-{split}.jsonl.gz" for split in sorted(SPLITS)),
        "preparation.json",
    ]


def test_a_recording_of_eight_hours_becomes_pieces_on_one_side(tmp_path: Path) -> None:
    root = people(tmp_path / "in")
    write(root / "ann" / "long.flac", np.tile(noise(1.0, 1000), 8 * 3600), 1000)
    corpus = make(root, tmp_path / "out", longest_seconds=20.0)
    pieces = {name: found for name, found in cuts_of(corpus).items() if name.startswith("ann/long.flac#")}
    assert len(pieces) == 1440
    assert len({split for split, _ in pieces.values()}) == 1
    assert sum(cut.duration for _, cut in pieces.values()) == pytest.approx(8 * 3600)
    first, second = (pieces[f"ann/long.flac#{i:04d}"][1] for i in (0, 1))
    assert second.start == pytest.approx(first.duration)
    assert len(cut_waveform(second, 1000)) == 20_000


PHONES = [("sil", 0.0, 0.1), ("AH0", 0.1, 0.2), ("", 0.2, 0.3)]


def test_phones_and_texts_beside_the_audio_are_read(tmp_path: Path) -> None:
    root = people(tmp_path / "in", each=6)
    (root / "ann/0.TextGrid").write_text(textgrid(PHONES))
    (root / "ann/1.TextGrid").write_text(textgrid(PHONES, short=True), encoding="utf-16")
    (root / "ann/2.ctm").write_text("2 1 0.0 0.1 sil\n2 1 0.1 0.1 AH0\n2 1 0.2 0.1 sil\n")
    (root / "ann/0.txt").write_text("hello\n  world")
    (root / "bob/0.TextGrid").write_text(textgrid([("ah", 0.0, 9.0)]))
    (root / "bob/1.TextGrid").write_text(textgrid(PHONES, tier="words"))
    (root / "bob/2.ctm").write_text("other 1 0.0 0.1 sil\n")
    (root / "bob/3.TextGrid").write_bytes(b"\xff\xfe\x00")
    corpus = make(root, tmp_path / "out", phone_set="english")
    cuts = cuts_of(corpus)
    for number in range(3):
        items = cuts[f"ann/{number}.wav"][1].supervisions[0].alignment["phone"]
        assert [(i.symbol, pytest.approx(i.start), pytest.approx(i.duration)) for i in items] == [
            ("sil", 0.0, 0.1),
            ("ah", 0.1, 0.1),
            ("sil", 0.2, 0.1),
        ]
    assert cuts["ann/0.wav"][1].supervisions[0].text == "hello world"
    assert len(corpus.phones) == 40
    reasons = reasons_of(corpus)
    assert "phones end at 9.000 s, the audio at 0.300 s" in reasons["bob/0.TextGrid"]
    assert "has 0 tiers called phones (its tiers: 'words')" in reasons["bob/1.TextGrid"]
    assert "has no line for '2' (its recordings: 'other')" in reasons["bob/2.ctm"]
    assert "is not text" in reasons["bob/3.TextGrid"]
    assert all(not cuts[f"bob/{i}.wav"][1].supervisions[0].alignment for i in range(4))
    as_is = make(root, tmp_path / "as-is")
    assert as_is.phones == ("sil", "AH0")


def grid_of(path: Path, phones: list[tuple[str, float, float]], **options: str | bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textgrid(phones, **options))  # ty: ignore[invalid-argument-type]


def ledger_of(corpus: Corpus, outcome: str) -> dict[str, str]:
    """Return the categories of the items of an outcome."""
    items = json.loads((corpus.folder / "preparation.json").read_text())["items"]
    return {entry["item"]: entry["category"] for entry in items if entry["outcome"] == outcome}


def phones_of(corpus: Corpus, name: str) -> list[tuple[str, float, float]]:
    items = (cuts_of(corpus)[name][1].supervisions[0].alignment or {}).get("phone", ())
    return [(item.symbol, round(item.start, 6), round(item.end, 6)) for item in items]


def test_labels_are_repaired_and_counted_or_refused_by_file_tier_and_line(tmp_path: Path) -> None:
    root = people(tmp_path / "in", each=6)  # of 0.3 s
    grid_of(root / "ann/0.TextGrid", [("a", 0.0, 0.1005), ("b", 0.1, 0.308)])
    grid_of(root / "ann/1.TextGrid", [("a", 0.0, 0.1), ("spn", 0.2, 0.3)])
    grid_of(root / "ann/2.TextGrid", [("a", 0.0, 0.12), ("b", 0.1, 0.3)])
    grid_of(root / "ann/9.TextGrid", [("a", 0.0, 0.3)])
    (root / "bob/0.ctm").write_text("0 1 0.00 0.10 a 1.0\n0 1 0.09 0.01 b NA lex NA\n")
    corpus = make(root, tmp_path / "out", silence=("b",))
    assert phones_of(corpus, "ann/0.wav") == [("a", 0.0, 0.1), ("sil", 0.1, 0.3)]
    assert phones_of(corpus, "ann/1.wav") == [("a", 0.0, 0.1), ("sil", 0.2, 0.3)]
    assert phones_of(corpus, "bob/0.wav") == [("a", 0.0, 0.09), ("sil", 0.09, 0.1)]
    assert corpus.phones == ("sil", "a")
    assert set(ledger_of(corpus, "repaired")) == {"ann/0.TextGrid", "ann/1.TextGrid", "bob/0.ctm (0)"}
    reasons = reasons_of(corpus)
    assert "tier 'phones', line 20: 'b' starts at 0.1 s, 'a' before it ends at 0.12 s" in reasons["ann/2.TextGrid"]
    assert ledger_of(corpus, "skipped")["ann/9.TextGrid"] == "label without audio"
    assert list(ledger_of(corpus, "used").values()) == ["without labels"] * (12 - 4)


def test_labels_and_texts_in_another_folder_are_found(tmp_path: Path) -> None:
    root, labels = people(tmp_path / "in"), tmp_path / "labels"
    grid_of(labels / "ann/0.TextGrid", [("a", 0.0, 0.3)])
    grid_of(labels / "3.TextGrid", [("a", 0.0, 0.3)])  # ann's or bob's
    (labels / "ann/0.txt").write_text("hello")
    (labels / "all.ctm").write_text("ann/1 1 0 0.3 b\nbob/1 1 0 0.3 c\nbob/7 1 0 0.3 c\n")
    corpus = make(root, tmp_path / "out", labels=labels)
    assert [phones_of(corpus, name)[0][0] for name in ("ann/0.wav", "ann/1.wav", "bob/1.wav")] == ["a", "b", "c"]
    assert cuts_of(corpus)["ann/0.wav"][1].supervisions[0].text == "hello"
    assert ledger_of(corpus, "skipped") == {"3.TextGrid": "ambiguous label", "all.ctm (bob/7)": "label without audio"}
    assert make(root, tmp_path / "inside", labels=root.parent).phones == corpus.phones
    with pytest.raises(CorpusError, match="another config"):
        make(root, tmp_path / "out")
    with pytest.raises(CorpusError, match="--labels must be the folder"):
        make(root, tmp_path / "out", labels=tmp_path / "none")


def test_names_of_any_unicode_form_and_files_of_any_coding_are_read(tmp_path: Path) -> None:
    root = people(tmp_path / "in")
    for name in (normalize("NFD", "né"), normalize("NFC", "où")):
        write(root / "ann" / f"{name}.wav", noise(0.3))
    text = textgrid([("é", 0.0, 0.3)])
    (root / "ann" / (normalize("NFC", "né") + ".TEXTGRID")).write_bytes(text.encode("latin-1"))
    (root / "ann" / (normalize("NFD", "où") + ".textgrid")).write_bytes(text.encode("utf-16"))
    corpus = make(root, tmp_path / "out", encoding="latin-1")
    assert corpus.phones == ("é",)
    assert not reasons_of(corpus)
    refused = make(root, tmp_path / "refused")
    assert "--encoding latin-1" in reasons_of(refused)[f"ann/{normalize('NFC', 'né')}.TEXTGRID"]
    with pytest.raises(CorpusError, match="there is no text encoding 'latin-0'"):
        FolderConfig(encoding="latin-0")


def test_labels_of_recordings_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    root = people(tmp_path / "in")
    (root / "ann/bad.wav").write_text("no audio")
    grid_of(root / "ann/bad.TextGrid", [("a", 0.0, 0.3)])
    corpus = make(root, tmp_path / "out")
    assert "ann/bad.wav is skipped" in reasons_of(corpus)["ann/bad.TextGrid"]


def test_a_foreign_symbol_is_refused_as_english_and_named(tmp_path: Path) -> None:
    root = people(tmp_path / "in")
    (root / "ann/0.TextGrid").write_text(textgrid([("œ", 0.0, 0.3)]))
    corpus = make(root, tmp_path / "out", phone_set="english")
    assert "the label 'œ' is no English phone" in reasons_of(corpus)["ann/0.TextGrid"]
    assert make(root, tmp_path / "as-is").phones == ("œ",)


def test_the_audio_stays_where_it_is_or_is_copied(tmp_path: Path) -> None:
    root = people(tmp_path / "in")
    referring, copied = make(root, tmp_path / "refers"), make(root, tmp_path / "copied", copy=True)
    assert referring.audio_root == root
    assert not (referring.folder / "audio").exists()
    os.rename(copied.folder, tmp_path / "moved")
    os.rename(root, tmp_path / "elsewhere")
    from inattention.corpora.core.corpus import open_corpus

    moved = open_corpus(tmp_path / "moved")
    assert all(len(cut_waveform(cut, RATE)) for _, cut in cuts_of(moved).values())
    with pytest.raises(CorpusError, match="which is not there: if it has moved, change audio_root"):
        referring.cuts("train")
    # The same recordings in another place are the same corpus, which then points there.
    again = make(tmp_path / "elsewhere", tmp_path / "refers")
    assert again.key == referring.key
    assert again.audio_root == tmp_path / "elsewhere"
    assert all(len(cut_waveform(cut, RATE)) for _, cut in cuts_of(again).values())


def test_another_file_makes_another_corpus(tmp_path: Path) -> None:
    root = people(tmp_path / "in")
    make(root, tmp_path / "out")
    write(root / "ann" / "new.wav")
    with pytest.raises(CorpusError, match="another config"):
        make(root, tmp_path / "out")


def test_an_interrupted_preparation_reads_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from inattention.corpora.core import recordings as sources
    from inattention.corpora.readers import folder

    root = people(tmp_path / "in")
    monkeypatch.setattr(sources, "FILES_PER_JOB", 3)
    whole = make(root, tmp_path / "whole")
    monkeypatch.setattr(folder, "_add", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        make(root, tmp_path / "out")
    monkeypatch.undo()
    monkeypatch.setattr(sources, "FILES_PER_JOB", 3)
    monkeypatch.setattr(sources, "inspect", lambda *_, **__: pytest.fail("read again"))
    again = make(root, tmp_path / "out")
    for name in ("cuts-train.jsonl.gz", "cuts-dev.jsonl.gz", "cuts-test.jsonl.gz"):
        assert (again.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_alignment_is_asked_for_by_name_and_told_how_to_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = people(tmp_path / "in")
    (root / "ann/0.txt").write_text("hello")
    monkeypatch.setattr(alignment_jobs.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CorpusError, match=r"forced alignment needs .*not installed: pip install"):
        make(root, tmp_path / "out", align=True)


def test_aligned_phones_are_taken_and_refusals_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = people(tmp_path / "in")
    for number in range(2):
        (root / f"ann/{number}.txt").write_text("hello")
    monkeypatch.setattr(alignment_jobs.importlib.util, "find_spec", lambda name: object())
    facts = {"confidence": -4.0, "shortest": 0.1, "pauses": 0.1, "longest_seconds": 0.2, "left_over": 0.0, "phones": 1}
    aligned = {"phones": [["sil", 0.0, 0.1], ["ah", 0.1, 0.3]], "facts": facts, "attempt": 1}
    answers = [aligned, Failure("its words are not in the audio")]
    monkeypatch.setattr(alignment_jobs, "ask_all", lambda module, jobs, **_: iter(answers))
    corpus = make(root, tmp_path / "out", align=True)
    assert corpus.phones == ("sil", "ah")
    assert "could not be aligned: its words are not in the audio" in reasons_of(corpus)["ann/1.wav"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dev": 0.0}, "dev and test must be above 0"),
        ({"dev": 0.5, "test": 0.5}, "sum to at most 0.9"),
        ({"speaker_level": 0}, "speaker_level must be at least 1"),
        ({"shortest_seconds": 40.0}, "below longest_seconds"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict, words: str) -> None:
    with pytest.raises(CorpusError, match=words):
        FolderConfig(**options)


def test_an_empty_folder_or_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="there is no folder"):
        make(tmp_path / "none", tmp_path / "out")
    (tmp_path / "in").mkdir()
    with pytest.raises(CorpusError, match="there is no audio in"):
        make(tmp_path / "in", tmp_path / "out")


def test_corpus_json_can_be_read_and_names_no_path_in_its_config(tmp_path: Path) -> None:
    corpus = make(people(tmp_path / "in"), tmp_path / "out")
    text = (corpus.folder / "corpus.json").read_text()
    assert str(tmp_path) not in json.dumps(json.loads(text)["config"])


def test_an_apple_double_file_among_the_labels_is_litter(tmp_path: Path) -> None:
    root, labels = people(tmp_path / "in"), tmp_path / "labels"
    grid_of(labels / "ann/0.TextGrid", [("a", 0.0, 0.3)])
    for name in ("._0.TextGrid", "._1.ctm", "._2.txt"):
        (labels / "ann" / name).write_bytes(b"\x00\x05\x16\x07" + bytes(100))
    corpus = make(root, tmp_path / "out", labels=labels)
    assert ledger_of(corpus, "skipped") == {}
    assert list(ledger_of(corpus, "ignored").values()) == ["macOS AppleDouble file"] * 3


def test_sounds_that_are_no_phone_are_counted_as_repairs(tmp_path: Path) -> None:
    root = people(tmp_path / "in")
    grid_of(root / "ann/0.TextGrid", [("AH0", 0.0, 0.1), ("<unk>", 0.1, 0.2), ("spn", 0.2, 0.3)])
    corpus = make(root, tmp_path / "out", phone_set="english")
    groups = {g.category: g.count for g in read_preparation(corpus.folder).groups if g.outcome == "repaired"}
    assert groups == {"sound that is no phone left without a label": 1, "unknown word counted as silence": 1}
