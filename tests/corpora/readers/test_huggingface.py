"""A set of Hugging Face's, made here and saved to disk, becomes a corpus."""

import io
from pathlib import Path

import pytest
import soundfile

from inattention.audio.reader import cut_waveform
from inattention.corpora.core.corpus import SPLITS, Corpus
from inattention.corpora.errors import CorpusError
from inattention.corpora.readers.huggingface import HuggingFaceConfig, _read, prepare
from recordings import RATE, noise, write

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
    assert any("'elsewhere.flac' is no file of the set" in reason for reason in reasons)
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
    with pytest.raises(CorpusError, match=r"has no column 'who' \(it has: audio, speaker_id, text\)"):
        make(path, tmp_path / "out", speaker="who")
    with pytest.raises(CorpusError, match="cannot be opened"):
        make(path, tmp_path / "out", train="no-such-split")
    with pytest.raises(CorpusError, match="cannot be opened"):
        make(tmp_path / "none", tmp_path / "out")


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret.wav", "set/link.wav", "pipe:ls", "https://example.org/a"])
def test_a_row_that_names_a_file_outside_the_set_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "secret.wav")
    (tmp_path / "set").mkdir()
    (tmp_path / "set/link.wav").symlink_to(tmp_path / "secret.wav")
    with pytest.raises(CorpusError, match="is no file of the set"):
        _read(path, tmp_path / "set")


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(CorpusError, match="both --dev and --test"):
        HuggingFaceConfig(dev="validation")
