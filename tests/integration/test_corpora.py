"""A tree shaped like LibriSpeech goes through everything that an embedded corpus goes through, with no special path."""

import json
from pathlib import Path

import pytest
import soundfile

from inattention.cli import main
from inattention.corpora.core.corpus import SPLITS, open_corpus
from inattention.corpora.readers.espeak.reader import EspeakConfig
from inattention.corpora.readers.espeak.reader import prepare as prepare_espeak
from inattention.model.config import AudioTransformerConfig
from inattention.pretraining.config import PretrainingConfig
from inattention.probing.config import ProbeConfig
from inattention.study.execution.run import run_study
from inattention.study.planning.config import StudyConfig
from inattention.timing.config import TimingConfig
from together import small, torchrun

FRAME_SECONDS = 0.01


def librispeech_of(spoken: Path, folder: Path, labels: Path) -> int:
    """Lay speech out as LibriSpeech does, in three chapters a speaker, with a label every 10 ms as CPC has them."""
    corpus = open_corpus(spoken)
    number = {phone: i for i, phone in enumerate(corpus.phones)}
    cuts = sorted((cut for split in SPLITS for cut in corpus.cuts(split)), key=lambda cut: cut.id)
    lines = []
    for i, cut in enumerate(cuts):
        supervision = cut.supervisions[0]
        speaker = 100 + corpus.speakers.index(supervision.speaker)
        chapter = 1000 * speaker + i % 3
        name = f"{speaker}-{chapter}-{i:04d}"
        place = folder / "train-clean-100" / str(speaker) / str(chapter)
        place.mkdir(parents=True, exist_ok=True)
        soundfile.write(place / f"{name}.flac", cut.load_audio()[0], cut.sampling_rate)
        with (place / f"{speaker}-{chapter}.trans.txt").open("a") as file:
            file.write(f"{name} {supervision.text.upper()}\n")
        centres = [(k + 0.5) * FRAME_SECONDS for k in range(int(cut.duration / FRAME_SECONDS))]
        items = supervision.alignment["phone"]
        classes = [next(number[p.symbol] for p in items if p.start <= t < p.end + 1e-6) for t in centres]
        lines.append(f"{name} {' '.join(map(str, classes))}\n")
    labels.mkdir()
    (labels / "converted_aligned_phones.txt").write_text("".join(lines))
    names = [line.split()[0] for line in lines]
    (labels / "train_split.txt").write_text("".join(f"{name}\n" for name in names if int(name[-4:]) % 5))
    (labels / "test_split.txt").write_text("".join(f"{name}\n" for name in names if not int(name[-4:]) % 5))
    return len(names)


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_a_tree_shaped_like_librispeech_goes_from_files_to_the_report(tmp_path: Path) -> None:
    prepare_espeak(EspeakConfig(hours=0.025, voices=3, seed=3), tmp_path / "spoken", workers=1, progress=False)
    count = librispeech_of(tmp_path / "spoken", tmp_path / "LibriSpeech", tmp_path / "cpc")
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "LibriSpeech").rglob("*")}
    words = ["--path", str(tmp_path / "LibriSpeech"), "--phones", "cpc", "--labels", str(tmp_path / "cpc")]
    for split in ("chapters", "cpc"):
        options = ["--split", split, "--out", str(tmp_path / f"by-{split}"), "--workers", "1"]
        assert main(["corpus", "prepare", "librispeech", *words, *options]) == 0
    corpus = open_corpus(tmp_path / "by-chapters")
    assert corpus.info["bad_items"]["count"] == 0
    assert sum(corpus.info["splits"][split]["cuts"] for split in SPLITS) == count
    assert len(corpus.phones) == 41
    published = open_corpus(tmp_path / "by-cpc")
    assert {cut.id for cut in published.cuts("test")} == set((tmp_path / "cpc/test_split.txt").read_text().split())
    output = torchrun("-m", "inattention.cli", *small(corpus.folder, tmp_path / "two"))
    assert output.count("held-out masked L1") == 1  # one of the two processes prints
    probes = ["--tasks", "phone-1-hidden", "--epochs", "2", "--hidden-width", "16", "--bootstrap-draws", "20"]
    assert main(["probe", str(tmp_path / "two"), "--corpus", str(corpus.folder), *probes]) == 0
    config = StudyConfig(
        corpus=corpus.folder,
        rows=("mel", "patterned@logits"),
        model=AudioTransformerConfig(width=24, feed_forward=24, layers=2, max_length=40),
        training=PretrainingConfig(steps=4, batch_size=6, validate_every=2, held_out_draws=1),
        probes=ProbeConfig(epochs=4, hidden_width=32, bootstrap_draws=20),
        timing=TimingConfig(
            width=24, feed_forward=24, layers=1, lengths=(20,), rounds=1, seconds=0.0, exponent_lengths=(), threads=1
        ),
    )
    results = run_study(config, tmp_path / "study", jobs=1, progress=False)
    assert not results.failures
    assert results.corpus.name == "librispeech"
    outcomes = [json.loads(line) for line in (tmp_path / "study/results.jsonl").read_text().splitlines()]
    (probed,) = [line["outcome"] for line in outcomes if (line.get("kind"), line.get("row")) == ("probe", "mel")]
    tasks = {task["task"]: task for task in probed["tasks"]}
    # Labels that were off by a frame shift would be near the commonest class.
    assert tasks["phone-1-hidden"]["accuracy"] > tasks["phone-1-hidden"]["chance"] + 0.1
    assert all(not skipped["count"] for skipped in tasks["phone-1-hidden"]["skipped"].values())
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "LibriSpeech").rglob("*")} == files
