"""A set of Hugging Face's, made here and saved to disk, becomes a corpus."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile

from inattention.audio.reader import cut_waveform
from inattention.corpora.core.corpus import SPLITS, Corpus
from inattention.corpora.errors import CorpusError
from inattention.corpora.readers.huggingface import HuggingFaceConfig, prepare
from recordings import RATE, noise, write

pa = pytest.importorskip("pyarrow", reason="the extra hf is not installed")
pq = pytest.importorskip("pyarrow.parquet", reason="the extra hf is not installed")
datasets = pytest.importorskip("datasets", reason="the extra hf is not installed")
# pyarrow and others warn of each other's versions; that is not ours.
pytestmark = pytest.mark.filterwarnings("ignore")


def encoded(seed: int) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, noise(0.4, seed=seed), RATE, format="FLAC")
    return buffer.getvalue()


def table(count: int = 5) -> dict[str, list]:
    rows = [(speaker, number) for speaker in ("7", "<b>8</b>") for number in range(count)]
    return {
        "audio": [{"bytes": encoded(n + 10 * int("8" in s)), "path": "../../x.flac"} for s, n in rows],
        "speaker_id": [speaker for speaker, _ in rows],
        "text": [f"text {number}" for _, number in rows],
    }


def saved(folder: Path, rows: dict[str, list]) -> Path:
    """Save rows as a set with an audio column, undecoded."""
    text = datasets.Value("string")
    stored = {"bytes": datasets.Value("binary"), "path": text}
    features = datasets.Features({"audio": stored, "speaker_id": text, "text": text})
    made = datasets.Dataset.from_dict(rows, features=features).cast_column("audio", datasets.Audio(decode=False))
    datasets.DatasetDict({"train": made}).save_to_disk(str(folder))
    return folder


def make(dataset: Path, out: Path, **options) -> Corpus:
    return prepare(HuggingFaceConfig(dataset=str(dataset), **options), out, workers=1, progress=False)


def test_a_set_is_streamed_into_a_corpus_and_bad_rows_are_said(tmp_path: Path) -> None:
    rows = table()
    rows["audio"] += [{"bytes": b"no audio", "path": None}, {"bytes": b"", "path": "elsewhere.flac"}, None]
    rows["speaker_id"] += ["7"] * 3
    rows["text"] += [""] * 3
    corpus = make(saved(tmp_path / "set", rows), tmp_path / "out")
    assert corpus.speakers == ("7", "<b>8</b>")
    assert sum(corpus.info["splits"][split]["cuts"] for split in SPLITS) == 10
    for split in SPLITS:
        for cut in corpus.cuts(split):
            assert len(cut_waveform(cut, RATE)) == pytest.approx(0.4 * RATE)
            assert cut.supervisions[0].text.startswith("text ")
    reasons = [reason for _, reason in corpus.info["bad_items"]["items"]]
    assert len(reasons) == 3
    assert any("cannot be read as audio" in reason for reason in reasons)
    assert any("there is no audio file 'elsewhere.flac'" in reason for reason in reasons)
    assert "has no audio" in reasons
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "set"]


def test_a_local_folder_of_files_is_loaded_by_the_library(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        for speaker in ("ann", "bob"):
            write(tmp_path / "set" / split / speaker / f"{split}-{speaker}.wav", noise(0.4))
    options = {"dev": "validation", "test": "test", "speaker": "label", "text": ""}
    corpus = make(tmp_path / "set", tmp_path / "out", **options)
    assert {split: corpus.info["splits"][split]["cuts"] for split in SPLITS} == {"train": 2, "dev": 2, "test": 2}
    assert corpus.speakers == ("ann", "bob")


def test_a_missing_column_or_set_is_said(tmp_path: Path) -> None:
    path = saved(tmp_path / "set", table())
    with pytest.raises(
        CorpusError, match=r"has no column 'who' \(it has: audio, speaker_id, text\): --speaker COL.* none"
    ):
        make(path, tmp_path / "out", speaker="who")
    with pytest.raises(CorpusError, match=r"has no split 'no-such-split'.* Known: train"):
        make(path, tmp_path / "out", train="no-such-split")
    with pytest.raises(CorpusError, match="cannot be opened"):
        make(tmp_path / "none", tmp_path / "out")


def parquet(path: Path, rows: dict[str, list], **options: Any) -> Path:
    """Write rows as a Parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(rows), path, **options)
    return path


def part(rows: dict[str, list], first: int, end: int) -> dict[str, list]:
    return {name: values[first:end] for name, values in rows.items()}


def count(corpus: Corpus) -> int:
    return sum(corpus.info["splits"][split]["cuts"] for split in SPLITS)


def test_sharded_parquet_is_read_without_the_library_and_a_missing_shard_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    rows = table()
    for number in (0, 2):
        name = f"data/train-0000{number}-of-00003.parquet"
        parquet(tmp_path / "set" / name, part(rows, 5 * (number // 2), 5 * (number // 2) + 5), row_group_size=2)
    corpus = make(tmp_path / "set", tmp_path / "out")
    assert count(corpus) == 10
    assert dict(corpus.info["bad_items"]["items"]) == {
        "data/train-00001-of-00003.parquet": "this shard of the dataset is missing"
    }
    assert {cut.supervisions[0].text for split in SPLITS for cut in corpus.cuts(split)} == set(rows["text"])


@pytest.mark.parametrize("kind", ["path", "bytes", "struct"])
def test_audio_may_be_a_path_or_bytes_in_a_column_of_its_own_or_both(tmp_path: Path, kind: str) -> None:
    rows = table(3)
    for number, audio in enumerate(rows["audio"]):
        (tmp_path / "set/clips").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"set/clips/{number}.flac").write_bytes(audio["bytes"])
        name = f"clips/{number}.flac"
        rows["audio"][number] = {"path": name, "bytes": audio["bytes"], "struct": {"bytes": None, "path": name}}[kind]
    corpus = make(parquet(tmp_path / "set/data/train.parquet", rows), tmp_path / "out")
    assert count(corpus) == 6
    cuts = [cut for split in SPLITS for cut in corpus.cuts(split)]
    assert all(Path(cut.recording.sources[0].source).is_relative_to(tmp_path / "out") for cut in cuts)


def test_a_set_saved_by_the_library_is_read_in_shards_with_the_names_of_classes(tmp_path: Path) -> None:
    rows = table()
    rows["speaker_id"] = [int("8" in name) for name in rows["speaker_id"]]
    stored = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    features = datasets.Features(
        {"audio": stored, "speaker_id": datasets.ClassLabel(names=["ann", "bob"]), "text": datasets.Value("string")}
    )
    made = datasets.Dataset.from_dict(rows, features=features)
    made.save_to_disk(str(tmp_path / "set"), num_shards=3)
    corpus = make(tmp_path / "set", tmp_path / "one")
    assert corpus.speakers == ("ann", "bob")
    assert count(corpus) == 10
    (tmp_path / "set/data-00001-of-00003.arrow").unlink()
    corpus = make(tmp_path / "set", tmp_path / "two")
    assert "data-00001-of-00003.arrow" in dict(corpus.info["bad_items"]["items"])
    assert count(corpus) == 7


def test_damaged_shards_cost_what_is_in_them(tmp_path: Path) -> None:
    rows = table()
    parquet(tmp_path / "set/train-00000-of-00003.parquet", rows)
    cut_off = parquet(tmp_path / "set/train-00001-of-00003.parquet", rows)
    cut_off.write_bytes(cut_off.read_bytes()[:-100])
    damaged = parquet(tmp_path / "set/train-00002-of-00003.parquet", rows, compression="none", write_statistics=False)
    data = bytearray(damaged.read_bytes())
    data[4:200] = bytes(196)
    damaged.write_bytes(data)
    corpus = make(tmp_path / "set", tmp_path / "out")
    reasons = dict(corpus.info["bad_items"]["items"])
    assert "is damaged" in reasons["train-00001-of-00003.parquet"]
    assert "train-00002-of-00003.parquet is damaged in its row group 0" in reasons["train-0000010"]
    assert count(corpus) == 10


def test_splits_are_found_by_name_and_several_subsets_are_not_mixed(tmp_path: Path) -> None:
    rows = table(3)
    for subset in ("clean", "other"):
        for split in ("train.100", "validation", "test"):
            parquet(tmp_path / f"set/{subset}/{split}-00000-of-00001.parquet", rows)
    options: dict[str, Any] = {"train": "train.100", "dev": "dev", "test": "test"}
    with pytest.raises(CorpusError, match="--subset names one of clean, other"):
        make(tmp_path / "set", tmp_path / "out", **options)
    corpus = make(tmp_path / "set", tmp_path / "out", subset="other", **options)
    assert {split: corpus.info["splits"][split]["cuts"] for split in SPLITS} == dict.fromkeys(SPLITS, 6)
    with pytest.raises(CorpusError, match=r"no files of a split 'train\.360'"):
        make(tmp_path / "set", tmp_path / "none", train="train.360")


def test_a_row_may_name_any_file_but_only_audio_enters_the_corpus(tmp_path: Path) -> None:
    rows = table(3)
    (tmp_path / "secret.txt").write_text("not audio")
    bad = ["/etc/passwd", "../secret.txt", "pipe:ls", "https://example.org/a.wav", "hf://datasets/a/b.wav", "none.wav"]
    rows["audio"] += [{"bytes": None, "path": name} for name in bad] + [{"bytes": b"no audio", "path": None}]
    rows["speaker_id"] += ["7"] * 7
    rows["text"] += [""] * 7
    corpus = make(parquet(tmp_path / "set/train.parquet", rows), tmp_path / "out")
    reasons = dict(corpus.info["bad_items"]["items"])
    assert len(reasons) == 7
    assert "is no path of a file" in reasons["train-0000009"]
    assert "tried" in reasons["train-0000011"]
    assert len([path for path in (tmp_path / "out/audio").rglob("*") if path.is_file()]) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "secret.txt", "set"]


def test_columns_of_decoded_samples_and_odd_values_are_refused_with_the_reason(tmp_path: Path) -> None:
    rows = table(3) | {"audio": [[0.1, 0.2]] * 6}
    with pytest.raises(CorpusError, match="holds list<"):
        make(parquet(tmp_path / "set/train.parquet", rows), tmp_path / "out")
    rows = table(3) | {"text": [1, 2, 3, 4, 5, 6], "speaker_id": [1.5, None, 2.0, 2.0, 1.5, 2.0]}
    corpus = make(parquet(tmp_path / "other/train.parquet", rows), tmp_path / "out")
    assert corpus.speakers == ("1.5", "2.0")
    assert corpus.info["bad_items"]["count"] == 6


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(CorpusError, match="both --dev and --test"):
        HuggingFaceConfig(dev="validation")
