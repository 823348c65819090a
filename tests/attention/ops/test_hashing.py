"""Hashing mechanisms against loops written from their definitions."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from inattention.attention import build, card
from inattention.attention.ops import candidates
from inattention.attention.ops.hashing import HashedAttention, hash_flops
from inattention.testing import CLAIMS, Case

NAMES = ("sign-alsh", "xbox", "xbox-qnf", "simple-lsh", "simple-alsh", "l2-alsh")
WAYS = ({}, {"projections": 3}, {"hashes": "per-query"}, {"hashes": "per-query", "projections": 2})
ALL_WAYS = [(name, way) for name in NAMES for way in WAYS]
ALL_WAYS += [("sign-alsh", {"norms": "unscaled"}), ("sign-alsh", {"terms": 3, "limit": 0.5})]
ALL_WAYS += [("simple-lsh", {"normalise": "unit"}), ("l2-alsh", {"cell": 0.4, "terms": 1, "projections": 2})]

Transforms = Callable[[Tensor, float, dict[str, Any]], tuple[list[float], list[float]]]


def _both(x: Tensor, largest: float, name: str, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """P(x) and Q(x) of one vector, as the definitions have them."""
    norm = float(x.norm())
    unit = x / norm
    by_largest = x / largest
    rest = math.sqrt(max(0.0, 1 - float(by_largest.norm()) ** 2))
    if name == "sign-alsh":
        scaled = options.get("limit", 0.75) * x / largest
        n = norm if options.get("norms") == "unscaled" else float(scaled.norm())
        powers = [n ** (2**i) for i in range(1, options.get("terms", 2) + 1)]
        return _append(scaled, [0.5 - power for power in powers]), _append(unit, [0.0] * len(powers))
    if name == "xbox":
        return _append(x, [math.sqrt(max(0.0, largest**2 - norm**2))]), _append(x, [0.0])
    if name == "xbox-qnf":
        return _append(x, [math.sqrt(max(0.0, largest**2 - norm**2))]), _append(largest / norm * x, [0.0])
    if name == "simple-lsh" and options.get("normalise") == "unit":
        return _append(unit, [0.0]), _append(unit, [0.0])
    if name == "simple-lsh":
        return _append(by_largest, [rest]), _append(by_largest, [rest])
    if name == "simple-alsh":
        return _append(by_largest, [0.0, rest]), _append(by_largest, [rest, 0.0])
    scaled = options.get("limit", 0.83) * x / largest
    powers = [float(scaled.norm()) ** (2**i) for i in range(1, options.get("terms", 3) + 1)]
    # The last coefficient of a hash vector is the offset b.
    return _append(scaled, [*powers, 1.0]), _append(unit, [*[0.5] * len(powers), 1.0])


def _append(x: Tensor, numbers: list[float]) -> Tensor:
    return torch.cat([x, torch.tensor(numbers, dtype=x.dtype)])


def _score(name: str, vectors: Tensor, q: Tensor, p: Tensor, options: dict[str, Any]) -> float:
    score = 0.0
    for a in vectors:
        query, key = float(a @ q), float(a @ p)
        if name == "l2-alsh":
            cell = options.get("cell", 2.5)
            score -= abs(key / cell - (math.floor(query / cell) + 0.5))
        else:
            score += key if query >= 0 else -key
    return score


def naive(mechanism: HashedAttention, hidden: Tensor, valid: Tensor, name: str, options: dict[str, Any]) -> Tensor:
    """The weights, one query and one key at a time, in double precision."""
    batch, time, width = hidden.shape
    heads, d = mechanism.heads, width // mechanism.heads
    projected = mechanism.query(hidden.masked_fill(~valid[..., None], 0.0)).detach().double()
    weights = torch.zeros(batch, heads, time, time, dtype=torch.double)
    for b in range(batch):
        real = [t for t in range(time) if valid[b, t]]
        for h in range(heads):
            q = projected[b, :, h * d : (h + 1) * d]
            largest = max(float(q[t].norm()) for t in real)
            both = {t: _both(q[t], largest, name, options) for t in real}
            for i in real:
                vectors = mechanism.vectors[h, i % mechanism.vectors.shape[1]].double()
                scores = {j: _score(name, vectors, both[i][1], both[j][0], options) for j in real}
                chosen = sorted(real, key=lambda j: (-scores[j], j))[: mechanism.keys]
                exps = {j: math.exp(float(q[i] @ q[j]) / math.sqrt(d)) for j in chosen}
                for j in chosen:
                    weights[b, h, i, j] = exps[j] / sum(exps.values())
    return weights


def _built(name: str, **options: Any) -> HashedAttention:
    mechanism = build(name, **options)
    assert isinstance(mechanism, HashedAttention)
    return mechanism.eval()


def _small(name: str, seed: int = 0, **options: Any) -> HashedAttention:
    torch.manual_seed(seed)
    mechanism = _built(name, width=12, heads=2, max_length=10, **{"keys": 4, **options})
    torch.nn.init.normal_(mechanism.query.weight, std=0.4)
    torch.nn.init.normal_(mechanism.query.bias, std=0.4)
    return mechanism


@pytest.mark.parametrize(("name", "options"), ALL_WAYS)
def test_weights_and_forward_are_the_definition(name: str, options: dict[str, Any]) -> None:
    mechanism = _small(name, **options)
    hidden, values = torch.randn(2, 13, 12), torch.randn(2, 2, 13, 6)
    valid = torch.rand(2, 13) < 0.8
    valid[1, 3:] = False  # fewer than K keys
    valid[1, 0] = True
    wanted = naive(mechanism, hidden, valid, name, options)
    got = mechanism.weights(hidden, valid).double()
    rows = valid[:, None, :, None]
    assert torch.allclose(got.masked_fill(~rows, 0), wanted, atol=1e-5)
    output = mechanism(hidden, values, valid).double()
    assert torch.allclose(output.masked_fill(~rows, 0), wanted @ values.double(), atol=1e-5)


@pytest.mark.parametrize("claim", ["forward_is_weights_times_values", "output_is_the_same_in_any_company"])
@pytest.mark.parametrize("way", [*WAYS, {"projections": 6}])
@pytest.mark.parametrize("name", ["sign-alsh", "simple-alsh", "l2-alsh"])
def test_the_suite_holds_for_few_keys(name: str, way: dict[str, Any], claim: str) -> None:
    CLAIMS[claim](Case(name, {"keys": 3, **way}, width=24, heads=4))


@pytest.mark.parametrize("way", [*WAYS, {"projections": 6}])
def test_gathered_keys_get_the_gradients_of_the_definition(way: dict[str, Any]) -> None:
    mechanism = _small("simple-lsh", **way)
    hidden, values = torch.randn(2, 13, 12), torch.randn(2, 2, 13, 6)
    valid = torch.ones(2, 13, dtype=torch.bool)
    valid[1, 9:] = False
    gradients = []
    for how in (
        lambda h, v: mechanism(h, v, valid),
        lambda h, v: mechanism.weights(h, valid) @ v.masked_fill(~valid[:, None, :, None], 0.0),
    ):
        h, v = hidden.clone().requires_grad_(), values.clone().requires_grad_()
        loss = how(h, v).masked_fill(~valid[:, None, :, None], 0.0).square().sum()
        gradients.append(torch.autograd.grad(loss, [h, v, *mechanism.parameters()]))
    for fast, defined in zip(*gradients, strict=True):
        assert torch.allclose(fast, defined, atol=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_equal_scores_go_to_the_lower_index(way: dict[str, Any]) -> None:
    mechanism = _small("xbox", **way)
    one, other = torch.randn(2, 12)
    hidden = torch.stack([one, other] * 6)[None]
    valid = torch.ones(1, 12, dtype=torch.bool)
    valid[0, 0] = False
    weights = mechanism.weights(hidden, valid)
    of_one, of_other = {2, 4, 6, 8}, {1, 3, 5, 7}
    for row in weights[0, :, 1:].flatten(0, 1):
        assert set(row.nonzero().flatten().tolist()) in (of_one, of_other)
    values = torch.randn(1, 2, 12, 6)
    output = (weights @ values)[:, :, 1:]
    assert torch.allclose(mechanism(hidden, values, valid)[:, :, 1:], output, atol=1e-5)


def test_a_query_on_the_plane_counts_as_positive() -> None:
    mechanism = _small("xbox")
    torch.nn.init.zeros_(mechanism.query.bias)
    hidden = torch.randn(1, 9, 12)
    hidden[0, 4] = 0
    hidden[0, 5] = -hidden[0, 6]
    valid = torch.ones(1, 9, dtype=torch.bool)
    chosen = mechanism.weights(hidden, valid) > 0
    labels, _ = mechanism._hash(mechanism._project(hidden, valid), valid)
    for head in range(2):
        assert labels[0, head, 0, 4] == 1
        positive = int(labels[0, head, 0, [5, 6]].argmax()) + 5
        assert torch.equal(chosen[0, head, 4], chosen[0, head, positive])
        assert not torch.equal(chosen[0, head, 4], chosen[0, head, 11 - positive])


@pytest.mark.parametrize("way", WAYS)
def test_xbox_and_its_query_normalised_form_pick_the_same_keys(way: dict[str, Any]) -> None:
    hidden, values = torch.randn(2, 40, 12), torch.randn(2, 2, 40, 6)
    valid = torch.rand(2, 40) < 0.9
    plain, normalised = (_small(name, **way) for name in ("xbox", "xbox-qnf"))
    assert torch.equal(plain.weights(hidden, valid), normalised.weights(hidden, valid))
    assert torch.equal(plain(hidden, values, valid), normalised(hidden, values, valid))


def _recall(name: str, **options: Any) -> float:
    """The share of the 32 largest products of 500 Gaussian steps that are among the chosen keys."""
    torch.manual_seed(0)
    mechanism = _built(name, width=256, heads=4, max_length=500, **options)
    with torch.no_grad():
        mechanism.query.weight.copy_(torch.eye(256))
    hidden, valid = torch.randn(2, 500, 256), torch.ones(2, 500, dtype=torch.bool)
    chosen = mechanism.weights(hidden, valid) > 0
    assert (chosen.sum(-1) == 32).all()
    q = hidden.unflatten(-1, (4, 64)).transpose(1, 2)
    best = (q @ q.transpose(-1, -2)).topk(32).indices
    return float(chosen.gather(-1, best).float().mean())


@pytest.mark.parametrize("name", ["sign-alsh", "xbox", "simple-lsh", "simple-alsh"])
def test_one_projection_recalls_a_little_more_than_chance_and_more_recall_more(name: str) -> None:
    one, four, sixteen = (_recall(name, projections=n) for n in (1, 4, 16))
    assert 32 / 500 < 0.07 < one < 0.12
    assert one + 0.02 < four < sixteen - 0.05


@pytest.mark.parametrize("name", NAMES)
def test_hash_vectors_stay_and_are_no_parameters(name: str) -> None:
    mechanism = _small(name)
    assert "vectors" in mechanism.state_dict()
    assert {n for n, _ in mechanism.named_parameters()} == {"query.weight", "query.bias"}
    before = mechanism.vectors.clone()
    mechanism.train()(torch.randn(1, 13, 12), torch.randn(1, 2, 13, 6), torch.ones(1, 13, dtype=torch.bool))
    assert torch.equal(mechanism.vectors, before)


def test_positions_beyond_the_table_begin_again_with_its_first_vectors() -> None:
    mechanism = _small("xbox", hashes="per-query")
    hidden = torch.randn(1, 10, 12).repeat(1, 2, 1)
    hidden[:, 10:] = hidden[:, :10].clone()
    valid = torch.ones(1, 20, dtype=torch.bool)
    weights = mechanism.weights(hidden, valid)
    assert torch.equal(weights[:, :, :10], weights[:, :, 10:])


@pytest.mark.parametrize("name", NAMES)
def test_the_largest_norm_is_that_of_valid_steps(name: str) -> None:
    """A padded step's query is the bias, here far longer than any valid step's."""
    mechanism = _small(name)
    with torch.no_grad():
        mechanism.query.weight.copy_(torch.eye(12))
        mechanism.query.bias.fill_(5.0)
    hidden, valid = torch.randn(1, 13, 12) - 5, torch.arange(13)[None] < 10
    padded = mechanism.weights(hidden, valid)[:, :, :10, :10]
    alone = mechanism.weights(hidden[:, :10], valid[:, :10])
    assert torch.allclose(padded, alone, atol=1e-6)


class _Largest(TorchDispatchMode):
    """Notes how many numbers the largest tensor that any operation gives holds."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, Tensor):
                self.numbers = max(self.numbers, tensor.untyped_storage().nbytes() // tensor.element_size())
        return out


@pytest.mark.parametrize("projections", [1, 4])
@pytest.mark.parametrize("name", NAMES)
def test_no_tensor_grows_with_the_square_of_time(name: str, projections: int) -> None:
    mechanism = build(name, width=8, heads=2, keys=4, projections=projections)
    time = 3000
    hidden, values = torch.randn(1, time, 8), torch.randn(1, 2, time, 4)
    with torch.no_grad(), _Largest() as largest:
        mechanism(hidden, values, torch.ones(1, time, dtype=torch.bool))
    assert time < largest.numbers < time**2 / 8


def test_vectors_per_query_score_keys_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "CHUNK_NUMBERS", 2**18)
    mechanism = build("xbox", width=8, heads=2, keys=4, max_length=10, hashes="per-query")
    time = 2000
    hidden, values = torch.randn(1, time, 8), torch.randn(1, 2, time, 4)
    with torch.no_grad(), _Largest() as largest:
        mechanism(hidden, values, torch.ones(1, time, dtype=torch.bool))
    assert largest.numbers <= 2**18


def counted(mechanism: HashedAttention, time: int) -> float:
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    mapping = {fused: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v)}
    hidden, valid = torch.randn(1, time, mechanism.width), torch.ones(1, time, dtype=torch.bool)
    values = torch.randn(1, mechanism.heads, time, mechanism.head_dim)
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        mechanism(hidden, values, valid)
    return counter.get_total_flops()


@pytest.mark.parametrize("options", [{}, {"projections": 4}, {"keys": 500}, {"hashes": "per-query"}])
@pytest.mark.parametrize("name", ["xbox", "l2-alsh"])
def test_the_card_tells_the_operations_that_are_counted(name: str, options: dict[str, Any]) -> None:
    mechanism = _built(name, width=768, heads=12, max_length=400, **options)
    told = card(name).flops(400, 768, 12, **options)
    assert told == pytest.approx(counted(mechanism, 400), rel=0.04)
    assert 0 < hash_flops(400, 768, 12, **options) < told


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("xbox", {"hashes": "both"}),
        ("xbox", {"projections": 0}),
        ("xbox", {"keys": 0}),
        ("sign-alsh", {"norms": "some"}),
        ("sign-alsh", {"limit": 1.0}),
        ("simple-lsh", {"normalise": "sometimes"}),
        ("l2-alsh", {"cell": 0.0}),
    ],
)
def test_options_out_of_range_are_refused_by_name(name: str, options: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=next(iter(options))):
        build(name, width=8, heads=2, **options)
