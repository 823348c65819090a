"""A pre-training run: real training that ends in the same bits however often it is interrupted."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from inattention.files import folder_lock
from inattention.model.transformer import AudioTransformer
from inattention.pretraining.held_out import measure_held_out
from inattention.pretraining.manifest import Run
from inattention.pretraining.objective import MaskedAcousticModel
from inattention.pretraining.run import PretrainingOutcome, pretrain
from inattention.pretraining.stopping import RunDiverged, RunError, RunStopped
from speech import make_corpus


def trained(run: Run, folder: Path) -> PretrainingOutcome:
    outcome = pretrain(run, folder, progress=False)
    assert outcome is not None
    return outcome


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class Killed(Exception):
    """Stands for a process that is killed in the middle of a run."""


def kill_at(monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """Raise `Killed` at the model's n-th call from now on."""
    forward, calls = MaskedAcousticModel.forward, [0]

    def dying(self: MaskedAcousticModel, batch: object) -> object:
        calls[0] += 1
        if calls[0] == call:
            raise Killed
        return forward(self, batch)

    monkeypatch.setattr(MaskedAcousticModel, "forward", dying)


@pytest.mark.parametrize(("workers", "precision"), [(0, "32-true"), (1, "32-true"), (0, "bf16-mixed")])
def test_a_run_killed_three_times_ends_in_the_same_bits(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, precision: str
) -> None:
    run = replace(run, training=replace(run.training, workers=workers, precision=precision))
    whole = trained(run, tmp_path / "whole")
    for call in (3, 6, 4):
        with monkeypatch.context() as patch:
            kill_at(patch, call)
            with pytest.raises(Killed):
                pretrain(run, tmp_path / "killed", progress=False)
    pieced = trained(run, tmp_path / "killed")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "killed"))
    assert pieced.held_out_l1 == whole.held_out_l1

    def steps(folder: str) -> list[tuple[int, float]]:
        lines = (tmp_path / folder / "curve.jsonl").read_text().splitlines()
        return [(point["step"], point["held_out_l1"]) for point in map(json.loads, lines)]

    assert steps("killed") == steps("whole")
    assert [step for step, _ in steps("whole")] == [5, 10]
    assert {tensor.dtype for tensor in weights(tmp_path / "killed").values()} == {torch.float32}
    assert json.loads((tmp_path / "killed" / "run.json").read_text())["training"]["precision"] == precision


def test_the_seed_decides_and_nothing_else_does(run: Run, tmp_path: Path) -> None:
    pretrain(run, tmp_path / "a", progress=False)
    torch.rand(7)
    pretrain(run, tmp_path / "b", progress=False)
    pretrain(replace(run, seed=4), tmp_path / "c", progress=False)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_a_finished_run_is_not_done_again(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = trained(run, tmp_path / "run")
    kill_at(monkeypatch, 1)
    assert pretrain(run, tmp_path / "run", progress=False) == first


def test_a_folder_with_another_run_is_refused(run: Run, tmp_path: Path) -> None:
    untrained = replace(run, training=replace(run.training, steps=0))
    pretrain(untrained, tmp_path / "run", progress=False)
    with pytest.raises(RunError, match="another training"):
        pretrain(run, tmp_path / "run", progress=False)
    with pytest.raises(RunError, match="another seed"):
        pretrain(replace(untrained, seed=9), tmp_path / "run", progress=False)


def test_zero_steps_give_the_untrained_model_that_training_starts_from(run: Run, tmp_path: Path) -> None:
    untrained = replace(run, training=replace(run.training, steps=0))
    outcome = trained(untrained, tmp_path / "untrained")
    fresh = run.fresh_model().encoder.state_dict()
    assert same(weights(tmp_path / "untrained"), fresh)
    assert outcome.seconds == 0


def test_training_lowers_the_held_out_loss_below_the_mean(run: Run, tmp_path: Path) -> None:
    training = replace(run.training, steps=60, batch_size=8, learning_rate=4e-3, checkpoint_minutes=9)
    run = replace(run, training=training, model=replace(run.model, dropout=0.0))
    before = measure_held_out(run, run.fresh_model())
    after = trained(run, tmp_path / "run")
    assert after.held_out_l1 < 0.9 * before.l1
    assert after.held_out_l1 < after.mean_l1
    loaded = AudioTransformer.from_pretrained(tmp_path / "run")
    assert loaded.config == run.model


@pytest.mark.parametrize("target", ["log-mel", "input", "linear"])
@pytest.mark.parametrize("optimiser", ["adamw", "lamb"])
def test_every_target_and_optimiser_trains(run: Run, tmp_path: Path, target: str, optimiser: str) -> None:
    training = replace(run.training, steps=3, target=target, optimiser=optimiser, checkpoint_minutes=9)
    outcome = trained(replace(run, training=training), tmp_path / "run")
    assert 0 < outcome.held_out_l1 < 2


def test_auxiliary_losses_are_minimised_and_not_counted_as_error(run: Run, tmp_path: Path) -> None:
    spans, losses = {}, {}
    for price in (0.0, 10.0):
        options = {"span": 20.0, "max_span": 40, "ramp": 4, "price": price}
        model = replace(run.model, attention="adaptive-span", attention_options=options)
        folder = tmp_path / str(price)
        training = replace(run.training, steps=3, learning_rate=1e-2, checkpoint_minutes=9)
        losses[price] = trained(replace(run, model=model, training=training), folder).held_out_l1
        spans[price] = weights(folder)["encoder.mechanisms.0.part"]
    assert (spans[10.0] < 0.5).all()
    assert spans[10.0].mean() < spans[0.0].mean()
    assert losses[10.0] < 2  # a mean error: the price of some 20 steps would show


def test_bad_files_never_end_a_run_and_are_counted(run: Run, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "tones", {"train": 8, "dev": 2, "test": 2})
    bad = sorted((tmp_path / "tones" / "audio").glob("train-*"))[:3]
    bad[0].write_bytes(b"not audio")
    bad[1].unlink()
    bad[2].write_bytes(bad[2].read_bytes()[:200])
    outcome = trained(replace(run, corpus=corpus), tmp_path / "run")
    assert sorted(outcome.skipped) == sorted(path.stem for path in bad)
    unreadable, missing, cut = (outcome.skipped[path.stem] for path in bad)
    assert "cannot be read as audio" in unreadable
    assert "there is no file" in missing
    assert "holds no samples" in cut


def test_a_damaged_checkpoint_is_skipped_for_the_one_before(
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
def test_a_signal_waits_for_a_checkpoint_and_the_resumed_run_ends_in_the_same_bits(
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
        error, bins = forward(self, batch)
        return (error * float("nan") if calls[0] == 4 else error), bins

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


def test_the_outcome_is_what_outcome_json_holds(run: Run, tmp_path: Path) -> None:
    untrained = replace(run, training=replace(run.training, steps=0))
    outcome = trained(untrained, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "outcome.json").read_text()) == outcome.to_dict()
    assert PretrainingOutcome.read(tmp_path / "run") == outcome
    assert set(outcome.to_dict()) == {
        "steps",
        "parameters",
        "attention_parameters",
        "held_out_l1",
        "mean_l1",
        "held_out_cells",
        "held_out_utterances",
        "seconds",
        "cpu_seconds",
        "skipped",
    }


def test_an_incomplete_outcome_is_refused_and_what_is_missing_named(tmp_path: Path) -> None:
    (tmp_path / "outcome.json").write_text('{"steps": 3, "parameters": 1}')
    with pytest.raises(RunError, match=r"outcome.json is no outcome .*: attention_parameters, held_out_l1"):
        PretrainingOutcome.read(tmp_path)


@pytest.mark.parametrize("validate_every", [1, 7])
def test_how_often_a_run_is_validated_changes_no_bit_of_its_outcome(
    run: Run, tmp_path: Path, validate_every: int
) -> None:
    whole = trained(run, tmp_path / "whole")
    other = replace(run, training=replace(run.training, validate_every=validate_every))
    outcome = trained(other, tmp_path / "other")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "other"))
    assert (outcome.held_out_l1, outcome.held_out_utterances) == (whole.held_out_l1, 6)
    points = [json.loads(line) for line in (tmp_path / "other" / "curve.jsonl").read_text().splitlines()]
    assert {point["utterances"] for point in points} == {max(1, run.training.batch_size * validate_every // 10)}


def test_an_outcome_of_an_older_version_is_read(run: Run, tmp_path: Path) -> None:
    outcome = trained(replace(run, training=replace(run.training, steps=0)), tmp_path / "run").to_dict()
    del outcome["held_out_utterances"]
    assert PretrainingOutcome.from_dict(outcome).held_out_utterances == 0
