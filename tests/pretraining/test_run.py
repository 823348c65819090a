"""A pre-training run: real training, in any number of pieces the same, and clear about what it cannot do."""

import json
import math
import os
import signal
import statistics
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest
import torch
from lhotse import CutSet, MonoCut
from safetensors.torch import load_file, save_file

from inattention.corpora.core.corpus import Corpus
from inattention.files import folder_lock
from inattention.model.config import AudioTransformerConfig
from inattention.model.transformer import AudioTransformer
from inattention.pretraining import engine
from inattention.pretraining.batches import EndlessBatches
from inattention.pretraining.config import MaskingConfig, PretrainingConfig
from inattention.pretraining.examples import HELD_OUT
from inattention.pretraining.objective import MaskedAcousticModel
from inattention.pretraining.run import Run, measure_held_out, neighbour_floor, pretrain
from inattention.pretraining.stopping import RunDiverged, RunError, RunStopped
from speech import make_corpus

MODEL = AudioTransformerConfig(attention="patterned", width=24, feed_forward=48, layers=2, max_length=48, dropout=0.1)
TRAINING = PretrainingConfig(steps=14, batch_size=5, validate_every=5, held_out_draws=2, checkpoint_minutes=0)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus") / "tones")


@pytest.fixture
def run(corpus: Corpus) -> Run:
    return Run(MODEL, TRAINING, corpus, seed=3)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class Killed(Exception):
    """Stands for a process that ends in mid-run."""


def kill_at(monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """Let the model die at its n-th call in this life."""
    forward, calls = MaskedAcousticModel.forward, [0]

    def dying(self: MaskedAcousticModel, batch: object) -> object:
        calls[0] += 1
        if calls[0] == call:
            raise Killed
        return forward(self, batch)

    monkeypatch.setattr(MaskedAcousticModel, "forward", dying)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_killed_three_times_ends_in_the_same_bits(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    run = replace(run, training=replace(run.training, workers=workers))
    whole = pretrain(run, tmp_path / "whole", progress=False)
    for call in (3, 6, 4):
        with monkeypatch.context() as patch:
            kill_at(patch, call)
            with pytest.raises(Killed):
                pretrain(run, tmp_path / "killed", progress=False)
    pieced = pretrain(run, tmp_path / "killed", progress=False)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "killed"))
    assert pieced["held_out_l1"] == whole["held_out_l1"]

    def steps(folder: str) -> list[tuple[int, float]]:
        lines = (tmp_path / folder / "curve.jsonl").read_text().splitlines()
        return [(point["step"], point["held_out_l1"]) for point in map(json.loads, lines)]

    assert steps("killed") == steps("whole")
    assert [step for step, _ in steps("whole")] == [5, 10]


def test_the_seed_decides_and_nothing_else_does(run: Run, tmp_path: Path) -> None:
    pretrain(run, tmp_path / "a", progress=False)
    torch.rand(7)
    pretrain(run, tmp_path / "b", progress=False)
    pretrain(replace(run, seed=4), tmp_path / "c", progress=False)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_a_finished_run_is_not_done_again(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pretrain(run, tmp_path / "run", progress=False)
    kill_at(monkeypatch, 1)
    assert pretrain(run, tmp_path / "run", progress=False) == first


def test_a_folder_with_another_run_is_refused(run: Run, tmp_path: Path) -> None:
    untrained = replace(run, training=replace(run.training, steps=0))
    pretrain(untrained, tmp_path / "run", progress=False)
    with pytest.raises(RunError, match="another training"):
        pretrain(run, tmp_path / "run", progress=False)
    with pytest.raises(RunError, match="another seed"):
        pretrain(replace(untrained, seed=9), tmp_path / "run", progress=False)


def test_no_steps_gives_the_untrained_copy_that_training_starts_from(run: Run, tmp_path: Path) -> None:
    untrained = replace(run, training=replace(run.training, steps=0))
    outcome = pretrain(untrained, tmp_path / "untrained", progress=False)
    fresh = run.fresh_model().encoder.state_dict()
    assert same(weights(tmp_path / "untrained"), fresh)
    assert outcome["seconds"] == 0


def test_training_lowers_the_held_out_loss_below_the_mean(run: Run, tmp_path: Path) -> None:
    training = replace(run.training, steps=60, batch_size=8, learning_rate=4e-3, checkpoint_minutes=9)
    run = replace(run, training=training, model=replace(run.model, dropout=0.0))
    before = measure_held_out(run, run.fresh_model())
    after = pretrain(run, tmp_path / "run", progress=False)
    assert after["held_out_l1"] < 0.9 * before["held_out_l1"]
    assert after["held_out_l1"] < after["mean_l1"]
    loaded = AudioTransformer.from_pretrained(tmp_path / "run")
    assert loaded.config == run.model


def test_held_out_masks_never_change_and_hidden_steps_are_always_zero(run: Run) -> None:
    items = run.held_out(draws=2)
    first, second = (run.examples()[items[0]] for _ in range(2))
    assert torch.equal(first.chosen, second.chosen)
    assert not torch.equal(first.chosen, run.examples()[HELD_OUT, 1, items[0][2]].chosen)
    assert not first.features[first.chosen].any()


def test_masks_depend_on_pass_and_cut_but_not_on_the_batch(run: Run) -> None:
    cuts = list(run.corpus.cuts("train"))
    together = run.examples()[4, 0, cuts[:4]]
    alone = run.examples()[4, 9, cuts[2:3]]
    time = alone.chosen.shape[1]
    assert torch.equal(together.chosen[2, :time], alone.chosen[0])
    assert torch.equal(together.features[2, :time], alone.features[0])
    assert not torch.equal(run.examples()[5, 0, cuts[2:3]].chosen, alone.chosen)


def test_long_utterances_are_cropped_at_random_and_short_ones_skipped(run: Run) -> None:
    run = replace(run, model=replace(run.model, max_length=12))
    cut = next(iter(run.corpus.cuts("train")))
    crops = [run.examples().example(cut, number).target for number in range(4)]
    assert {len(crop) for crop in crops} == {12}
    assert not torch.equal(crops[0], crops[1])
    short = run.examples()[0, 0, [cut.truncate(duration=0.06), cut]]
    assert len(short.ids) == 1
    assert "too few" in short.skipped[0][1]


def test_batches_go_on_from_any_place_and_each_pass_sees_every_cut_once(corpus: Corpus) -> None:
    def batches(start: tuple[int, int], count: int, rank: int = 0, processes: int = 1) -> list:
        stream = iter(
            EndlessBatches(
                corpus.cuts("train"), batch_size=5, count=16, seed=1, start=start, rank=rank, processes=processes
            )
        )
        return [(n, o, [c.id for c in cuts]) for n, o, cuts in (next(stream) for _ in range(count))]

    whole = batches((0, 0), 9)
    assert batches((whole[3][0], whole[3][1]), 6) == whole[3:]
    for number in (0, 1):
        ids = sorted(i for n, _, cuts in whole for i in cuts if n == number)
        assert ids == sorted(cut.id for cut in corpus.cuts("train"))
    assert [cuts for n, _, cuts in whole if n == 0] != [cuts for n, _, cuts in whole if n == 1]
    halves = [batches((0, 0), 9, rank, 2) for rank in (0, 1)]
    for one, first, second in zip(whole, *halves, strict=True):
        assert sorted(first[2] + second[2]) == sorted(one[2])


def test_short_and_long_utterances_come_all_through_a_pass(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lasting = np.exp(rng.normal(0, 1, 4000))  # a few long ones hold most of the seconds
    cuts = CutSet.from_cuts(MonoCut(f"cut-{i}", 0.0, float(d), 0, recording=None) for i, d in enumerate(lasting))
    stream = iter(EndlessBatches(cuts, batch_size=8, count=4000, seed=0))
    whole_pass = [batch for _, _, batch in takewhile(lambda it: it[0] == 0, stream)]
    assert sum(map(len, whole_pass)) == 4000
    means = [statistics.fmean(math.log(cut.duration) for cut in batch) for batch in whole_pass]
    quarters = [statistics.fmean(means[i : i + 125]) for i in range(0, 500, 125)]
    assert max(map(abs, quarters)) < 0.4  # a deviation of 1, over 125 batches of like lengths, is 0.09
    inside = [statistics.pstdev(math.log(cut.duration) for cut in batch) for batch in whole_pass]
    assert statistics.fmean(inside) < 0.2


def test_the_neighbour_floor_is_nothing_on_the_leaking_task_alone(run: Run) -> None:
    small = replace(run.model, features=replace(run.model.features, mels=4))
    leaking = MaskingConfig(span_steps=1, start_every=3, before_deltas=False)
    floors = {}
    for name, masking in (("leaking", leaking), ("mended", MaskingConfig())):
        it = replace(run, model=small, training=replace(run.training, masking=masking))
        floors[name] = neighbour_floor(it)["neighbour_l1"] / measure_held_out(it, it.fresh_model())["mean_l1"]
    assert floors["leaking"] < 0.15
    assert floors["mended"] > 2 * floors["leaking"]


@pytest.mark.parametrize("target", ["log-mel", "input", "linear"])
@pytest.mark.parametrize("optimiser", ["adamw", "lamb"])
def test_every_target_and_optimiser_trains(run: Run, tmp_path: Path, target: str, optimiser: str) -> None:
    training = replace(run.training, steps=3, target=target, optimiser=optimiser, checkpoint_minutes=9)
    outcome = pretrain(replace(run, training=training), tmp_path / "run", progress=False)
    assert 0 < outcome["held_out_l1"] < 2


def test_what_mechanisms_want_kept_small_is_trained_for_and_not_counted_as_error(run: Run, tmp_path: Path) -> None:
    spans, losses = {}, {}
    for price in (0.0, 10.0):
        options = {"span": 20.0, "max_span": 40, "ramp": 4, "price": price}
        model = replace(run.model, attention="adaptive-span", attention_options=options)
        folder = tmp_path / str(price)
        training = replace(run.training, steps=3, learning_rate=1e-2, checkpoint_minutes=9)
        losses[price] = pretrain(replace(run, model=model, training=training), folder, progress=False)["held_out_l1"]
        spans[price] = weights(folder)["encoder.mechanisms.0.part"]
    assert (spans[10.0] < 0.5).all()
    assert spans[10.0].mean() < spans[0.0].mean()
    assert losses[10.0] < 2  # a mean error: the price of some 20 steps would show


def test_one_bad_file_never_ends_a_run_and_is_counted(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "tones", {"train": 8, "dev": 2, "test": 2})
    bad = sorted((tmp_path / "tones" / "audio").glob("train-*"))[:3]
    bad[0].write_bytes(b"not audio")
    bad[1].unlink()
    bad[2].write_bytes(bad[2].read_bytes()[:200])
    outcome = pretrain(Run(MODEL, TRAINING, corpus), tmp_path / "run", progress=False)
    assert sorted(outcome["skipped"]) == sorted(path.stem for path in bad)
    assert all("cannot be read" in reason for reason in outcome["skipped"].values())


def test_the_rate_rises_and_falls_linearly() -> None:
    rates = [engine.rate_at(step, PretrainingConfig(steps=100, warmup=0.1)) for step in range(101)]
    assert max(rates) == 1
    assert rates.index(1) == 9
    assert rates[-1] == 0


def test_a_damaged_checkpoint_is_left_for_the_one_before(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretrain(run, tmp_path / "whole", progress=False)
    with monkeypatch.context() as patch:
        kill_at(patch, 9)
        with pytest.raises(Killed):
            pretrain(run, tmp_path / "killed", progress=False)
    checkpoint = tmp_path / "killed" / "checkpoint.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    pretrain(run, tmp_path / "killed", progress=False)
    assert "damaged" in capsys.readouterr().err
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "killed"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_waits_for_a_checkpoint_and_the_run_goes_on_in_the_same_bits(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    run = replace(run, training=replace(run.training, checkpoint_minutes=60))
    pretrain(run, tmp_path / "whole", progress=False)
    forward, calls = MaskedAcousticModel.forward, [0]

    def signalled(self: MaskedAcousticModel, batch: object) -> object:
        calls[0] += 1
        if calls[0] == 4:
            os.kill(os.getpid(), number)
        return forward(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(MaskedAcousticModel, "forward", signalled)
        with pytest.raises(RunStopped, match=f"{number.name} after step 4"):
            pretrain(run, tmp_path / "stopped", progress=False)
    pretrain(run, tmp_path / "stopped", progress=False)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "stopped"))


def test_two_runs_in_one_folder_are_refused(run: Run, tmp_path: Path) -> None:
    with folder_lock(tmp_path), pytest.raises(RunError, match="another run is working"):
        pretrain(run, tmp_path, progress=False)


def test_a_loss_that_is_no_number_ends_the_run_and_names_the_cuts(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, calls = MaskedAcousticModel.forward, [0]

    def diverging(self: MaskedAcousticModel, batch: object) -> tuple[torch.Tensor, int]:
        calls[0] += 1
        error, cells = forward(self, batch)
        return (error * float("nan") if calls[0] == 4 else error), cells

    monkeypatch.setattr(MaskedAcousticModel, "forward", diverging)
    with pytest.raises(RunDiverged, match="not a number at step 3"):
        pretrain(run, tmp_path / "run", progress=False)
    named = json.loads((tmp_path / "run" / "diverged.json").read_text())
    assert named["step"] == 3
    assert set(named["cuts"]) <= {cut.id for cut in run.corpus.cuts("train")}
    assert named["cuts"]


def test_a_folder_started_from_other_maps_is_refused(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "maps.safetensors"
    model = replace(run.model, attention_options={"init": str(path)})
    run = replace(run, model=model, training=replace(run.training, steps=0))
    save_file({"maps": torch.eye(8).expand(12, 8, 8).contiguous()}, path)
    pretrain(run, tmp_path / "run", progress=False)
    save_file({"maps": torch.eye(8).flip(0).expand(12, 8, 8).contiguous()}, path)
    with pytest.raises(RunError, match="another files"):
        pretrain(run, tmp_path / "run", progress=False)
