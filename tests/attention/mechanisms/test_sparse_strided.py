"""The two patterns of `sparse-strided`."""

import torch

from inattention import attention


def test_half_of_the_heads_see_a_window_and_half_every_lth_step() -> None:
    mechanism = attention.build("sparse-strided", width=8, heads=2, max_length=10)  # l = 3
    weights = mechanism.weights(torch.randn(1, 10, 8), torch.ones(1, 10, dtype=torch.bool))
    near, far = ([row.nonzero()[:, 0].tolist() for row in head[[0, 4, 9]]] for head in weights[0])
    assert near == [[0, 1, 2, 3], [1, 2, 3, 4, 5, 6, 7], [6, 7, 8, 9]]
    assert far == [[0, 3, 6, 9], [1, 4, 7], [0, 3, 6, 9]]


def test_padding_leaves_residue_classes_where_they_are() -> None:
    mechanism = attention.build("sparse-strided", width=8, heads=2, stride=3)
    valid = torch.tensor([[True, False, True, False, True, True, True]])
    weights = mechanism.weights(torch.randn(1, 7, 8), valid)
    assert [weights[0, 1, i].nonzero()[:, 0].tolist() for i in (0, 2, 4)] == [[0, 6], [2, 5], [4]]


def test_of_an_odd_number_of_heads_the_larger_half_sees_the_window() -> None:
    mechanism = attention.build("sparse-strided", width=9, heads=3, stride=2)
    weights = mechanism.weights(torch.randn(1, 8, 9), torch.ones(1, 8, dtype=torch.bool))
    assert weights[0, :, 0].count_nonzero(-1).tolist() == [3, 3, 4]
