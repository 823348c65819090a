"""Training in two processes under torchrun gives what one process gives."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from inattention import cli
from inattention.corpora.core.corpus import Corpus
from together import small, torchrun

pytestmark = pytest.mark.slow
TOLERANCE = 2e-5
TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def alone(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of the commands run in one process."""
    folder = tmp_path_factory.mktemp("alone")
    for name, more in {
        "whole": (),
        "accumulated": ("--training.accumulate", "3"),
        "apart": ("--model.no-share-layers",),
    }.items():
        assert cli.main(small(corpus.folder, folder / name, *more)) == 0
    return folder


@pytest.fixture(scope="module")
def together(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of the commands run in two processes."""
    folder = tmp_path_factory.mktemp("together")
    torchrun(str(TESTS / "together.py"), str(corpus.folder), str(folder))
    return folder


def weights(folder: Path) -> torch.Tensor:
    return torch.cat([tensor.flatten() for _, tensor in sorted(load_file(folder / "model.safetensors").items())])


def far(one: Path, other: Path) -> float:
    return float((weights(one) - weights(other)).abs().max())


def outcome(folder: Path) -> dict:
    return json.loads((folder / "outcome.json").read_text())


def test_two_processes_give_the_weights_of_one(alone: Path, together: Path) -> None:
    assert far(alone / "whole", together / "whole") < TOLERANCE
    assert outcome(together / "whole")["held_out_l1"] == pytest.approx(outcome(alone / "whole")["held_out_l1"], 1e-4)

    def curve(folder: Path) -> list[float]:
        return [json.loads(line)["held_out_l1"] for line in (folder / "curve.jsonl").read_text().splitlines()]

    assert curve(together / "whole") == pytest.approx(curve(alone / "whole"), 1e-4)


def test_micro_batches_are_the_whole_batch(alone: Path, together: Path) -> None:
    assert far(alone / "whole", alone / "accumulated") < TOLERANCE
    assert far(alone / "whole", together / "accumulated") < TOLERANCE


def test_a_signal_to_one_process_stops_both_and_they_resume_in_the_same_bits(together: Path) -> None:
    codes = [json.loads((together / f"codes-{rank}.json").read_text()) for rank in (0, 1)]
    assert codes[0]["stopped"] == codes[1]["stopped"] == [2, 0]
    assert torch.equal(weights(together / "stopped"), weights(together / "whole"))


def test_a_run_of_two_processes_is_resumed_in_one(corpus: Corpus, alone: Path, together: Path) -> None:
    assert not (together / "begun" / "outcome.json").exists()
    # Also with micro-batches: how batches are divided is not part of a checkpoint.
    assert cli.main(small(corpus.folder, together / "begun", "--training.accumulate", "2")) == 0
    assert far(alone / "whole", together / "begun") < TOLERANCE


def test_fsdp_stopped_and_resumed_gives_the_weights_of_one_process(alone: Path, together: Path) -> None:
    assert far(alone / "apart", together / "sharded") < TOLERANCE
    # Started with whole models and resumed with sharded ones: the optimizer's state finds its weights.
    assert far(alone / "apart", together / "spread") < TOLERANCE


def test_an_fsdp_run_is_resumed_in_one_process(corpus: Corpus, alone: Path, together: Path) -> None:
    assert cli.main(small(corpus.folder, together / "gathered", "--model.no-share-layers")) == 0
    assert far(alone / "apart", together / "gathered") < TOLERANCE


def test_fsdp_is_refused_with_lamb_before_anything_starts(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = small(corpus.folder, tmp_path / "run", "--training.strategy", "fsdp", "--training.optimiser", "lamb")
    with pytest.raises(SystemExit):
        cli.main(words)
    assert "fsdp trains with adamw" in " ".join(capsys.readouterr().err.split())


def test_a_nan_loss_in_one_process_stops_both(together: Path) -> None:
    codes = [json.loads((together / f"codes-{rank}.json").read_text()) for rank in (0, 1)]
    assert codes[0]["diverged"] == codes[1]["diverged"] == [1]
    named = json.loads((together / "diverged" / "diverged.json").read_text())
    assert named["step"] == 0
    assert len(named["cuts"]) == 5  # the whole batch of both processes
