"""Sums over time at two resolutions: near frames one by one, far frames in blocks of equal weight.

    y_i = sum over j of w(j - i) x_j, over frames j near the window of queries of i,
        + sum over all other blocks m of c(m - block of i) (sum of x in block m)

c is the mean weight between two blocks of frames. A near frame thus has exactly its weight, and a far one the mean of
its block's, as in hierarchical matrices. Where weights change little over some frames far away, as those of trained
tables do, hidden states change by far less than by int8, and a long input costs a tenth of a product with a T x T
matrix.
"""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

BLOCK = 8  # frames that share a weight far away
QUERIES = 64  # frames that see their near keys through the same small matrix; a multiple of BLOCK
REACH = 32  # frames to each side of these that are near; a multiple of BLOCK
KEYS = QUERIES + 2 * REACH
_BLOCKS = QUERIES // BLOCK


class TwoLevelForm(nn.Module):
    """Near frames one by one, and far frames in blocks.

    Args:
        taps: weights for each j - i from 1 - longest to longest - 1.
    """

    near: Tensor
    far: Tensor

    def __init__(self, taps: Float[Tensor, "heads offsets"]) -> None:
        super().__init__()
        self.register_buffer("near", _near_weights(taps)[:, None].float())
        self.register_buffer("far", block_weights(taps).float())

    def prepare(self, time: int) -> Float[Tensor, "heads blocks blocks"]:
        """Return the weights between the blocks of inputs of this length, 0 between near ones."""
        count, middle = _windows(time) * _BLOCKS, self.far.shape[1] // 2
        blocks = torch.arange(count, device=self.far.device)
        places = (blocks - blocks[:, None]).clamp(-middle, middle) + middle
        windows = (blocks // _BLOCKS * _BLOCKS)[:, None]
        apart = (blocks < windows - REACH // BLOCK) | (blocks >= windows + _BLOCKS + REACH // BLOCK)
        return self.far[:, places] * apart

    def forward(
        self, x: Float[Tensor, "batch heads time columns"], matrix: Float[Tensor, "heads blocks blocks"]
    ) -> Float[Tensor, "batch heads time columns"]:
        """Return the sums, given `prepare` of the input's length."""
        time = x.shape[2]
        count = _windows(time)
        padded = F.pad(x, (0, 0, REACH, 2 * QUERIES + REACH))
        starts = torch.arange(count, device=x.device)[:, None] * QUERIES
        frames = (starts + torch.arange(KEYS, device=x.device)).flatten()
        windows = padded.index_select(2, frames).unflatten(2, (count, KEYS))
        inside = windows[:, :, :, REACH : REACH + QUERIES].unflatten(3, (_BLOCKS, BLOCK))
        far = torch.matmul(matrix[None], inside.sum(4).flatten(2, 3)).unflatten(2, (count, _BLOCKS))
        near = torch.matmul(self.near, windows).unflatten(3, (_BLOCKS, BLOCK))
        every = (near + far[:, :, :, :, None]).flatten(2, 4)
        return every.index_select(2, torch.arange(time, device=x.device))  # a slice would fix whether blocks fit


def _windows(time: int) -> int:
    return torch.sym_max(2, (time + QUERIES - 1) // QUERIES)  # a graph of one would exclude more


def block_weights(taps: Float[Tensor, "heads offsets"]) -> Float[Tensor, "heads blocks"]:
    """Return the mean weight between two blocks, for each difference of their positions.

    The first and the last difference have the fewest pairs of frames; those that no input has are left out of the mean.
    """
    longest = taps.shape[1] // 2 + 1
    far = (longest - 1) // BLOCK
    pairs = BLOCK - (torch.arange(2 * BLOCK - 1, device=taps.device) - (BLOCK - 1)).abs()  # of each difference
    room = (far + 1) * BLOCK - longest
    weights = F.pad(taps, (room, room)).unfold(1, 2 * BLOCK - 1, BLOCK)
    exist = F.pad(torch.ones_like(taps[:1]), (room, room)).unfold(1, 2 * BLOCK - 1, BLOCK)
    return (weights * pairs).sum(-1) / (exist * pairs).sum(-1)


def moved_mass(taps: Float[np.ndarray, " offsets"]) -> float:
    """Return the share of a row by which the weights of far frames differ from their block's.

    The mean over the rows of the longest input; single rows, at its ends above all, may differ by much more.
    """
    weights = torch.as_tensor(taps, dtype=torch.float64)
    longest = len(taps) // 2 + 1
    far = block_weights(weights[None])[0]
    offsets = torch.arange(1 - longest, longest)
    rows = torch.arange(longest)
    shares = torch.empty(longest, dtype=torch.float64)
    for place in range(min(QUERIES, longest)):
        blocks = torch.div(offsets + place % BLOCK, BLOCK, rounding_mode="floor") + len(far) // 2
        differences = (far[blocks.clamp(0, len(far) - 1)] - weights).abs()
        differences[(offsets >= -REACH - place) & (offsets < QUERIES + REACH - place)] = 0
        here = rows[place::QUERIES]
        shares[here] = _row_sums(differences, here, longest) / _row_sums(weights, here, longest)
    return float(shares.mean())


def _row_sums(weights: Tensor, rows: Tensor, longest: int) -> Tensor:
    """Return the sum over all keys, for queries at these positions of the longest input."""
    until = F.pad(weights.cumsum(0), (1, 0))
    first = longest - 1 - rows
    return until[first + longest] - until[first]


def _near_weights(taps: Float[Tensor, "heads offsets"]) -> Float[Tensor, "heads queries keys"]:
    """Return the weights of near keys for the queries of one window; 0 for keys that no input reaches."""
    longest = taps.shape[1] // 2 + 1
    room = max(0, QUERIES + REACH - longest)
    padded, middle = F.pad(taps, (room, room)), longest - 1 + room
    keys, queries = torch.arange(KEYS, device=taps.device) - REACH, torch.arange(QUERIES, device=taps.device)
    return padded[:, keys - queries[:, None] + middle]
