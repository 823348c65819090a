"""Parts of a long sequence, and the tape that they are read from."""

from itertools import pairwise

import numpy as np
import pytest

from inattention.audio.spans import Tape, blocks, chunks


@pytest.mark.parametrize("grid", [1, 3])
@pytest.mark.parametrize("block", [1, 4, 10, 50])
def test_blocks_keep_every_frame_once_with_all_that_it_depends_on(block: int, grid: int) -> None:
    for time in range(1, 40):
        plan = blocks(time, block, back=5, ahead=2, grid=grid)
        assert [frame for it in plan for frame in range(it.keep_start, it.keep_end)] == list(range(time))
        for it in plan:
            assert it.start % grid == 0
            assert it.start <= max(0, it.keep_start - 5)
            assert it.end == min(time, it.keep_end + 2)
        assert all(one.start <= other.start for one, other in pairwise(plan))


@pytest.mark.parametrize("hop", [1, 3, 7, 10])
def test_chunks_with_any_hop_keep_every_frame_once(hop: int) -> None:
    for time in range(1, 60):
        plan = chunks(time, 10, hop)
        assert [frame for it in plan for frame in range(it.keep_start, it.keep_end)] == list(range(time))
        assert all(it.start <= it.keep_start < it.keep_end <= it.end for it in plan)


@pytest.mark.parametrize("piece", [1, 3, 7, 100])
def test_a_tape_returns_what_the_stream_holds_there(piece: int) -> None:
    items = np.arange(100)
    tape = Tape((items[start : start + piece] for start in range(0, 100, piece)), np.concatenate)
    for first, last in ((0, 5), (0, 20), (3, 4), (10, 60), (10, 61), (58, 90), (58, 130), (99, 130)):
        assert np.array_equal(tape.read(first, last), items[first:last])
    assert tape.total == 100


def test_a_tape_holds_no_more_than_a_few_windows() -> None:
    tape = Tape((np.zeros(10) for _ in range(10_000)), np.concatenate)
    most = 0
    for start in range(0, 90_000, 7):
        tape.read(start, start + 50)
        most = max(most, sum(len(it) if it.base is None else len(it.base) for it in tape._held))
    assert most < 100


def test_a_tape_of_nothing_says_so() -> None:
    with pytest.raises(ValueError, match="holds nothing"):
        Tape(iter(()), np.concatenate).read(0, 1)
