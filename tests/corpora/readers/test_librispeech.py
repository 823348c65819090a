"""A tree shaped like LibriSpeech: layout, labels, splits, and what may be wrong with each."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

from inattention.corpora.core.corpus import SPLITS, Corpus
from inattention.corpora.core.preparation import read_preparation
from inattention.corpora.errors import CorpusError
from inattention.corpora.readers.librispeech import LibriSpeechConfig, prepare
from recordings import RATE, noise, textgrid, write

CHAPTERS = {"19": ("198", "227", "301"), "26": ("495",), "27": ("123", "124")}


def tree(folder: Path, each: int = 4, subset: str = "train-clean-100") -> list[str]:
    """Write a subset, and give the names of its utterances; utterance k lasts 0.3 s and some frames."""
    names = []
    for speaker, chapters in CHAPTERS.items():
        for chapter in chapters:
            place = folder / subset / speaker / chapter
            own = [f"{speaker}-{chapter}-{number:04d}" for number in range(each)]
            for number, name in enumerate(own):
                write(place / f"{name}.flac", noise(0.3, seed=number))
            (place / f"{speaker}-{chapter}.trans.txt").write_text("".join(f"{n} THE WORDS OF {n}\n" for n in own))
            names += own
    return names


def cpc(folder: Path, names: list[str], test: int = 5) -> None:
    """Write labels as CPC published them: class k // 10 + the utterance's number at frame k."""
    folder.mkdir()
    lines = [f"{n} " + " ".join(str(k // 10 + int(n[-1])) for k in range(29)) + "\n" for n in names]
    (folder / "converted_aligned_phones.txt").write_text("".join(lines))
    (folder / "train_split.txt").write_text("".join(f"{n}\n" for n in names[test:]))
    (folder / "test_split.txt").write_text("".join(f"{n}\n" for n in names[:test]))


def make(root: Path, out: Path, **options) -> Corpus:
    return prepare(LibriSpeechConfig(path=root, **options), out, workers=1, progress=False)


def cuts_of(corpus: Corpus) -> dict:
    return {cut.id: (split, cut) for split in SPLITS for cut in corpus.cuts(split)}


@pytest.mark.parametrize("above", [False, True])
def test_chapters_stand_on_one_side_and_exceptions_are_counted(tmp_path: Path, above: bool) -> None:
    names = tree(tmp_path / "LibriSpeech")
    corpus = make(tmp_path if above else tmp_path / "LibriSpeech", tmp_path / "out")
    cuts = cuts_of(corpus)
    assert sorted(cuts) == sorted(names)
    sides = defaultdict(set)
    for name, (split, cut) in cuts.items():
        assert cut.supervisions[0].speaker == name.split("-")[0]
        assert cut.supervisions[0].text == f"THE WORDS OF {name}"
        sides[name.rpartition("-")[0]].add(split)
    assert sorted(map(sorted, (sides[f"19-{chapter}"] for chapter in CHAPTERS["19"]))) == [["dev"], ["test"], ["train"]]
    assert sides["26-495"] == {"train", "dev", "test"}
    assert sorted(map(sorted, (sides["27-123"], sides["27-124"]))) == [["dev", "test"], ["train"]]
    assert corpus.info["notes"] == {
        "speakers with one recording, split by utterance": 1,
        "speakers with two recordings, whose dev and test share one": 1,
    }
    assert corpus.audio_root == tmp_path / "LibriSpeech"
    assert corpus.phones == ()


def test_cpc_labels_are_times_and_its_split_is_as_published(tmp_path: Path) -> None:
    names = tree(tmp_path / "LibriSpeech")
    cpc(tmp_path / "cpc", names[:-1])
    corpus = make(tmp_path, tmp_path / "out", phones="cpc", labels=tmp_path / "cpc", split="cpc")
    cuts = cuts_of(corpus)
    assert {name for name, (split, _) in cuts.items() if split == "test"} == set(names[:5])
    assert set(cuts) == set(names[:-1])
    assert corpus.info["notes"]["utterances in no list of the split"] == 1
    assert corpus.phones == tuple(str(i) for i in range(41))
    for name, (_, cut) in cuts.items():
        first = int(name[-1])
        items = cut.supervisions[0].alignment["phone"]
        assert [item.symbol for item in items] == [str(first), str(first + 1), str(first + 2)]
        assert [round(item.start, 6) for item in items] == [0.0, 0.1, 0.2]
        assert items[-1].end == pytest.approx(0.29)
    assert "CPC" in corpus.info["caveat"]


def test_a_probe_reads_10_ms_labels_by_time_at_any_shift(tmp_path: Path) -> None:
    from inattention.audio.config import FeatureConfig
    from inattention.encoders.mel import MelSource
    from inattention.probing.features import extract
    from inattention.probing.labels import phone_examples

    names = tree(tmp_path / "LibriSpeech")
    cpc(tmp_path / "cpc", names)
    corpus = make(tmp_path, tmp_path / "out", phones="cpc", labels=tmp_path / "cpc")
    source = MelSource(FeatureConfig(mels=8, deltas=False, stack=1))  # a step every 12.5 ms
    features = extract(source, corpus.cuts("train"), split="train", folder=tmp_path, progress=False)
    found = phone_examples(features, corpus.cuts("train"), corpus.phones, source, repeated=False)
    assert not found.skipped
    for u, name in enumerate(features.ids):
        rows = found.rows[found.utterances == u] - features.offsets[u]
        wanted = [int(row * 0.0125 * 100 + 1e-6) // 10 + int(name[-1]) for row in rows]
        assert list(found.labels[found.utterances == u]) == wanted


def test_textgrids_of_the_montreal_aligner_are_found_and_folded(tmp_path: Path) -> None:
    names = tree(tmp_path / "LibriSpeech")
    grids = tmp_path / "grids/train-clean-100/19/198"
    grids.mkdir(parents=True)
    phones = [("", 0.0, 0.1), ("HH", 0.1, 0.15), ("AH1", 0.15, 0.2), ("spn", 0.2, 0.3)]
    (grids / "19-198-0000.TextGrid").write_text(textgrid(phones))
    (grids / "19-198-0001.TextGrid").write_text(textgrid([("œ", 0.0, 0.3)]))
    (grids / "19-198-0002.TextGrid").write_text("no grid")
    (grids / "19-198-0003.TextGrid").write_text(textgrid([("sil", 0.0, 0.3)]))
    (tmp_path / "grids/19-198-0003.TextGrid").write_text(textgrid([("sil", 0.0, 0.3)]))
    corpus = make(tmp_path, tmp_path / "out", phones="mfa", labels=tmp_path / "grids")
    cuts = cuts_of(corpus)
    assert len(cuts) == len(names)
    reasons = dict(corpus.info["bad_items"]["items"])
    assert "phones end at 0.200 s" not in reasons.get("19-198-0000", "")
    assert "no English phone" in reasons["19-198-0001"]
    assert "it ends before" in reasons["19-198-0002"]
    assert "there are 2 TextGrids of that name" in reasons["19-198-0003"]


def test_official_and_random_splits_are_there_when_asked_for(tmp_path: Path) -> None:
    root = tmp_path / "LibriSpeech"
    names = tree(root)
    for subset in ("dev-clean", "test-other"):
        place = root / subset / "84" / "121"
        write(place / f"84-121-000{len(subset)}.flac")
    official = cuts_of(make(root, tmp_path / "official", split="official"))
    assert {official[name][0] for name in names} == {"train"}
    assert official["84-121-0009"][0] == "dev"
    shuffled = make(root, tmp_path / "random", split="random", subsets=("train-clean-100",))
    sides = defaultdict(set)
    for name, (split, _) in cuts_of(shuffled).items():
        sides[name.rpartition("-")[0]].add(split)
    assert max(map(len, sides.values())) > 1
    assert "chapters stand in several splits" in shuffled.info["caveat"]


def test_what_is_broken_is_left_out_and_said(tmp_path: Path) -> None:
    root = tmp_path / "LibriSpeech"
    names = tree(root)
    place = root / "train-clean-100/19/198"
    (place / "19-198-0000.flac").write_bytes(b"no audio")
    (place / "19-198-0001.flac").unlink()
    write(place / "noise.flac")
    write(root / "train-clean-100/19/227/19-198-0002.flac")
    cpc(tmp_path / "cpc", names)
    text = (tmp_path / "cpc/converted_aligned_phones.txt").read_text()
    text = text.replace("19-198-0003 3 3", "19-198-0003 99 3").replace("26-495-0000 ", "26-495-0000 " + "1 " * 100)
    (tmp_path / "cpc/converted_aligned_phones.txt").write_text(text)
    corpus = make(root, tmp_path / "out", phones="cpc", labels=tmp_path / "cpc")
    reasons = dict(corpus.info["bad_items"]["items"])
    assert set(reasons) == {
        "train-clean-100/19/198/19-198-0000.flac",
        "19-198-0001",
        "train-clean-100/19/198/noise.flac",
        "train-clean-100/19/227/19-198-0002.flac",
        "19-198-0003",
        "26-495-0000",
    }
    assert "there is no such audio" in reasons["19-198-0001"]
    assert "has the label '99'" in reasons["19-198-0003"]
    assert "phones end at 1.290 s, the audio at 0.300 s" in reasons["26-495-0000"]
    assert cuts_of(corpus)["19-198-0003"][1].supervisions[0].alignment is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"subsets": ("train-clean",)}, "LibriSpeech has no subset 'train-clean', perhaps 'train-clean-"),
        ({"phones": "cpc"}, "--labels is needed"),
        ({"split": "cpc"}, "--labels is needed"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict, words: str) -> None:
    with pytest.raises(CorpusError, match=words):
        LibriSpeechConfig(**options)


def test_missing_subsets_and_labels_are_said(tmp_path: Path) -> None:
    names = tree(tmp_path / "LibriSpeech")
    with pytest.raises(CorpusError, match=r"has no dev-clean \(it has: train-clean-100\)"):
        make(tmp_path, tmp_path / "out", subsets=("dev-clean",))
    with pytest.raises(CorpusError, match="has no subset of LibriSpeech"):
        make(tmp_path / "LibriSpeech/train-clean-100", tmp_path / "out")
    with pytest.raises(CorpusError, match=r"converted_aligned_phones.txt cannot be read"):
        make(tmp_path, tmp_path / "out", phones="cpc", labels=tmp_path)
    cpc(tmp_path / "cpc", names)
    (tmp_path / "cpc/test_split.txt").write_text(f"{names[-1]}\n")
    with pytest.raises(CorpusError, match=r"is in both train_split.txt and test_split.txt"):
        make(tmp_path, tmp_path / "out", labels=tmp_path / "cpc", split="cpc")


def test_other_labels_make_another_corpus_and_another_place_does_not(tmp_path: Path) -> None:
    names = tree(tmp_path / "LibriSpeech")
    cpc(tmp_path / "cpc", names)
    one = make(tmp_path, tmp_path / "one", phones="cpc", labels=tmp_path / "cpc")
    (tmp_path / "cpc").rename(tmp_path / "elsewhere")
    two = make(tmp_path, tmp_path / "two", phones="cpc", labels=tmp_path / "elsewhere")
    assert one.key == two.key
    path = tmp_path / "elsewhere/converted_aligned_phones.txt"
    path.write_text(path.read_text().replace(" 1", " 7"))
    assert make(tmp_path, tmp_path / "three", phones="cpc", labels=tmp_path / "elsewhere").key != one.key


def test_audio_can_be_copied(tmp_path: Path) -> None:
    tree(tmp_path / "LibriSpeech")
    corpus = make(tmp_path, tmp_path / "out", copy=True)
    (tmp_path / "LibriSpeech").rename(tmp_path / "gone")
    _, cut = next(iter(cuts_of(corpus).values()))
    assert np.abs(cut.load_audio()).max() > 0.1
    assert cut.sampling_rate == RATE


@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".OPUS", ".ogg"])
def test_other_formats_are_read_under_the_same_names(tmp_path: Path, suffix: str) -> None:
    names = tree(tmp_path / "LibriSpeech")
    for path in (tmp_path / "LibriSpeech").rglob("*.flac"):
        options = {"format": "OGG", "subtype": "OPUS"} if suffix == ".OPUS" else {}
        write(path.with_suffix(suffix), soundfile.read(path)[0], **options)
        path.unlink()
    cuts = cuts_of(make(tmp_path, tmp_path / "out"))
    assert sorted(cuts) == sorted(names)
    assert all(cut.supervisions[0].text == f"THE WORDS OF {name}" for name, (_, cut) in cuts.items())


def test_of_two_formats_the_published_one_is_used_if_it_can_be_read(tmp_path: Path) -> None:
    names = tree(tmp_path / "LibriSpeech")
    place = tmp_path / "LibriSpeech/train-clean-100/19/198"
    for path in list(place.glob("*.flac")):
        write(path.with_suffix(".WAV"), soundfile.read(path)[0], format="WAV")
    (place / "19-198-0001.flac").write_bytes(b"no audio")
    corpus = make(tmp_path, tmp_path / "out")
    cuts = cuts_of(corpus)
    assert sorted(cuts) == sorted(names)
    sources = {name: Path(cut.recording.sources[0].source).name for name, (_, cut) in cuts.items()}
    assert sources["19-198-0000"] == "19-198-0000.flac"
    assert sources["19-198-0001"] == "19-198-0001.WAV"
    prepared = read_preparation(corpus.folder)
    assert [(c.found, c.used) for c in prepared.counts if c.kind == "recording"] == [(24, 24)]
    ignored = {group.category: group.count for group in prepared.groups if group.outcome == "ignored"}
    assert ignored["another format of the same recording"] == 3
    assert corpus.info["bad_items"]["count"] == 0


def test_a_part_of_it_without_transcripts_and_with_some_alignments_is_prepared(tmp_path: Path) -> None:
    names = tree(tmp_path / "LibriSpeech")
    for path in (tmp_path / "LibriSpeech").rglob("27-*"):
        path.unlink()
    (tmp_path / "LibriSpeech/train-clean-100/26/495/26-495.trans.txt").unlink()
    (tmp_path / "grids").mkdir()
    (tmp_path / "grids/19-198-0000.TextGrid").write_text(textgrid([("sil", 0.0, 0.1), ("AH0", 0.1, 0.3)]))
    corpus = make(tmp_path, tmp_path / "out", phones="mfa", labels=tmp_path / "grids")
    cuts = cuts_of(corpus)
    assert sorted(cuts) == sorted(name for name in names if not name.startswith("27"))
    assert cuts["26-495-0000"][1].supervisions[0].text is None
    assert cuts["19-198-0000"][1].supervisions[0].alignment is not None
    used = {g.category: g.count for g in read_preparation(corpus.folder).groups if g.outcome == "used"}
    assert used == {"without a transcript": 4, "without labels": 15}
    with pytest.raises(CorpusError, match="no utterances for dev and test: of the subsets, train-clean-100 can"):
        make(tmp_path, tmp_path / "none", split="official")


def test_an_empty_file_and_a_format_that_cannot_be_decoded_are_named(tmp_path: Path) -> None:
    tree(tmp_path / "LibriSpeech")
    place = tmp_path / "LibriSpeech/train-clean-100/19/198"
    (place / "19-198-0000.flac").write_bytes(b"")
    (place / "19-198-0001.flac").rename(place / "19-198-0001.m4a")
    corpus = make(tmp_path, tmp_path / "out")
    assert "is an empty file" in dict(corpus.info["bad_items"]["items"])["train-clean-100/19/198/19-198-0000.flac"]
    assert read_preparation(corpus.folder).counts[0].used == 23
