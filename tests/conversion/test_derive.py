"""Maps derived from an encoder: better than the mean map, and exact for input-independent encoders."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from inattention.attention.ops.map_files import read_maps
from inattention.conversion.derive import Derived, derive_maps, solve, write_maps
from inattention.conversion.moments import Moments, moments_of
from inattention.corpora.core.corpus import Corpus
from inattention.encoders.crops import CropError
from inattention.encoders.ours import EncoderSource
from small_models import small_input, small_model
from speech import make_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus") / "tones", {"train": 10, "dev": 4, "test": 2})


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dependent(count: int, seed: int) -> Moments:
    """Return moments of a head that attends to the louder of two frames, so that the mean map is not the best.

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


def test_least_squares_beats_the_mean_map_where_weights_depend_on_loudness() -> None:
    derived = solve(dependent(600, 1), dependent(200, 50), dependent(200, 70))
    assert float(derived.errors["least-squares"]) < 0.9 * float(derived.errors["mean"])
    assert bool(derived.won.all())
    torch.testing.assert_close(derived.maps, derived.solved)
    assert float(derived.maps[0, 0, 0, 1]) > float(derived.mean[0, 0, 0, 1]) + 0.2
    torch.testing.assert_close(derived.maps[0, 0, 1:], torch.eye(4)[1:], atol=1e-3, rtol=0)
    assert "in 1 of 1 heads" in derived.table()


def test_on_the_utterances_of_the_fit_no_head_is_worse_than_its_mean_map() -> None:
    model = small_model(attention="qk", attention_options={"start": "identity", "gain": 3.0})
    moments = moments_of(EncoderSource(model), [small_input(12, 20)])
    assert moments is not None
    derived = solve(moments, moments, moments)
    assert bool((derived.errors["kept"] <= derived.errors["mean"]).all())
    assert bool((derived.errors["kept"] < derived.errors["uniform"]).all())
    assert derived.gap < 1e-3


@pytest.mark.parametrize("attention", ["patterned", "toeplitz", "uniform"])
def test_the_maps_of_an_input_independent_encoder_are_its_own(attention: str, corpus: Corpus) -> None:
    model = small_model(attention=attention)
    derived = derive_maps(model, corpus, crop_steps=24)
    wanted = model.attention_maps(small_input(1, 24))[:, 0]
    torch.testing.assert_close(derived.maps, wanted, atol=1e-5, rtol=0)
    assert float(derived.errors["kept"].max()) < 1e-6


@pytest.mark.parametrize("share", [True, False])
def test_a_query_key_encoder_has_maps_for_each_layer(share: bool, corpus: Corpus, tmp_path: Path) -> None:
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


def test_crops_that_no_utterance_reaches_are_refused(corpus: Corpus) -> None:
    with pytest.raises(CropError):
        derive_maps(small_model(attention="qk", max_length=500), corpus, crop_steps=400)


def test_the_table_names_every_layer(corpus: Corpus) -> None:
    derived: Derived = derive_maps(small_model(attention="qk"), corpus, crop_steps=16, utterances=4, held_out=2)
    assert len(derived.table().splitlines()) == 5
