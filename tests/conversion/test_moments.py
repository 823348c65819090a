"""Moments of values and outputs: sums over utterances from which the error of any map follows."""

import torch
from torch import Tensor

from inattention.conversion.moments import Moments, moments_of
from inattention.encoders.ours import EncoderSource
from small_models import small_input, small_model


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_no_crops_have_no_moments() -> None:
    assert moments_of(EncoderSource(small_model(attention="qk")), []) is None


def test_errors_are_mean_squared_distances_over_the_variance_of_values() -> None:
    values, maps = random(30, 2, 5, 3), random(30, 2, 5, 5, seed=1).softmax(-1)
    moments = Moments.none(1, 2, 5)
    moments.add(maps[None, :10], values[None, :10])
    moments.add(maps[None, 10:], values[None, 10:])
    fixed = random(2, 5, 5, seed=2).softmax(-1)
    distance = (fixed @ values - maps @ values).square().sum(-1).mean((0, 2))
    spread = (values - values.mean(2, keepdim=True)).square().sum(-1).mean((0, 2))
    torch.testing.assert_close(moments.errors(fixed[None])[0], distance / spread)
    torch.testing.assert_close(moments.mean_maps[0], maps.mean(0))


def test_moments_are_of_the_values_that_the_encoder_averages() -> None:
    model = small_model(attention="qk", share_layers=False)
    features = small_input(3, 20)
    moments = moments_of(EncoderSource(model), [features[:2], features[2:]])
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
