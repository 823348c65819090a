"""Attention modules of an encoder are found in order, and the values that they average are recorded."""

import pytest
import torch

from inattention.encoders.attention_modules import recorded_values
from inattention.encoders.ours import EncoderSource
from small_models import small_input, small_model


@pytest.mark.parametrize("share", [True, False])
def test_values_of_every_layer_are_recorded_in_order(share: bool) -> None:
    model = small_model(attention="qk", share_layers=share)
    features = small_input(3, 20)
    with recorded_values(EncoderSource(model)) as values:
        EncoderSource(model).maps(features)
    with torch.no_grad():
        states = model(features, output_hidden_states=True).hidden_states
    assert len(values) == 2
    for layer, found in enumerate(values):
        attention = model.encoder.layers[0 if share else layer].attention
        torch.testing.assert_close(found, attention.value(states[layer]).unflatten(-1, (12, 2)).transpose(1, 2))


def test_nothing_is_recorded_afterwards() -> None:
    model = small_model(attention="qk")
    with recorded_values(EncoderSource(model)) as values:
        pass
    EncoderSource(model).maps(small_input(1, 10))
    assert not values


def test_attention_of_no_known_kind_is_refused() -> None:
    source = EncoderSource(small_model(attention="qk"), "stranger")
    source.model = torch.nn.Linear(2, 2)  # ty: ignore[invalid-assignment]
    with pytest.raises(ValueError, match="stranger: its values are not accessible"), recorded_values(source):
        pass
