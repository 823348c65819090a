"""Maps derived from an encoder: the best there are, by their own optimality conditions, and exact where they can be."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from inattention.analysis.capture import CaptureError
from inattention.attention.ops.map_files import read_maps
from inattention.conversion.derive import Derived, Moments, derive_maps, moments_of, solve, write_maps
from inattention.conversion.least_squares import least_squares, project
from inattention.corpora.core.corpus import Corpus
from inattention.encoders.base import EncoderMaps
from small_models import small_input, small_model
from speech import make_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus") / "tones", {"train": 10, "dev": 4, "test": 2})


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def objective(weights: Tensor, gram: Tensor, cross: Tensor) -> Tensor:
    return (weights @ gram * weights).sum(1) - 2 * (weights * cross).sum(1)


def values_and_outputs(seed: int = 0, keys: int = 12, count: int = 400) -> tuple[Tensor, Tensor]:
    """Values that all share a large part, and outputs that no weights give exactly."""
    values = random(keys, count, seed=seed) + 5 * random(1, count, seed=seed + 1)
    mixes = (2 * random(20, keys, seed=seed + 2)).softmax(1)
    return values, mixes @ values + 0.5 * random(20, count, seed=seed + 3) + 0.3 * values[:1] - 0.3 * values[1:2]


def test_projections_are_the_nearest_weights() -> None:
    points = 3 * random(200, 7)
    near = project(points)
    assert bool((near >= 0).all())
    torch.testing.assert_close(near.sum(1), torch.ones(200, dtype=torch.float64))
    # x is the nearest if no corner of the simplex lies further along points - x than x itself.
    along = points - near
    assert float((along.amax(1) - (along * near).sum(1)).max()) < 1e-9


def test_the_solution_satisfies_the_optimality_conditions_and_no_weights_are_better() -> None:
    values, outputs = values_and_outputs()
    gram, cross = values @ values.T / 400, outputs @ values.T / 400
    start = torch.full((20, 12), 1 / 12, dtype=torch.float64)
    found = least_squares(gram, cross, start, tolerance=1e-9, iterations=20_000)
    weights = found.weights
    assert bool((weights >= 0).all())
    torch.testing.assert_close(weights.sum(1), torch.ones(20, dtype=torch.float64))
    gradient = 2 * (weights @ gram - cross)
    level = (weights * gradient).sum(1, keepdim=True)
    assert bool((gradient > level - 1e-6).all()), "a key that is left out would lower the error"
    assert float(((gradient - level).abs() * (weights > 1e-6)).max()) < 1e-5, "keys in use differ in what they gain"
    assert bool((weights < 1e-9).any()), "the case should have bounds that bind"
    best = objective(weights, gram, cross)
    for seed in range(20):
        other = 0.9 * weights + 0.1 * random(20, 12, seed=seed).softmax(1)
        assert bool((objective(other, gram, cross) >= best - 1e-9).all())


def test_gaps_bound_how_far_an_early_end_is_from_the_best() -> None:
    values, outputs = values_and_outputs(seed=9)
    gram, cross = values @ values.T / 400, outputs @ values.T / 400
    start = torch.full((20, 12), 1 / 12, dtype=torch.float64)
    best = objective(least_squares(gram, cross, start, tolerance=1e-10, iterations=20_000).weights, gram, cross)
    early = least_squares(gram, cross, start, tolerance=0.0, iterations=1)
    behind = objective(early.weights, gram, cross) - best
    assert float(behind.max()) > 1e-6
    assert bool((behind <= early.gaps + 1e-9).all())


def test_where_all_weights_are_as_good_the_start_is_kept() -> None:
    start = random(3, 5).softmax(1)
    assert torch.equal(least_squares(torch.ones(5, 5), torch.ones(3, 5), start).weights, start)


def dependent(count: int, seed: int) -> Moments:
    """A head that attends to whichever of two steps is the louder: the mean map is not the best stand-in.

    Step 0 looks at step 1 with all its weight where that is loud, and at step 2 else; loud values count for more of
    the squared error than quiet ones.
    """
    values = random(count, 1, 4, 6, seed=seed)
    loud = torch.rand(count, generator=torch.Generator().manual_seed(seed)) < 0.3
    values[:, 0, 1] *= torch.where(loud, 5.0, 0.2)[:, None]
    maps = torch.eye(4, dtype=torch.float64).repeat(count, 1, 1, 1)
    maps[:, 0, 0] = 0
    maps[loud, 0, 0, 1] = 1
    maps[~loud, 0, 0, 2] = 1
    moments = Moments.none(1, 1, 4)
    moments.add(maps[None], values[None])
    return moments


def test_least_squares_beats_the_mean_map_where_weights_go_with_loudness() -> None:
    derived = solve(dependent(600, 1), dependent(200, 50), dependent(200, 70))
    assert float(derived.errors["least-squares"]) < 0.9 * float(derived.errors["mean"])
    assert bool(derived.won.all())
    torch.testing.assert_close(derived.maps, derived.solved)
    assert float(derived.maps[0, 0, 0, 1]) > float(derived.mean[0, 0, 0, 1]) + 0.2
    torch.testing.assert_close(derived.maps[0, 0, 1:], torch.eye(4)[1:], atol=1e-3, rtol=0)
    assert "in 1 of 1 heads" in derived.table()


def test_on_the_utterances_of_the_fit_no_head_is_worse_than_its_mean_map() -> None:
    model = small_model(attention="qk", attention_options={"start": "identity", "gain": 3.0})
    moments = moments_of(EncoderMaps(model), [small_input(12, 20)])
    assert moments is not None
    derived = solve(moments, moments, moments)
    assert bool((derived.errors["kept"] <= derived.errors["mean"]).all())
    assert bool((derived.errors["kept"] < derived.errors["uniform"]).all())
    assert derived.gap < 1e-3


def test_errors_are_the_mean_squared_distances_that_they_stand_for() -> None:
    values, maps = random(30, 2, 5, 3), random(30, 2, 5, 5, seed=1).softmax(-1)
    moments = Moments.none(1, 2, 5)
    moments.add(maps[None, :10], values[None, :10])
    moments.add(maps[None, 10:], values[None, 10:])
    fixed = random(2, 5, 5, seed=2).softmax(-1)
    distance = (fixed @ values - maps @ values).square().sum(-1).mean((0, 2))
    spread = (values - values.mean(2, keepdim=True)).square().sum(-1).mean((0, 2))
    torch.testing.assert_close(moments.errors(fixed[None])[0], distance / spread)
    torch.testing.assert_close(moments.mean_maps[0], maps.mean(0))


@pytest.mark.parametrize("attention", ["patterned", "toeplitz", "uniform"])
def test_an_input_independent_encoder_gives_back_its_own_maps(attention: str, corpus: Corpus) -> None:
    model = small_model(attention=attention)
    derived = derive_maps(model, corpus, crop_steps=24)
    wanted = model.attention_maps(small_input(1, 24))[:, 0]
    torch.testing.assert_close(derived.maps, wanted, atol=1e-5, rtol=0)
    assert float(derived.errors["kept"].max()) < 1e-6


@pytest.mark.parametrize("share", [True, False])
def test_a_query_key_encoder_gives_maps_for_each_layer(share: bool, corpus: Corpus, tmp_path: Path) -> None:
    model = small_model(attention="qk", attention_options={"start": "identity", "gain": 3.0}, share_layers=share)
    derived = derive_maps(model, corpus, crop_steps=20, utterances=8, held_out=4)
    assert derived.maps.shape == (2, 12, 20, 20)
    assert derived.utterances == (8, 2, 2)
    either = [(derived.maps == maps).flatten(2).all(2) for maps in (derived.mean, derived.solved)]
    assert bool((either[0] | either[1]).all())
    write_maps(derived, tmp_path / "out" / "maps.safetensors")
    torch.testing.assert_close(read_maps(tmp_path / "out" / "maps.safetensors"), derived.maps)
    with safe_open(tmp_path / "out" / "maps.safetensors", "pt") as file:
        assert json.loads(file.metadata()["derived"])["heads"] == 24


def test_what_is_heard_are_the_values_that_the_encoder_mixes(corpus: Corpus) -> None:
    model = small_model(attention="qk", share_layers=False)
    features = small_input(3, 20)
    moments = moments_of(EncoderMaps(model), [features[:2], features[2:]])
    assert moments is not None
    assert moments.count == 3
    maps = model.attention_maps(features)
    with torch.no_grad():
        states = model(features, output_hidden_states=True).hidden_states
    for layer in range(2):
        values = model.encoder.layers[layer].attention.value(states[layer]).unflatten(-1, (12, 2)).transpose(1, 2)
        gram = torch.einsum("bhtd,bhsd->hts", values.double(), values.double())
        cross = torch.einsum("bhtd,bhsd->hts", (maps[layer] @ values).double(), values.double())
        torch.testing.assert_close(moments.gram[layer], gram, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(moments.cross[layer], cross, atol=1e-4, rtol=1e-4)


def test_crops_that_no_utterance_reaches_are_said(corpus: Corpus) -> None:
    with pytest.raises(CaptureError):
        derive_maps(small_model(attention="qk", max_length=500), corpus, crop_steps=400)


def test_an_encoder_whose_values_are_not_to_be_had_is_refused(corpus: Corpus) -> None:
    class Maps(EncoderMaps):
        def __init__(self) -> None:
            super().__init__(small_model(attention="qk"), "stranger")
            del self.model

    with pytest.raises(ValueError, match="stranger: its values are not to be had"):
        moments_of(Maps(), [small_input(1, 20)])


def test_the_table_names_every_layer(corpus: Corpus) -> None:
    derived: Derived = derive_maps(small_model(attention="qk"), corpus, crop_steps=16, utterances=4, held_out=2)
    assert len(derived.table().splitlines()) == 5
