"""The four probes: their layers, and what padding changes."""

import pytest
import torch
from torch import nn

from inattention.probing.probes import FrameProbe, LayerMix, UtteranceProbe, build


@pytest.mark.parametrize("junk", [7.0, 1e30, float("nan"), float("inf")])
def test_utterance_probe_does_not_see_padding(junk: float) -> None:
    probe = UtteranceProbe(layers=2, width=5, classes=3)
    short, long = torch.randn(4, 2, 5), torch.randn(9, 2, 5)
    batch = torch.full((2, 11, 2, 5), junk)
    batch[0, :4], batch[1, :9] = short, long
    valid = torch.arange(11) < torch.tensor([[4], [9]])
    alone = torch.cat([probe(short[None]), probe(long[None])])
    assert torch.allclose(probe(batch, valid), alone, atol=1e-6)


def test_utterance_probe_is_a_linear_map_of_the_mean_over_frames() -> None:
    probe = UtteranceProbe(layers=1, width=5, classes=3)
    hidden = torch.randn(2, 7, 1, 5)
    assert torch.allclose(probe(hidden), probe.classify(hidden[:, :, 0].mean(1)), atol=1e-6)
    assert torch.allclose(probe(hidden.mean(1, keepdim=True)), probe(hidden), atol=1e-6)


def test_each_frame_is_classified_independently() -> None:
    probe = FrameProbe(layers=1, width=5, classes=3, hidden_layers=2, hidden_width=8)
    hidden = torch.randn(6, 1, 5)
    together = probe(hidden)
    assert torch.allclose(torch.cat([probe(frame[None]) for frame in hidden]), together, atol=1e-6)


@pytest.mark.parametrize(
    ("task", "shapes"),
    [
        ("speaker-utterance", [(40, 96)]),
        ("speaker-frame", [(40, 96)]),
        ("phone-1-hidden", [(768, 96), (40, 768)]),
        ("phone-2-hidden", [(768, 96), (768, 768), (40, 768)]),
    ],
)
def test_probes_have_the_layers_of_the_study(task: str, shapes: list[tuple[int, int]]) -> None:
    probe = build(task, layers=1, width=96, classes=40, hidden_width=768)
    assert [tuple(m.weight.shape) for m in probe.modules() if isinstance(m, nn.Linear)] == shapes
    assert sum(isinstance(m, nn.ReLU) for m in probe.modules()) == len(shapes) - 1


def test_layer_mix_is_a_softmax_weighted_sum() -> None:
    mix = LayerMix(3)
    hidden = torch.randn(4, 3, 5)
    assert torch.allclose(mix(hidden), hidden.mean(1), atol=1e-6)
    with torch.no_grad():
        mix.logits.copy_(torch.tensor([0.0, 1.0, -2.0]))
    weights = torch.tensor([0.0, 1.0, -2.0]).exp()
    by_hand = sum(w / weights.sum() * hidden[:, i] for i, w in enumerate(weights))
    assert torch.allclose(mix(hidden), by_hand, atol=1e-6)
