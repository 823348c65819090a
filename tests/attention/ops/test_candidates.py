"""Choosing keys, and the ways to attend to just those."""

import pytest
import torch

from inattention.attention.ops import candidates
from inattention.attention.ops.candidates import attend_each, attend_in_blocks, attend_in_halves, best_keys, group


def _by_sorting(scores: torch.Tensor, valid: torch.Tensor, count: int) -> list[int]:
    real = [j for j in range(len(scores)) if valid[j]]
    return sorted(real, key=lambda j: (-float(scores[j]), j))[:count]


def test_best_keys_are_those_of_a_sort_by_score_and_index() -> None:
    generator = torch.Generator().manual_seed(0)
    for scale in (1.0, 1e-30, 1e30):
        scores = scale * torch.randn(20, 50, generator=generator)
        valid = torch.rand(20, 50, generator=generator) < 0.8
        chosen = best_keys(scores, valid, 7)
        for row in range(20):
            assert chosen[row].tolist() == _by_sorting(scores[row], valid[row], 7)


def test_duplicated_scores_are_taken_by_index() -> None:
    scores = torch.randint(-2, 3, (30, 60), generator=torch.Generator().manual_seed(0)).float()
    scores[:, ::7] = -0.0  # equal to 0
    valid = torch.ones(30, 60, dtype=torch.bool)
    chosen = best_keys(scores, valid, 25)
    for row in range(30):
        assert chosen[row].tolist() == _by_sorting(scores[row], valid[row], 25)


def test_too_few_valid_keys_are_all_chosen_first() -> None:
    valid = torch.tensor([False, True, False, True, False])
    chosen = best_keys(torch.tensor([9.0, 1.0, 9.0, 2.0, 9.0]), valid, 4)
    assert chosen[:2].tolist() == [3, 1]
    assert len(set(chosen.tolist())) == 4


def test_group_tells_apart_heads_and_labels() -> None:
    labels = torch.randint(-3, 4, (2, 3, 2, 11), generator=torch.Generator().manual_seed(0))
    labels[0, 0, 0, 0] = 2**61  # too many codes to pack: they are numbered anew
    groups = group(labels)
    seen = {}
    for row, of in zip(groups.order.tolist(), groups.group.tolist(), strict=True):
        b, t, h = row // 33, row // 3 % 11, row % 3
        assert seen.setdefault((b, h, *labels[b, h, :, t].tolist()), of) == of
    assert sorted(groups.order.tolist()) == list(range(66))
    assert len(seen) == len(groups.size) == len(set(seen.values()))
    assert groups.size.tolist() == torch.bincount(groups.group).tolist()
    assert groups.group[groups.first].tolist() == list(range(len(seen)))


@pytest.fixture
def inputs() -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    query, values = torch.randn(2, 2, 3, 21, 4, generator=generator)
    valid = torch.rand(2, 21, generator=generator) < 0.7
    valid[1] = torch.arange(21) % 7 == 2  # fewer than are chosen
    values = values.masked_fill(~valid[:, None, :, None], 0.0)
    labels = torch.rand(2, 3, 21, generator=generator) < 0.3
    sets = best_keys(torch.randn(2, 3, 2, 21, generator=generator), valid[:, None, None], 5)
    return query, values, valid, labels, sets


def _averages(query, values, valid, chosen):  # one query at a time
    output = torch.zeros_like(query)
    for b, h, i in torch.cartesian_prod(*map(torch.arange, query.shape[:3])).tolist():
        keys = [j for j in chosen[b, h, i].tolist() if valid[b, j]]
        scores = torch.stack([query[b, h, i] @ query[b, h, j] / 2 for j in keys])
        output[b, h, i] = scores.softmax(0) @ values[b, h, keys]
    return output


@pytest.mark.parametrize("at_once", [candidates.CHUNK_NUMBERS, 200])
def test_all_ways_to_attend_agree(inputs, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    query, values, valid, labels, sets = inputs
    chosen = torch.where(labels[..., None], sets[:, :, None, 1], sets[:, :, None, 0])
    wanted = _averages(query, values, valid, chosen)
    monkeypatch.setattr(candidates, "CHUNK_NUMBERS", at_once)

    assert torch.allclose(attend_in_halves(query, values, sets, labels, valid), wanted, atol=1e-5)

    groups = group(labels[:, :, None].long())
    member = groups.order[groups.first]
    b, t, h = member // 63, member // 3 % 21, member % 3
    steps = chosen[b, h, t]
    rows = (b[:, None] * 21 + steps) * 3 + h[:, None]
    usable = valid[b[:, None], steps]
    assert torch.allclose(attend_in_blocks(query, values, groups, rows, usable), wanted, atol=1e-5)

    for steps_per_key in (0, 100):  # gathered, and masked
        monkeypatch.setattr(candidates, "STEPS_PER_KEY_TO_GATHER", steps_per_key)
        assert torch.allclose(attend_each(query, values, chosen, valid), wanted, atol=1e-5)
