"""The summary columns of `sparse-fixed`."""

from typing import Any

import pytest
import torch

from inattention import attention

WIDTH, HEADS = 8, 2


def patterns(valid: list[int], **options: Any) -> tuple[list, list]:
    """Which keys each query gives weight to: in the head of blocks, in the head of summaries."""
    mechanism = attention.build("sparse-fixed", width=WIDTH, heads=HEADS, **options)
    weights = mechanism.weights(torch.randn(1, len(valid), WIDTH), torch.tensor([valid]).bool())
    near, far = (
        [row.nonzero()[:, 0].tolist() for row, real in zip(head, valid, strict=True) if real] for head in weights[0]
    )
    return near, far


def test_all_queries_see_the_last_column_of_each_block() -> None:
    near, far = patterns([1] * 7, stride=3)
    assert near == [[0, 1, 2]] * 3 + [[3, 4, 5]] * 3 + [[6]]
    assert far == [[2, 5]] * 7


def test_more_columns_reach_into_the_last_block() -> None:
    assert patterns([1] * 8, stride=3, summary=2)[1] == [[1, 2, 4, 5, 7]] * 8
    assert patterns([1] * 4, stride=3, summary=9)[1] == [[0, 1, 2, 3]] * 4


def test_without_a_summary_column_a_query_sees_itself() -> None:
    assert patterns([1] * 4, stride=5)[1] == [[0], [1], [2], [3]]
    assert patterns([1, 1, 0, 1, 1], stride=3)[1] == [[0], [1], [3], [4]]  # the only column is padding


@pytest.mark.parametrize("summary", [1, 2, 3, 7])
@pytest.mark.parametrize("time", [1, 2, 3, 11, 12, 13])
def test_forward_takes_any_number_of_columns(time: int, summary: int) -> None:
    mechanism = attention.build("sparse-fixed", width=WIDTH, heads=HEADS, stride=4, summary=summary)
    hidden, values = torch.randn(4, time, WIDTH), torch.randn(4, HEADS, time, WIDTH // HEADS)
    valid = torch.arange(time) < torch.tensor([time, time // 2 + 1, 1, 3])[:, None]
    output, expected = mechanism(hidden, values, valid), mechanism.weights(hidden, valid) @ values
    assert torch.allclose(output.transpose(1, 2)[valid], expected.transpose(1, 2)[valid], atol=1e-6)


def test_no_summary_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 column"):
        attention.build("sparse-fixed", width=WIDTH, heads=HEADS, stride=4, summary=0)
