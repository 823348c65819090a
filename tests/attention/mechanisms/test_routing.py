"""`routing` against double loops; how its centroids move, and when."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from inattention.attention import build
from inattention.attention.mechanisms.routing import Routing
from small_models import small_input, small_model


def mechanism(clusters: int = 3, **options: float) -> Routing:
    torch.manual_seed(0)
    made = build("routing", width=16, heads=4, clusters=clusters, **options)
    assert isinstance(made, Routing)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return made.double()


def draw(batch: int, time: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(batch, time, 16, generator=generator, dtype=torch.float64)
    return hidden, torch.randn(batch, 4, time, 4, generator=generator, dtype=torch.float64)


def by_hand(made: Routing, hidden: Tensor, values: Tensor, valid: Tensor) -> Tensor:
    output = torch.zeros_like(values)
    for b in range(len(hidden)):
        real = valid[b].nonzero()[:, 0].tolist()
        most = math.ceil(len(real) / made.clusters)
        projected = made.query(hidden[b])
        for h in range(4):
            unit = [F.normalize(projected[i, 4 * h : 4 * h + 4], dim=0) for i in range(len(projected))]
            near = [[float(unit[i] @ made.centroids[h, c]) for i in range(len(unit))] for c in range(made.clusters)]
            for i in real:
                mine = max(range(made.clusters), key=lambda c: near[c][i])
                keys = sorted(real, key=lambda j: (-near[mine][j], j))[:most]
                scores = torch.stack([math.sqrt(4) * unit[i] @ unit[j] for j in keys])
                output[b, h, i] = scores.softmax(-1) @ values[b, h, keys]
    return output


@pytest.mark.parametrize("clusters", [1, 3, 50])
@pytest.mark.parametrize("time", [1, 2, 17, 40])
def test_both_ways_are_the_definition_by_hand(time: int, clusters: int) -> None:
    made = mechanism(clusters).eval()
    hidden, values = draw(2, time)
    valid = torch.rand(2, time, generator=torch.Generator().manual_seed(4)) < torch.tensor([2.0, 0.6])[:, None]
    with torch.no_grad():
        expected = by_hand(made, hidden, values, valid)
        for way in (made, made.reference):
            assert torch.allclose(way(hidden, values, valid) * valid[:, None, :, None], expected)


def test_one_cluster_is_attention_to_all_steps() -> None:
    made = mechanism(1).eval()
    hidden, _ = draw(1, 12)
    valid = torch.ones(1, 12, dtype=torch.bool)
    query = F.normalize(made.query(hidden).unflatten(-1, (4, 4)).transpose(1, 2), dim=-1)
    assert torch.allclose(made.weights(hidden, valid), (2 * query @ query.transpose(-1, -2)).softmax(-1))


def test_gradients_are_those_of_the_definition() -> None:
    made = mechanism().eval()
    valid = torch.arange(30) < torch.tensor([[30], [11]])
    gradients = []
    for way in (made, made.reference):
        hidden, values = (x.requires_grad_() for x in draw(2, 30))
        output = way(hidden, values, valid) * valid[:, None, :, None]
        gradients.append(torch.autograd.grad(output.square().sum(), [hidden, values, *made.parameters()]))
    for fast, defined in zip(*gradients, strict=True):
        assert torch.allclose(fast, defined)


def test_centroids_move_towards_the_mean_of_their_valid_steps_and_stay_on_the_sphere() -> None:
    made = mechanism(decay=0.9).train()
    hidden, values = draw(2, 20)
    valid = torch.arange(20) < torch.tensor([[20], [7]])
    before = made.centroids.clone()
    made(hidden, values, valid)
    made.eval()
    unit = F.normalize(made.query(hidden).unflatten(-1, (4, 4)).transpose(1, 2), dim=-1).detach()
    for h in range(4):
        near = (unit[:, h] @ before[h].T).argmax(-1)
        for c in range(3):
            mine = unit[:, h][valid & (near == c)]
            expected = before[h, c]
            if len(mine):
                expected = F.normalize(0.9 * before[h, c] + 0.1 * mine.mean(0), dim=0)
            # What moves centroids is float32, as in any training.
            torch.testing.assert_close(made.centroids[h, c], expected, rtol=1e-5, atol=1e-6)
    assert not made.centroids.equal(before)


def test_evaluation_moves_nothing() -> None:
    made = mechanism().eval()
    before = made.centroids.clone()
    hidden, values = draw(2, 20)
    made(hidden, values, torch.ones(2, 20, dtype=torch.bool))
    made.train()
    assert made.centroids.equal(before)


def test_layers_that_share_it_hold_centroids_still_for_a_pass_and_what_is_saved_is_settled() -> None:
    made = mechanism(decay=0.5).train()
    before = made.centroids.clone()
    hidden, values = draw(1, 20)
    valid = torch.ones(1, 20, dtype=torch.bool)
    with made.one_pass():
        made(hidden, values, valid)
        made(hidden.flip(1), values, valid)
        assert made.centroids.equal(before)
    assert not made.centroids.equal(before)
    alone = mechanism(decay=0.5).train()
    alone(hidden, values, valid)
    saved = copy.deepcopy(alone.state_dict())["centroids"]
    assert not saved.equal(before)
    assert alone.eval().centroids.equal(saved)


def test_an_encoder_in_training_moves_them_and_its_copy_goes_on_alike() -> None:
    model = small_model(attention="routing").train()
    features, valid = small_input(2, 30), torch.ones(2, 30, dtype=torch.bool)
    start = {name: x.clone() for name, x in model.state_dict().items()}
    model(features, valid)
    moved = [name for name, x in model.state_dict().items() if not x.equal(start[name])]
    assert moved
    assert all(name.endswith("centroids") for name in moved)
    copied = small_model(attention="routing").train()
    copied.load_state_dict(model.state_dict())
    outputs = [m(features, valid).last_hidden_state for m in (model, copied)]
    assert outputs[0].equal(outputs[1])


@pytest.mark.parametrize(
    ("options", "words"),
    [({}, "give clusters or max_length"), ({"clusters": -1}, "not -1"), ({"clusters": 2, "decay": 1.5}, "not 1.5")],
    ids=str,
)
def test_wrong_options_are_named(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build("routing", width=16, heads=4, **options)
