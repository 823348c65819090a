"""Features kept beside a corpus: the same numbers as on the fly, in any number of pieces, in memory that stays."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from inattention import cli
from inattention.audio.config import FeatureConfig
from inattention.audio.log_mel import log_mel
from inattention.audio.reader import cut_waveform
from inattention.corpora.core.corpus import Corpus, open_corpus
from inattention.corpora.errors import CorpusError
from inattention.corpora.features import stored_features as features
from inattention.corpora.features.stored_features import features_folder, read_frames, store_features, stored_features
from speech import make_corpus
from together import small

CONFIG = FeatureConfig()


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return make_corpus(tmp_path / "tones", {"train": 9, "dev": 3, "test": 2})


def test_stored_frames_are_those_computed_from_the_audio(corpus: Corpus) -> None:
    info = store_features(corpus, CONFIG, workers=0, progress=False)
    assert {split: counts["cuts"] for split, counts in info["splits"].items()} == {"train": 9, "dev": 3}
    for split in ("train", "dev"):
        for cut in corpus.cuts(split):
            frames = read_frames(stored_features(corpus, CONFIG), cut, CONFIG)
            assert frames is not None
            assert torch.equal(frames, log_mel(cut_waveform(cut, 16_000), CONFIG))


def test_training_from_stored_features_gives_the_same_bits_without_the_audio(corpus: Corpus, tmp_path: Path) -> None:
    assert cli.main(small(corpus.folder, tmp_path / "on-the-fly")) == 0
    assert cli.main(["corpus", "features", str(corpus.folder), "--workers", "0"]) == 0
    for path in (corpus.folder / "audio").iterdir():
        path.unlink()
    assert cli.main(small(corpus.folder, tmp_path / "stored", "--training.stored-features")) == 0
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("on-the-fly", "stored"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    outcome = json.loads((tmp_path / "stored" / "outcome.json").read_text())
    assert outcome["skipped"] == {}


def test_a_corpus_can_be_moved_with_its_features(corpus: Corpus, tmp_path: Path) -> None:
    store_features(corpus, CONFIG, workers=0, progress=False)
    moved = open_corpus(corpus.folder.rename(tmp_path / "elsewhere"))
    cut = next(iter(moved.cuts("dev")))
    assert read_frames(stored_features(moved, CONFIG), cut, CONFIG) is not None


def test_settings_before_the_logarithm_are_told_apart_and_later_ones_shared(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_features(corpus, CONFIG, workers=0, progress=False)
    later = replace(CONFIG, stack=2, deltas=False)
    assert read_frames(stored_features(corpus, later), next(iter(corpus.cuts("dev"))), later) is not None
    with pytest.raises(CorpusError, match="no stored features of these settings"):
        stored_features(corpus, replace(CONFIG, mels=40))
    words = ("--training.stored-features", "--model.features.mels", "40")
    assert cli.main(small(corpus.folder, tmp_path / "run", *words)) == 2
    assert "inattention corpus features" in capsys.readouterr().err


def test_a_killed_call_goes_on_with_what_it_lacks(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "CUTS_PER_PART", 2)
    store, done = features.store_part, []

    def dying(cuts: list, *rest: object) -> int:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append([cut.id for cut in cuts])
        return store(cuts, *rest)

    monkeypatch.setattr(features, "store_part", dying)
    with pytest.raises(KeyboardInterrupt):
        store_features(corpus, CONFIG, workers=0, progress=False)
    assert len(done) == 3
    with pytest.raises(CorpusError, match="no stored features"):
        stored_features(corpus, CONFIG)
    done.insert(0, [])  # so that it never dies again
    done.insert(0, [])
    info = store_features(corpus, CONFIG, workers=0, progress=False)
    ids = [name for group in done for name in group]
    assert sorted(ids) == sorted(cut.id for split in ("train", "dev") for cut in corpus.cuts(split))
    assert info["splits"]["train"]["cuts"] == 9
    assert not (features_folder(corpus, CONFIG) / "parts").exists()


def test_bad_files_are_counted(corpus: Corpus) -> None:
    bad = sorted((corpus.folder / "audio").glob("train-*"))[:2]
    bad[0].write_bytes(b"not audio")
    bad[1].unlink()
    info = store_features(corpus, CONFIG, workers=0, progress=False)
    assert info["splits"]["train"]["bad_items"]["count"] == 2
    assert sorted(name for name, _ in info["splits"]["train"]["bad_items"]["items"]) == [path.stem for path in bad]
    folder = stored_features(corpus, CONFIG)
    have = {cut.id for cut in corpus.cuts("train") if read_frames(folder, cut, CONFIG) is not None}
    assert {cut.id for cut in corpus.cuts("train")} - have == {path.stem for path in bad}


def test_damaged_features_or_those_of_another_cut_are_computed_anew(corpus: Corpus) -> None:
    store_features(corpus, CONFIG, workers=0, progress=False)
    folder, cut = stored_features(corpus, CONFIG), next(iter(corpus.cuts("dev")))
    assert read_frames(folder, cut.truncate(duration=0.5), CONFIG) is None
    for path in (folder / "frames").rglob("*.npy"):
        np.save(path, np.zeros((3, 80), dtype=np.float32))
    assert read_frames(folder, cut, CONFIG) is None
    for path in (folder / "frames").rglob("*.npy"):
        path.write_bytes(b"no array")
    assert read_frames(folder, cut, CONFIG) is None


def repeated(corpus: Corpus, times: int) -> Corpus:
    """Make the training split so many times as long, with the same audio under other names."""
    path = corpus.folder / "cuts-train.jsonl.gz"
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    with gzip.open(path, "wt") as file:
        for number in range(times):
            for line in lines:
                file.write(json.dumps({**line, "id": f"{line['id']}-{number}"}) + "\n")
    info = corpus.info
    info["splits"]["train"]["cuts"] *= times
    (corpus.folder / "corpus.json").write_text(json.dumps(info))
    return open_corpus(corpus.folder)


MEMORY = """
import re, sys
from pathlib import Path
from inattention.audio.config import FeatureConfig
from inattention.corpora.features import stored_features as features
from inattention.corpora.core.corpus import open_corpus
features.CUTS_PER_PART = 8
store = features.store_part
def megabytes():
    # Not the peak of all pages: how many pages of libraries stay in memory depends on what else the machine does.
    status = Path("/proc/self/status").read_text()
    return sum(int(re.search(rf"{name}:\\s+(\\d+) kB", status)[1]) for name in ("RssAnon", "VmSwap")) / 1024
def measured(*arguments):
    store(*arguments)
    print(megabytes())
features.store_part = measured
config = FeatureConfig(fft_size=1024, hop_seconds=0.00125)
features.store_features(open_corpus(sys.argv[1]), config, workers=0, progress=False)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads the memory of a process from /proc")
def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    corpus = repeated(make_corpus(tmp_path / "tones", {"train": 8, "dev": 2, "test": 2}, phones=4), 60)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", MEMORY, corpus.folder]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    after_each_part = [float(line) for line in done.stdout.split()]
    assert len(after_each_part) == 61
    assert max(after_each_part) < after_each_part[5] + 15  # megabytes; the frames of the other 440 cuts have 40


SCRIPT = """
import sys
from inattention.audio.config import FeatureConfig
from inattention.corpora.core.corpus import open_corpus
from inattention.corpora.features.stored_features import store_features
print("started")
store_features(open_corpus(sys.argv[1]), FeatureConfig(), workers=2, progress=False)
"""


@pytest.mark.slow
def test_processes_store_the_same_bytes_and_do_not_run_the_callers_script_again(corpus: Corpus, tmp_path: Path) -> None:
    store_features(corpus, CONFIG, workers=0, progress=False)
    folder = features_folder(corpus, CONFIG)
    alone = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.npy")}
    info = (folder / "features.json").read_bytes()
    shutil.rmtree(folder)
    (tmp_path / "script.py").write_text(SCRIPT)  # no guard: `if __name__ == "__main__"`
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, tmp_path / "script.py", corpus.folder]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["started"]
    assert {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.npy")} == alone
    assert (folder / "features.json").read_bytes() == info
