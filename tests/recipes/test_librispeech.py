"""The commands of the LibriSpeech recipe parse, and its figures follow from the counted operations."""

import importlib.util
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

from inattention import cli
from inattention.corpora.registry import CORPORA
from inattention.pretraining.config import PretrainingConfig
from inattention.study.planning.presets import preset
from small_models import small_config

FOLDER = Path(__file__).parents[2] / "recipes" / "librispeech"


def commands() -> list[list[str]]:
    """Return the commands of README and job file, with variables filled in."""
    found = []
    for name in ("README.md", "pretrain.sbatch"):
        text = (FOLDER / name).read_text().replace("\\\n", " ")
        text = re.sub(r"\$\{?ROW[^\s\"]*\}?-\$SEED|\$ROW-\$SEED", "some-run", text)
        text = text.replace('"$ROW"', "patterned@logits").replace('"$SEED"', "0")
        matches = re.findall(r"\binattention ((?:\w+) [^\n`]*--[^\n`]*)", text)
        found += [shlex.split(match.rstrip("& ")) for match in matches]
    return found


def test_every_command_parses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    kinds = set()
    for words in commands():
        kinds.add(words[0])
        if words[:2] == ["corpus", "prepare"]:
            if words[2] not in CORPORA:
                continue  # an unknown corpus is refused by name
            assert cli.main([*words, "--path", str(tmp_path / "nowhere")]) == 2
            continue
        assert cli.main(words) == 2  # the missing corpus is the only error, where Ray is installed
        no_ray = "ray" in words and importlib.util.find_spec("ray") is None
        assert ("Ray is not installed" if no_ray else "no prepared corpus in") in capsys.readouterr().err, words
    assert kinds >= {"pretrain", "study", "corpus"}


def test_the_pretraining_of_the_recipe_is_the_papers() -> None:
    (words,) = [words for words in commands() if words[0] == "pretrain" and "bf16-mixed" in words][:1]
    paper = preset("paper").training
    pairs = dict(pairwise(words))
    assert int(pairs["--training.steps"]) == paper.steps
    assert int(pairs["--training.batch-size"]) == paper.batch_size
    assert float(pairs["--training.learning-rate"]) == paper.learning_rate
    assert pairs["--training.optimiser"] == paper.optimiser
    assert pairs["--training.target"] == paper.target


def test_the_job_file_is_a_script() -> None:
    subprocess.run(["bash", "-n", FOLDER / "pretrain.sbatch"], check=True)


@pytest.fixture
def cost() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cost", FOLDER / "cost.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["cost"] = module
    spec.loader.exec_module(module)
    return module


def test_figures_of_a_batch_follow_from_those_of_a_few_utterances(cost: ModuleType) -> None:
    config, three = small_config(width=48, max_length=400), PretrainingConfig(batch_size=3)
    step = cost.measure("uniform", config, three)
    larger = cost.measure("uniform", config, PretrainingConfig(batch_size=30))
    assert larger.teraflops == pytest.approx(10 * step.teraflops, rel=0.01)
    # Each weight is used with each frame three times (forward, and both gradients), two operations each time.
    weights = sum(p.numel() for p in cost.MaskedAcousticModel(config, 3).encoder.encoder.layers.parameters())
    assert step.teraflops * 1e12 > 6 * weights * config.layers * 3 * cost.mean_frames(config) * 0.9
    assert step.gigabytes < larger.gigabytes < 11 * step.gigabytes
