"""`local` as the control of `sparse-strided`."""

import torch

from inattention import attention

WIDTH, HEADS, TIME = 16, 4, 40


def test_local_is_the_first_half_of_strided() -> None:
    local, strided = (
        attention.build(name, width=WIDTH, heads=HEADS, max_length=TIME) for name in ("local", "sparse-strided")
    )
    local.load_state_dict(strided.state_dict())
    hidden, values = torch.randn(2, TIME, WIDTH), torch.randn(2, HEADS, TIME, WIDTH // HEADS)
    valid = torch.arange(TIME) < torch.tensor([TIME, 25])[:, None]
    half = HEADS // 2
    assert local(hidden, values, valid)[:, :half].equal(strided(hidden, values, valid)[:, :half])
    assert not torch.allclose(local(hidden, values, valid)[:, half:], strided(hidden, values, valid)[:, half:])


def test_window_reaches_both_ways_in_every_head() -> None:
    mechanism = attention.build("local", width=8, heads=2, window=2)
    weights = mechanism.weights(torch.randn(1, 6, 8), torch.tensor([[True, True, True, False, True, True]]))
    for head in weights[0]:
        assert [row.nonzero()[:, 0].tolist() for row in head[[0, 2, 5]]] == [[0, 1, 2], [0, 1, 2, 4], [4, 5]]
