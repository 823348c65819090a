"""Sums over time with weights that are known before the input, in operations that any graph can hold.

Each form returns sum over j of w(i, j) x_j for some heads. x is zero at padding, so that the same form applied to the
padding mask returns what the rows sum to.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from inattention.attention.ops.banded import block_length
from inattention.attention.ops.toeplitz_band import Band

Sums = Float[Tensor, "batch heads time columns"]
PANEL = 32  # queries of a dense form that are copied together


class DenseForm(nn.Module):
    """Toeplitz matrices of the input's length, made from one table per head.

    A matrix is transposed, so that it consists of rows of a narrow one (`PANEL` queries): a runtime copies these as
    wholes, which takes a small part of the time of looking up each weight.

    Args:
        taps: weights for each j - i from 1 - longest to longest - 1.
    """

    taps: Tensor

    def __init__(self, taps: Float[Tensor, "heads offsets"]) -> None:
        super().__init__()
        self.register_buffer("taps", taps.float())

    def prepare(self, time: int) -> Float[Tensor, "heads keys queries"]:
        """Return the transposed matrices of inputs of this length, with up to `PANEL` - 1 queries more."""
        count = torch.sym_max(2, (time + PANEL - 1) // PANEL)  # a graph of one panel would exclude more
        middle = self.taps.shape[1] // 2
        first = (count - 1) * PANEL
        rows = torch.arange(time + first, device=self.taps.device)
        queries = torch.arange(PANEL, device=self.taps.device)
        # Queries behind the input have offsets that the table lacks; what they get is not used.
        offsets = (rows[:, None] - first - queries).clamp(-middle, middle)
        panel = F.embedding(offsets + middle, self.taps.t()).transpose(1, 2)  # rows, heads, queries
        keys, panels = torch.arange(time, device=self.taps.device), torch.arange(count, device=self.taps.device)
        copied = F.embedding(keys[:, None] - panels * PANEL + first, panel.flatten(1))  # keys, panels
        return copied.unflatten(2, (-1, PANEL)).permute(2, 0, 1, 3).flatten(2)

    def forward(self, x: Sums, matrix: Tensor) -> Sums:
        """Return the sums, given `prepare` of the input's length."""
        sums = torch.matmul(matrix.transpose(1, 2)[None], x)
        return sums.index_select(2, torch.arange(x.shape[2], device=x.device))


class MapForm(nn.Module):
    """Free maps, one per head, cropped to the input.

    Args:
        maps: weights before rows are scaled to sum to 1.
    """

    maps: Tensor

    def __init__(self, maps: Float[Tensor, "heads longest longest"]) -> None:
        super().__init__()
        # One more row and column than is used, so that a crop is a proper part at every length.
        self.register_buffer("maps", F.pad(maps, (0, 1, 0, 1)).float())

    def prepare(self, time: int) -> Float[Tensor, "heads time time"]:
        """Return what does not depend on the input, for inputs of this length."""
        return self.maps[:, :time, :time]

    def forward(self, x: Sums, matrix: Tensor) -> Sums:
        """Return the sums, given `prepare` of the input's length."""
        return torch.matmul(matrix, x)


class BandForm(nn.Module):
    """Bands: blocks of queries, each of which sees its keys through the same small matrix.

    Args:
        taps: weights for each j - i from 1 - longest to longest - 1.
        bands: the band of each head; the widest limits serve all.
    """

    matrices: Tensor
    level: Tensor | None

    def __init__(self, taps: Float[Tensor, "heads offsets"], bands: list[Band]) -> None:
        super().__init__()
        middle = taps.shape[1] // 2
        self.low, self.high = min(band.low for band in bands), max(band.high for band in bands)
        levels = torch.tensor([band.level for band in bands], dtype=torch.float64)
        inside = taps[:, self.low + middle : self.high + middle + 1] - levels[:, None]
        self.block = block_length(self.low, self.high)
        padded = F.pad(inside, (self.block - 1, self.block - 1))
        matrices = padded.unfold(1, self.block + self.high - self.low, 1).flip(1)
        self.register_buffer("matrices", matrices[:, None].float().contiguous())
        uniform = levels.float()[:, None, None]
        self.register_buffer("level", uniform if bool(levels.any()) else None)

    def prepare(self, time: int) -> None:
        """Return what does not depend on the input: nothing."""

    def forward(self, x: Sums, matrix: Tensor | None = None) -> Sums:
        """Return the sums."""
        time, block, keys = x.shape[2], self.block, self.matrices.shape[-1]
        left = max(0, -self.low)
        padded = F.pad(x, (0, 0, left, 2 * block + keys + max(0, self.low)))
        blocks = torch.sym_max(2, (time + block - 1) // block)  # a graph of one block would exclude more
        starts = torch.arange(blocks, device=x.device)[:, None] * block + (self.low + left)
        frames = (starts + torch.arange(keys, device=x.device)).flatten()
        windows = padded.index_select(2, frames).unflatten(2, (blocks, keys))
        every = torch.matmul(self.matrices, windows).flatten(2, 3)
        sums = every.index_select(2, torch.arange(time, device=x.device))  # a slice would fix whether blocks fit
        return sums if self.level is None else sums + self.level * x.sum(2, keepdim=True)


class FftForm(nn.Module):
    """Fourier transforms of one length for inputs of every length.

    In float64, as the error of a transform is relative to the largest sums, and the rows of a head that attends to
    later frames are small at the end of the input.

    Args:
        taps: weights for each j - i from 1 - longest to longest - 1.
    """

    real: Tensor
    imaginary: Tensor

    def __init__(self, taps: Float[Tensor, "heads offsets"]) -> None:
        super().__init__()
        longest = taps.shape[1] // 2 + 1
        self.length = transform_length(longest)
        placed = taps.new_zeros(len(taps), self.length, dtype=torch.float64)
        placed[:, :longest] = taps[:, longest - 1 :]
        if longest > 1:
            placed[:, 1 - longest :] = taps[:, : longest - 1]
        spectrum = torch.fft.rfft(placed).conj()
        self.register_buffer("real", spectrum.real[:, None].contiguous())
        self.register_buffer("imaginary", spectrum.imag[:, None].contiguous())

    def prepare(self, time: int) -> None:
        """Return what does not depend on the input: nothing."""

    def forward(self, x: Sums, matrix: Tensor | None = None) -> Sums:
        """Return the sums."""
        time = x.shape[2]
        spectrum = torch.fft.rfft(F.pad(x.transpose(2, 3).double(), (0, self.length - time)))
        real = spectrum.real * self.real - spectrum.imag * self.imaginary
        imaginary = spectrum.real * self.imaginary + spectrum.imag * self.real
        back = torch.fft.irfft(torch.complex(real, imaginary), n=self.length)
        return back[..., :time].transpose(2, 3).to(x.dtype)


def transform_length(longest: int) -> int:
    """Return the length of transforms: a power of 2 in which all offsets have a place.

    >>> transform_length(1500)
    4096
    """
    return 1 << max(1, (2 * longest - 2).bit_length())
