"""The interface of mechanisms, as a plug-in sees it."""

import pytest
import torch
from torch import Tensor

from inattention.attention import AttentionMechanism
from inattention.attention.mechanisms.uniform import Uniform

HIDDEN, VALUES = torch.randn(2, 5, 8), torch.randn(2, 2, 5, 4)


class Mean(AttentionMechanism):
    """A plug-in that knows nothing of None."""

    def weights(self, hidden: Tensor, valid: Tensor) -> Tensor:
        rows = valid / valid.sum(-1, keepdim=True)
        return rows[:, None, None].expand(-1, self.heads, hidden.shape[1], -1)


class FastMean(Mean):
    """A plug-in with a forward pass of its own, which calls the one that it inherits."""

    def forward(self, hidden: Tensor, values: Tensor, valid: Tensor) -> Tensor:
        assert valid.dtype == torch.bool
        return super().forward(hidden, values, valid)


@pytest.mark.parametrize("kind", [Mean, FastMean])
def test_a_method_without_a_default_for_valid_never_gets_none(kind: type[AttentionMechanism]) -> None:
    mechanism, ours = kind(width=8, heads=2), Uniform(width=8, heads=2)
    expected = ours(HIDDEN, VALUES)
    for output in (mechanism(HIDDEN, VALUES, None), mechanism(HIDDEN, VALUES), mechanism(HIDDEN, VALUES, valid=None)):
        torch.testing.assert_close(output, expected)
    torch.testing.assert_close(mechanism.weights(HIDDEN, None), ours.weights(HIDDEN))


@pytest.mark.parametrize("kind", [Mean, FastMean])
def test_a_mask_reaches_it_unchanged(kind: type[AttentionMechanism]) -> None:
    mechanism, ours = kind(width=8, heads=2), Uniform(width=8, heads=2)
    valid = torch.arange(5) < torch.tensor([[5], [2]])
    torch.testing.assert_close(mechanism(HIDDEN, VALUES, valid), ours(HIDDEN, VALUES, valid))
    torch.testing.assert_close(mechanism(HIDDEN, VALUES, valid=valid), ours(HIDDEN, VALUES, valid))
    torch.testing.assert_close(mechanism.weights(HIDDEN, valid=valid), ours.weights(HIDDEN, valid))
