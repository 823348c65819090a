"""Annotations of the package are checks in tests, those of shapes included."""

from dataclasses import dataclass

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from inattention.attention.ops.banded import make_bands, multiply, multiply_flops
from typechecks import checked, jaxtyped

Batch = Float[Tensor, "batch time"]


@jaxtyped(typechecker=checked)
def longer(one: Batch, other: Float[Tensor, "batch other"], times: int = 2) -> Float[Tensor, "batch time*{times}"]:
    return one.repeat(1, times) if other.shape[1] else one


@jaxtyped(typechecker=checked)
@dataclass
class Pair:
    name: str
    length: float


def test_axes_of_one_name_have_one_size() -> None:
    assert longer(torch.ones(2, 3), torch.ones(2, 1)).shape == (2, 6)
    with pytest.raises(TypeError, match="other"):
        longer(torch.ones(2, 3), torch.ones(3, 1))


def test_results_have_the_shape_of_their_annotation() -> None:
    with pytest.raises(TypeError, match="return"):
        longer(torch.ones(2, 3), torch.ones(2, 0))


def test_dimensions_and_kinds_of_numbers_are_checked() -> None:
    with pytest.raises(TypeError, match="one"):
        longer(torch.ones(2, 3, 1), torch.ones(2, 1))
    with pytest.raises(TypeError, match="one"):
        longer(torch.ones(2, 3, dtype=torch.int64), torch.ones(2, 1))


def test_other_types_are_checked_too_in_functions_and_dataclasses() -> None:
    with pytest.raises(TypeError, match="times"):
        longer(torch.ones(2, 3), torch.ones(2, 1), times="2")  # ty: ignore[invalid-argument-type]
    assert Pair("of", 1) == Pair("of", 1.0)
    with pytest.raises(TypeError, match="name"):
        Pair(1, 1.0)  # ty: ignore[invalid-argument-type]


def test_names_for_type_checkers_only_are_not_checked() -> None:
    @jaxtyped(typechecker=checked)
    def anything(it: "NowhereToBeFound", number: int) -> int:  # noqa: F821  # ty: ignore[unresolved-reference]
        return number

    assert anything("it", 1) == 1
    with pytest.raises(TypeError, match="number"):
        anything("it", "1")


def test_the_package_is_checked() -> None:
    bands = make_bands(torch.ones(1, 2), lowest=0, limits=((0, 1),))
    assert multiply(bands, torch.ones(1, 3, 1)).shape == (1, 3, 1)
    with pytest.raises(TypeError, match="violates"):
        multiply(bands, torch.ones(3, 1))
    with pytest.raises(TypeError, match="time"):
        multiply_flops("3", ((0, 1),), 1)  # ty: ignore[invalid-argument-type]
