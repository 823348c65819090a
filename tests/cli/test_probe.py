import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from inattention import AudioTransformer, AudioTransformerConfig
from inattention.cli.probe import open_source, run_probe
from inattention.corpora.core.corpus import Corpus
from inattention.corpora.errors import CorpusError
from inattention.model.transformer import ModelFolderError
from inattention.probing.config import ProbeConfig
from inattention.probing.features import ProbeError
from toy_corpus import SMALL, utterances, write_corpus

QUICK = ProbeConfig(tasks=("speaker-frame", "phone-1-hidden"), epochs=2, hidden_width=16, device="cpu")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "toy", utterances())


def test_model_folder_is_probed_printed_and_recorded(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    config = AudioTransformerConfig(
        attention="qk", width=12, heads=2, layers=1, feed_forward=16, max_length=32, features=SMALL
    )
    AudioTransformer(config).save_pretrained(tmp_path / "untrained")
    report = run_probe(str(tmp_path / "untrained"), corpus.folder, tmp_path / "deep" / "out", QUICK)
    printed = capsys.readouterr().out
    for result in report.tasks:
        assert f"{result.accuracy:.4f}  [{result.low:.4f}, {result.high:.4f}]" in printed
    record = json.loads((tmp_path / "deep/out/probes.json").read_text())
    assert record["report"] == json.loads(json.dumps(report.to_dict()))
    assert record["report"]["source"] == "untrained"
    assert ProbeConfig.from_dict(record["config"]) == QUICK
    assert record["corpus"]["key"] == corpus.key
    assert "torch" in record["provenance"]["packages"]
    assert [file.name for file in (tmp_path / "deep/out").iterdir()] == ["probes.json"]


def test_mel_needs_no_folder_and_nothing_is_written_unasked(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = run_probe("mel-no-cmvn", corpus.folder, None, QUICK)
    assert (report.source, report.width) == ("mel-no-cmvn", 480)
    assert list(tmp_path.iterdir()) == []


def test_both_mels_differ_in_their_normalisation_alone() -> None:
    assert open_source("mel", QUICK).config.normalise
    assert not open_source("mel-no-cmvn", QUICK).config.normalise


def test_what_was_left_out_is_said(corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in corpus.folder.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "audio").unlink()
    (folder / "audio").mkdir()
    for file in (corpus.folder / "audio").iterdir():
        if file.name != "train-bob-2.wav":
            (folder / "audio" / file.name).symlink_to(file)
    run_probe("mel", folder, None, QUICK)
    said = capsys.readouterr().err
    assert "features: utterances that could not be used: 1" in said
    assert "train: train-bob-2: " in said


def test_wrong_names_are_one_clear_line(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"mel-nocmvn: there is no such folder; perhaps 'mel-no-cmvn'"):
        run_probe("mel-nocmvn", corpus.folder, None, QUICK)
    with pytest.raises(CorpusError, match="no prepared corpus in"):
        run_probe("mel", tmp_path, None, QUICK)
    (tmp_path / "file").touch()
    with pytest.raises(ProbeError, match=r"file/out cannot be made a folder"):
        run_probe("mel", corpus.folder, tmp_path / "file" / "out", QUICK)


def test_command_is_quick_to_import() -> None:
    code = "import sys, inattention.cli.probe, inattention.probing.config; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
