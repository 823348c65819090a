"""Options of how a run is computed, through the command line: they change its numbers in the last digits at most."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from inattention import cli
from inattention.corpora.core.corpus import Corpus
from inattention.model.transformer import AudioTransformer
from inattention.pretraining.config import PretrainingConfig
from inattention.pretraining.devices import placement
from inattention.pretraining.examples import split
from inattention.pretraining.manifest import Run
from inattention.pretraining.stopping import RunError, is_first_process
from small_models import small_config
from together import small


def weights(folder: Path) -> torch.Tensor:
    return torch.cat([tensor.flatten() for _, tensor in sorted(load_file(folder / "model.safetensors").items())])


def loss(folder: Path) -> float:
    return json.loads((folder / "outcome.json").read_text())["held_out_l1"]


@pytest.mark.parametrize("count", [2, 7])
def test_micro_batches_give_the_weights_of_the_whole_batch(
    corpus: Corpus, whole: Path, tmp_path: Path, count: int
) -> None:
    assert cli.main(small(corpus.folder, tmp_path / "run", "--training.accumulate", str(count))) == 0
    torch.testing.assert_close(weights(tmp_path / "run"), weights(whole), atol=2e-5, rtol=0)
    assert (tmp_path / "run" / "curve.jsonl").read_text().count("\n") == 2


def test_bfloat16_trains_like_float32_within_a_percent(corpus: Corpus, whole: Path, tmp_path: Path) -> None:
    assert cli.main(small(corpus.folder, tmp_path / "run", "--training.precision", "bf16-mixed")) == 0
    assert not torch.equal(weights(tmp_path / "run"), weights(whole))
    assert loss(tmp_path / "run") == pytest.approx(loss(whole), rel=0.01)
    assert cli.main(small(corpus.folder, tmp_path / "run")) == 2  # it is another run


@pytest.mark.parametrize("optimiser", ["adamw", "lamb"])
def test_an_attention_rate_moves_the_mechanism_only(corpus: Corpus, tmp_path: Path, optimiser: str) -> None:
    def moved(rate: float) -> tuple[float, float]:
        options = ("--row", "patterned", "--training.optimiser", optimiser, "--training.steps", "1")
        rates = ("--training.learning-rate", "1e-4", "--training.attention-rate", str(rate))
        before, after = tmp_path / "before", tmp_path / f"{optimiser}-{rate}"
        assert cli.main(small(corpus.folder, before, "--row", "patterned", "--training.steps", "0")) == 0
        assert cli.main(small(corpus.folder, after, *options, *rates)) == 0
        start, end = (load_file(folder / "model.safetensors") for folder in (before, after))
        shift = {name: (end[name] - start[name]).abs().mean().item() for name in start}
        maps = [name for name in shift if "mechanisms" in name]
        assert len(maps) == 1
        return shift[maps[0]], sum(shift[name] for name in shift if name not in maps)

    (usual, rest), (faster, same) = moved(1.0), moved(5.0)
    assert usual > 0
    assert faster == pytest.approx(5 * usual, rel=0.05)
    assert same == pytest.approx(rest, rel=1e-4)


def test_snapshots_are_saved_and_change_nothing(corpus: Corpus, whole: Path, tmp_path: Path) -> None:
    assert cli.main(small(corpus.folder, tmp_path / "run", "--training.snapshots", "3")) == 0
    folders = sorted((tmp_path / "run" / "snapshots").iterdir())
    assert [folder.name for folder in folders] == ["step-000002", "step-000004", "step-000006"]
    assert torch.equal(weights(tmp_path / "run"), weights(whole))
    snapshots = [weights(folder) for folder in folders]
    assert not any(torch.equal(it, weights(whole)) for it in snapshots)
    assert AudioTransformer.from_pretrained(folders[1]).config == AudioTransformer.from_pretrained(whole).config
    with pytest.raises(SystemExit):
        cli.main(small(corpus.folder, tmp_path / "run", "--training.snapshots", "-1"))


def test_an_impossible_attention_rate_is_refused(corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        cli.main(small(corpus.folder, tmp_path / "run", "--training.attention-rate", "0"))
    assert "attention_rate" in capsys.readouterr().err


def test_micro_batches_hold_the_batch_and_count_all_its_masked_bins(corpus: Corpus) -> None:
    run = Run(small_config(), PretrainingConfig(steps=1), corpus)
    batch = run.examples()[0, 0, list(corpus.cuts("train"))[:3]]
    for count in (1, 2, 3, 5):
        micro_batches = split(batch, count)
        assert len(micro_batches) == count
        assert [it.micro_batch for it in micro_batches] == list(range(count))
        assert tuple(cut for it in micro_batches for cut in it.ids) == batch.ids
        assert sum(int(it.masked.sum()) for it in micro_batches) == int(batch.masked.sum())
        assert {it.masked_bins for it in micro_batches} == {int(batch.masked.sum()) * batch.target.shape[2]}
    alone = run.examples()[0, 0, list(corpus.cuts("train"))[2:3]]
    last = split(batch, 3)[2]
    assert torch.equal(last.features, alone.features)
    assert torch.equal(last.masked, alone.masked)


def test_torchrun_decides_the_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy

    assert placement(PretrainingConfig(strategy="fsdp")) == {"devices": 1, "num_nodes": 1, "strategy": "auto"}
    environment = {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8", "RANK": "5"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert not is_first_process()
    placed = placement(PretrainingConfig())
    assert (placed["devices"], placed["num_nodes"]) == (4, 2)
    assert isinstance(placed["strategy"], DDPStrategy)
    sharded = placement(PretrainingConfig(strategy="fsdp"))["strategy"]
    assert isinstance(sharded, ModelParallelStrategy)
    assert (sharded._data_parallel_size, sharded._tensor_parallel_size) == (8, 1)
    with pytest.raises(RunError, match="torchrun started 4 processes on each of 2 machines"):
        placement(PretrainingConfig(devices=8))
