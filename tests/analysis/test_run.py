"""`inattention analyze`: from a model's folder and a corpus to an atlas, figures and tables."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from inattention.analysis.capture import capture
from inattention.analysis.config import AnalysisConfig
from inattention.analysis.measures import CATEGORIES, MEASURES
from inattention.analysis.run import analyze, start_of
from inattention.cli import main
from inattention.corpora.core.corpus import Corpus
from inattention.encoders.open import open_source
from inattention.encoders.ours import EncoderSource
from inattention.pretraining.config import PretrainingConfig
from inattention.pretraining.manifest import Run
from inattention.pretraining.run import pretrain
from small_models import small_config, small_model
from speech import make_corpus

CONFIG = AnalysisConfig(utterances=6, singles=5, crop_steps=16, perplexity=5, components=8)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("tones") / "corpus", {"train": 2, "dev": 8, "test": 1})


@pytest.fixture(scope="module")
def model(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run without steps, so that its start is known."""
    folder = tmp_path_factory.mktemp("runs") / "qk-0"
    pretrain(Run(small_config(attention="qk"), PretrainingConfig(steps=0), corpus, seed=3), folder, progress=False)
    return folder


def set_steps(folder: Path, steps: int) -> None:
    path = folder / "outcome.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "steps": steps}))


@pytest.fixture(scope="module")
def analyzed(model: Path, corpus: Corpus) -> Path:
    """Folder of the analysis, as if the run had 20 steps and a snapshot after 10."""
    snapshot = model.parent / "qk-0-after-10"
    shutil.copytree(model, snapshot)
    set_steps(model, 20)
    set_steps(snapshot, 10)
    words = ["analyze", str(model), "--corpus", str(corpus.folder), "--snapshots", str(snapshot)]
    for name in ("utterances", "singles", "crop_steps", "perplexity", "components"):
        words += [f"--{name.replace('_', '-')}", str(getattr(CONFIG, name))]
    assert main(words) == 0
    return model / "atlas"


def test_all_files_are_written_and_no_temporary_ones_remain(analyzed: Path) -> None:
    names = {str(path.relative_to(analyzed)) for path in analyzed.rglob("*") if path.is_file()}
    drawn = ["maps-typical", "input-dependence", "tsne", "explained-variance", "maps-before-after", "over-training"]
    figures = {f"figures/{name}.{kind}" for name in drawn for kind in ("svg", "png")}
    assert names == figures | {"atlas.html", "measures.json", "measures.csv", "maps.safetensors"}


def test_text_in_figures_stays_text(analyzed: Path) -> None:
    for path in (analyzed / "figures").glob("*.svg"):
        assert "<text" in path.read_text(), path.name


def test_numbers_are_those_of_the_capture_with_all_that_they_depend_on(
    analyzed: Path, model: Path, corpus: Corpus
) -> None:
    captured = capture(open_source(str(model)), corpus, utterances=6, crop_steps=16, singles=5)
    record = json.loads((analyzed / "measures.json").read_text())
    assert record["captured"]["utterances"] == captured.count == 6
    assert record["config"]["seed"] == 0
    assert record["corpus"] == {"name": "tones", "key": corpus.key}
    assert record["provenance"]["packages"]["torch"]
    assert [it["step"] for it in record["over_training"]] == [0, 10, 20]
    assert len(record["heads"]) == 2 * 12
    for it in record["heads"]:
        place = it["layer"] - 1, it["head"] - 1
        assert it["input_dependence"] == pytest.approx(captured.input_dependence[place])
        assert sum(it["single_maps"].values()) == 6
        for name in MEASURES:
            assert it["measures"][name] == pytest.approx(captured.measures[name][place])
    np.testing.assert_allclose(load_file(analyzed / "maps.safetensors")["mean"], captured.mean, rtol=1e-6)
    rows = list(csv.DictReader((analyzed / "measures.csv").read_text().splitlines()))
    assert [row["category"] for row in rows] == [it["category"] for it in record["heads"]]
    assert float(rows[5]["trend"]) == pytest.approx(record["heads"][5]["measures"]["trend"], abs=1e-5)
    assert {row["category"] for row in rows} <= set(CATEGORIES)


def test_the_start_of_a_run_is_the_model_that_it_started_from(model: Path, corpus: Corpus) -> None:
    start, kept = start_of(str(model), corpus), open_source(str(model))
    assert isinstance(start, EncoderSource)
    assert isinstance(kept, EncoderSource)
    for (name, one), other in zip(start.model.state_dict().items(), kept.model.state_dict().values(), strict=True):
        assert one.equal(other), name


def test_a_model_without_a_run_has_no_before(corpus: Corpus, tmp_path: Path) -> None:
    small_model(attention="patterned").save_pretrained(tmp_path / "model")
    done = analyze(str(tmp_path / "model"), corpus.folder, tmp_path / "out", CONFIG, progress=False)
    assert "input dependence of heads: mean 0.00, from 0.00 to 0.00" in done.summary()
    assert "no maps before pre-training" in done.summary()
    assert done.atlas == tmp_path / "out" / "atlas.html"
    assert not (done.folder / "figures" / "maps-before-after.svg").exists()


def test_invalid_options_are_refused_in_one_line(
    model: Path, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, message in (
        ([str(tmp_path / "none")], "there is no such folder"),
        ([str(model), "--layer", "3", "--crop-steps", "16"], "there is no layer 3: qk-0 has 2"),
        ([str(model), "--crop-steps", "49"], "at most 48 frames, not of 49"),
        ([str(model), "--singles", "0"], "singles must be at least 1"),
    ):
        assert main(["analyze", *words, "--corpus", str(corpus.folder), "--out", str(tmp_path / "out")]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
