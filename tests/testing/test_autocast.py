"""The claims about autocast fail where they are false."""

import pytest
import torch
from torch import Tensor

from inattention.attention.mechanisms.uniform import Uniform
from inattention.testing import CLAIMS, Case

CASE = Case("uniform", width=8, heads=2)


def test_a_sum_over_time_in_bfloat16_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(self: Uniform, hidden: Tensor, values: Tensor, valid: Tensor) -> Tensor:
        real = valid[:, None, :, None].to(values.dtype)
        mass = total = torch.zeros_like(values[:, :, :1])
        for frame in range(values.shape[2]):
            total = total + (values * real)[:, :, frame, None]
            mass = mass + real[:, :, frame, None]
        return (total / mass).expand_as(values)

    monkeypatch.setattr(Uniform, "forward", forward)
    with pytest.raises(AssertionError, match=r"output differs under autocast by .* of up to 320 frames"):
        CLAIMS["works_under_autocast"](CASE)


def test_what_is_reused_without_autocast_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(self: Uniform, hidden: Tensor, values: Tensor, valid: Tensor) -> Tensor:
        if not hasattr(self, "mean"):
            self.mean = (values * valid[:, None, :, None]).sum(2, keepdim=True)
        return self.mean.to(values.dtype).expand_as(values)

    monkeypatch.setattr(Uniform, "forward", forward)
    with pytest.raises(AssertionError, match="used again without it"):
        CLAIMS["nothing_kept_is_rounded_by_autocast"](CASE)


def test_rows_that_do_not_sum_to_one_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def weights(self: Uniform, hidden: Tensor, valid: Tensor) -> Tensor:
        rows = torch.full((*hidden.shape[:2], hidden.shape[1]), 1.02 / hidden.shape[1])
        return rows[:, None].expand(-1, self.heads, -1, -1)

    monkeypatch.setattr(Uniform, "weights", weights)
    with pytest.raises(AssertionError, match="rows under autocast sum to 1"):
        CLAIMS["works_under_autocast"](CASE)
