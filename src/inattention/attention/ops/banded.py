"""Products with banded Toeplitz matrices, out[i] = sum over k of taps[k] x[i + k]: direct sums, near linear in time.

Time is cut into blocks of B queries. With taps from ``low`` to ``high``, a block sees B + high - low keys, through one
and the same small matrix wherever it lies; so all inner blocks are one batched product with overlapping views of x,
and blocks at the edges use the matrix without the columns that lie outside. Nothing is padded or copied, the sums are
as exact as any matrix product, and no (time, time) tensor is formed however wide the band.

A Fourier transform would cost less only for bands of thousands of frames, and its error is relative to the largest
value of a sequence: too coarse for rows that have only the uniform weight.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


@dataclass(frozen=True)
class Bands:
    """Banded Toeplitz matrices, one per head.

    Attributes:
        taps: (heads, reach): the weight of the key ``lowest + k`` frames after its query.
        lowest: the offset of the first tap.
        limits: for each head the lowest and the highest offset inside of the band; (0, -1) for an empty one.
        matrices: for each head (queries, keys), the matrix of a block; made by `make_bands`.
    """

    taps: Float[Tensor, "heads reach"]
    lowest: int
    limits: tuple[tuple[int, int], ...]
    matrices: tuple[Tensor, ...]


def make_bands(taps: Float[Tensor, "heads reach"], lowest: int, limits: tuple[tuple[int, int], ...]) -> Bands:
    """Return bands with the matrices that `multiply` needs, without the taps outside of the limits."""
    matrices = []
    for head, (low, high) in enumerate(limits):
        inside = taps.detach()[head, low - lowest : high - lowest + 1]
        block = block_length(low, high)
        # Row r of the matrix is the taps moved r columns to the right.
        padded = torch.nn.functional.pad(inside, (block - 1, block - 1))
        matrices.append(padded.unfold(0, block + max(0, high - low), 1).flip(0))
    return Bands(taps, lowest, limits, tuple(matrices))


def multiply(bands: Bands, x: Float[Tensor, "heads time columns"]) -> Float[Tensor, "heads time columns"]:
    """Return each head's matrix times its sequences; gradients reach the sequences and the taps.

    >>> taps = torch.tensor([[1.0, 10.0]])
    >>> bands = make_bands(taps, lowest=0, limits=((0, 1),))
    >>> multiply(bands, torch.tensor([[[1.0], [2.0], [3.0]]])).flatten().tolist()
    [21.0, 32.0, 3.0]
    """
    return _Multiply.apply(x, bands.taps, bands).transpose(0, 1)


def multiply_flops(time: int, limits: tuple[tuple[int, int], ...], columns: int) -> int:
    """Return the operations of `multiply`."""
    pieces = (piece for low, high in limits for piece in _pieces(low, high, time))
    return sum(2 * piece.queries * piece.keys * piece.repeats * columns for piece in pieces)


def block_length(low: int, high: int) -> int:
    """Return B. Long blocks waste products outside the band, short ones waste calls: this was the fastest on CPU."""
    return min(128, max(32, (high - low) // 8 // 32 * 32))


class _Piece(NamedTuple):
    """Queries that see their keys through the same part of a matrix, and how often that repeats, a block further on."""

    query: int
    queries: int
    key: int
    keys: int
    repeats: int


@lru_cache(maxsize=1024)  # an encoder asks for the same few at every layer
def _pieces(low: int, high: int, time: int) -> tuple[_Piece, ...]:
    """Return the pieces of a product: single blocks at the edges, and all blocks whose keys lie inside as one."""
    if low > high:
        return ()
    block = block_length(low, high)
    blocks = -(-time // block)
    first = -(min(low, 0) // block)
    end = max(first, (time - max(high, 0)) // block)
    pieces = []
    for b in range(blocks):
        query, stop = b * block, min((b + 1) * block, time)
        key, last = max(0, query + low), min(time, stop + high)
        if first < b < end or last <= key:
            continue
        pieces.append(_Piece(query, stop - query, key, last - key, end - first if b == first < end else 1))
    return tuple(pieces)


def _multiply(bands: Bands, x: Tensor) -> Tensor:
    """Return the product as (time, heads, columns), the layout in memory that the output projection needs."""
    heads, time, columns = x.shape
    out = x.new_empty(time, heads, columns)
    for head, (low, high) in enumerate(bands.limits):
        matrix, source, sink = bands.matrices[head], x[head], out[:, head]
        pieces = _pieces(low, high, time)
        if sum(piece.queries * piece.repeats for piece in pieces) < time:
            sink.zero_()
        for piece in pieces:
            keys = _keys(source, piece, len(matrix))
            if piece.repeats == 1:
                part = _part(matrix, piece, low)
                torch.mm(part, keys, out=sink[piece.query : piece.query + piece.queries])
            else:
                queries = sink[piece.query : piece.query + piece.queries * piece.repeats]
                shared = matrix.expand(piece.repeats, -1, -1)
                torch.bmm(shared, keys, out=queries.unflatten(0, (piece.repeats, -1)))
    return out


def _keys(source: Tensor, piece: _Piece, block: int) -> Tensor:
    """Return the keys of a piece as a view: (keys, columns), or (repeats, keys, columns), each a block further on."""
    if piece.repeats == 1:
        return source[piece.key : piece.key + piece.keys]
    stretch = source[piece.key : piece.key + (piece.repeats - 1) * block + piece.keys]
    return stretch.unfold(0, piece.keys, block).transpose(1, 2)


def _part(matrix: Tensor, piece: _Piece, low: int) -> Tensor:
    """Return the part of a block's matrix that lies inside the sequence."""
    left = piece.key - (piece.query + low)
    return matrix[: piece.queries, left : left + piece.keys]


def _correlate(grad: Tensor, x: Tensor, low: int, high: int) -> Tensor:
    """Return the gradient of one head's taps: sum over i of grad[i] . x[i + k], for k from low to high."""
    block, reach = block_length(low, high), high - low + 1
    matrix = x.new_zeros(block, block + high - low)
    for piece in _pieces(low, high, len(x)):
        keys = _keys(x, piece, block)
        if piece.repeats == 1:
            queries = grad[piece.query : piece.query + piece.queries]
            _part(matrix, piece, low).addmm_(queries, keys.t())
        else:
            queries = grad[piece.query : piece.query + piece.queries * piece.repeats]
            matrix += torch.bmm(queries.unflatten(0, (piece.repeats, -1)), keys.transpose(1, 2)).sum(0)
    # A tap occurs once in each row, one column further to the right.
    return matrix.as_strided((block, reach), (matrix.shape[1] + 1, 1)).sum(0)


class _Multiply(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: Tensor, bands: Bands) -> Tensor:
        ctx.save_for_backward(x, taps)
        ctx.bands = bands
        return _multiply(bands, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, taps = ctx.saved_tensors
        grad = grad.transpose(0, 1)
        lowest, limits = ctx.bands.lowest, ctx.bands.limits
        grad_x = grad_taps = None
        if ctx.needs_input_grad[0]:  # the transposed matrix is the band mirrored
            highest = lowest + taps.shape[1] - 1
            mirrored = tuple((-high, -low) for low, high in limits)
            grad_x = _multiply(make_bands(taps.flip(1), -highest, mirrored), grad).transpose(0, 1)
        if ctx.needs_input_grad[1]:
            grad_taps = torch.zeros_like(taps)
            for head, (low, high) in enumerate(limits):
                if low <= high:
                    grad_taps[head, low - lowest : high - lowest + 1] = _correlate(grad[head], x[head], low, high)
        return grad_x, grad_taps, None
