"""Averages with weights that are a free function of j - i, for long inputs: no tensor of (time, time) is formed.

    A(i, j) = softmax(table[j - i]) over real keys = taps[j - i] / mass(i),    taps = exp(table - max of table)

The numerator is the correlation of the taps with the values. It is computed by Fourier transforms or, where all taps
outside of a band are negligible, by a banded product (`inattention.attention.ops.banded`), whichever costs less. The
denominator is the correlation of the taps with the padding mask, in float64; without padding, it is a difference of two
cumulative sums of the taps.

The error of a transform is relative to the largest sums of a sequence. A row whose taps on real keys are small beside
all taps of its head would lose its digits, such as a row at the end of the input whose peak lies beyond the end. Such
rows (`mass` below `_least_mass`) are few, and are computed by a masked softmax over these rows alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log2
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from inattention.attention.ops.banded import Bands, make_bands, multiply, multiply_flops
from inattention.attention.ops.padding import masked_softmax, zero_invalid

# Lengths from which on this is faster than a product with dense maps: maps that are cached already, and maps that must
# be computed first, with their gradients. By `benchmarks/relative_weights.py`, widths 384 and 512, one thread: forward
# takes 1.0 to 1.6 times as long as the product with cached maps at 500 frames, .6 to .9 at 1000, and .3 to .9 at 1500;
# forward and backward take .6 (one utterance) to 1.5 times (four) as long at 500 frames, .2 to .7 at 1000, and .1 to .4
# at 1500. At 1500 frames, fused attention takes 3 to 5 times as long as transforms.
FROM_CACHED = 750
FROM_COMPUTED = 500
# How many operations of a banded product take as long as one of transforms. By the same benchmark at 1500 frames, bands
# take .7 to 1.1 times as long where this is 4.7 (128 frames to either side), and 1.3 to 1.7 where it is 8.4 (250).
BAND_OPERATIONS = 5.0


class Rows(NamedTuple):
    """Some rows of a head, with their weights by softmax.

    Attributes:
        head: the head.
        frames: their queries.
        weights: over all keys.
    """

    head: int
    frames: Int[Tensor, " rows"]
    weights: Float[Tensor, "rows time"]


@dataclass(frozen=True)
class Taps:
    """Weights over j - i for inputs of one length.

    Attributes:
        table: their logits, for each j - i from 1 - time to time - 1.
        weights: exp(table - max of table).
        least_mass: the least mass of a row that may be divided by.
        mass: what each row's weights sum to where all frames are real.
        rows: the rows of less mass than that where all frames are real.
        bands: the weights as bands; None if transforms cost less.
        spectrum: the conjugate of their Fourier transform; None if bands cost less.
    """

    table: Float[Tensor, "heads offsets"]
    weights: Float[Tensor, "heads offsets"]
    least_mass: Float[Tensor, "heads 1"]
    mass: Float[Tensor, "heads time"]
    rows: tuple[Rows, ...]
    bands: Bands | None
    spectrum: Complex[Tensor, "heads frequencies"] | None


def faster_than_dense(time: int, *, cached: bool) -> bool:
    """Return whether inputs are so long that `average_correlated` is faster than a product with dense maps.

    Args:
        time: frames of the input.
        cached: the maps are computed already.
    """
    return time >= (FROM_CACHED if cached else FROM_COMPUTED)


def make_taps(table: Float[Tensor, "heads offsets"], head_dim: int) -> Taps:
    """Prepare `average_correlated`. It reads on the host which taps are negligible and which rows have little mass.

    Args:
        table: logits for each j - i from 1 - time to time - 1, in the type that averages are computed in.
        head_dim: features of a head, on which the choice of the method depends.
    """
    time = (table.shape[1] + 1) // 2
    weights = (table - table.amax(1, keepdim=True)).exp()
    least_mass = _least_mass(weights)
    sums = F.pad(weights.double().cumsum(1), (1, 0))
    mass = (sums[:, time:] - sums[:, :time]).flip(1)  # row i has the offsets from -i to time - 1 - i
    rows = _rows(table, mass < least_mass, None)
    bands = spectrum = None
    limits = _limits(weights, least_mass)
    if multiply_flops(time, limits, head_dim) < BAND_OPERATIONS * correlation_flops(time, len(table) * head_dim):
        lowest, highest = min(low for low, _ in limits), max(high for _, high in limits)
        bands = make_bands(weights[:, lowest + time - 1 : highest + time], lowest, limits)
    else:
        spectrum = _spectrum(weights)
    return Taps(table, weights, least_mass, mass.to(table.dtype), rows, bands, spectrum)


def average_correlated(
    taps: Taps, values: Float[Tensor, "batch heads time head_dim"], valid: Bool[Tensor, "batch time"] | None
) -> Float[Tensor, "batch heads time head_dim"]:
    """Return the averages of values; at padding they are finite.

    With padding, it reads on the host which rows have little mass.

    Args:
        taps: the weights.
        values: what is averaged, in the type of the taps; at padding anything may stand.
        valid: True at real frames; None if all are.
    """
    values = zero_invalid(values, valid)
    mass = taps.mass[None] if valid is None else _mass(taps.weights, valid).to(values.dtype)
    little = mass < taps.least_mass
    # Rows to be replaced, and those at padding, must not divide by zero, in their gradients either.
    scale = 1 / torch.where(little, 1.0, mass)
    if taps.bands is None:
        assert taps.spectrum is not None
        output = _Correlate.apply(values, taps.weights, scale, taps.spectrum)
    else:
        columns = values.permute(1, 2, 0, 3).flatten(2)
        sums = multiply(taps.bands, columns).unflatten(2, (len(values), -1)).permute(2, 0, 1, 3)
        output = sums * scale[..., None]
    if valid is None:
        return _replace(output, taps.rows, values)
    if not bool((little & valid[:, None]).any()):
        return output
    rows = [_rows(taps.table, some, mask) for some, mask in zip(little & valid[:, None], valid, strict=True)]
    return torch.cat([_replace(output[b : b + 1], some, values[b : b + 1]) for b, some in enumerate(rows)])


def correlation_flops(time: int, channels: int) -> float:
    """Return the operations of the two transforms of each channel, 5/2 N log2 N each."""
    length = _transform_length(time)
    return 5 * channels * length * log2(length)


@lru_cache(maxsize=1024)
def _transform_length(time: int) -> int:
    """Return the length of transforms, in which all offsets have a place and which has small prime factors alone."""
    from scipy.fft import next_fast_len

    return max(2, next_fast_len(2 * time - 1, real=True))


def _least_mass(weights: Float[Tensor, "heads offsets"]) -> Float[Tensor, "heads 1"]:
    """Return the mass from which on the errors of transforms do not count: some 1e-5 of a value in float32.

    The error of a transform is about the machine precision times the root of the taps' sum of squares, for values of
    about 1.
    """
    margin = 5 * torch.finfo(weights.dtype).eps ** 0.25
    return margin * weights.detach().norm(dim=1, keepdim=True)


def _limits(
    weights: Float[Tensor, "heads offsets"], least_mass: Float[Tensor, "heads 1"]
) -> tuple[tuple[int, int], ...]:
    """Return each head's lowest and highest j - i beyond which all taps together do not change any row."""
    time = (weights.shape[1] + 1) // 2
    counts = weights.detach() * (2 * time) > torch.finfo(weights.dtype).eps * least_mass
    first, from_end = counts.byte().argmax(1), counts.flip(1).byte().argmax(1)
    return tuple((low + 1 - time, time - 1 - high) for low, high in torch.stack([first, from_end], 1).tolist())


def _mass(
    weights: Float[Tensor, "heads offsets"], valid: Bool[Tensor, "batch time"]
) -> Float[Tensor, "batch heads time"]:
    """Return what each row's weights on real keys sum to, in float64."""
    weights = weights.double()
    real = valid[:, None, :, None].to(weights.dtype).expand(-1, len(weights), -1, -1)
    return _Correlate.apply(real, weights, None, _spectrum(weights))[..., 0]


def _rows(
    table: Float[Tensor, "heads offsets"], wanted: Bool[Tensor, "heads time"], mask: Bool[Tensor, " time"] | None
) -> tuple[Rows, ...]:
    """Return the wanted rows of one utterance's weights."""
    time = wanted.shape[1]
    rows = []
    keys = torch.arange(time, device=table.device)
    for head in wanted.any(1).nonzero()[:, 0].tolist():
        frames = wanted[head].nonzero()[:, 0]
        offsets = keys - frames[:, None] + time - 1
        logits = table[head].expand(len(frames), -1).gather(1, offsets)
        rows.append(Rows(head, frames, logits.softmax(1) if mask is None else masked_softmax(logits, mask[None])))
    return tuple(rows)


def _replace(
    output: Float[Tensor, "batch heads time head_dim"],
    rows: Sequence[Rows],
    values: Float[Tensor, "batch heads time head_dim"],
) -> Float[Tensor, "batch heads time head_dim"]:
    """Return the output with some rows computed anew, the same in all utterances."""
    if not rows:
        return output
    heads = torch.cat([torch.full_like(it.frames, it.head) for it in rows])
    frames = torch.cat([it.frames for it in rows])
    new = torch.cat([it.weights @ values[:, it.head] for it in rows], 1)
    utterances = torch.arange(len(values), device=values.device)
    return output.index_put((utterances[:, None], heads, frames), new)


def _spectrum(weights: Float[Tensor, "heads offsets"]) -> Complex[Tensor, "heads frequencies"]:
    """Return the conjugate Fourier transform of taps that stand at their j - i, the negative ones from the end."""
    time = (weights.shape[1] + 1) // 2
    placed = weights.new_zeros(len(weights), _transform_length(time), dtype=torch.float64)
    placed[:, :time] = weights.detach()[:, time - 1 :]
    placed[:, placed.shape[1] - time + 1 :] = weights.detach()[:, : time - 1]
    return torch.fft.rfft(placed).conj().resolve_conj().to(weights.dtype.to_complex())


def _transform(x: Float[Tensor, "batch heads time head_dim"]) -> Complex[Tensor, "batch heads head_dim frequencies"]:
    """Return the Fourier transform over time of sequences with zeros behind them."""
    batch, heads, time, head_dim = x.shape
    padded = x.new_empty(batch, heads, head_dim, _transform_length(time))
    padded[..., :time] = x.transpose(2, 3)
    padded[..., time:] = 0
    return torch.fft.rfft(padded)


def _back(
    transform: Complex[Tensor, "batch heads head_dim frequencies"], time: int
) -> Float[Tensor, "batch heads time head_dim"]:
    """Return the first frames of sequences from their Fourier transform."""
    return torch.fft.irfft(transform, n=_transform_length(time))[..., :time].transpose(2, 3)


class _Correlate(torch.autograd.Function):
    """out[i] = scale[i] * sum over j of taps[j - i] x[j], in each head, with the taps' conjugate spectrum.

    Time is the last dimension in memory of what is returned. A linear map of one utterance takes that as it is.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: Tensor, scale: Tensor | None, spectrum: Tensor) -> Tensor:
        transform = _transform(x)
        needs_taps = ctx.needs_input_grad[1]
        product = transform * spectrum[:, None] if needs_taps else transform.mul_(spectrum[:, None])
        output = _back(product, x.shape[2])
        if scale is not None:
            output.mul_(scale[..., None])
        ctx.save_for_backward(spectrum, transform if needs_taps else None, scale, output if needs_taps else None)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        spectrum, transform, scale, output = ctx.saved_tensors
        time = grad.shape[2]
        grad_x = grad_taps = grad_scale = None
        if ctx.needs_input_grad[2]:
            grad_scale = ((grad * output).sum(-1) / scale).sum_to_size(scale.shape)
        back = _transform(grad if scale is None else grad * scale[..., None])
        if ctx.needs_input_grad[1]:  # sum over i of grad[i] x[i + k]
            lags = torch.fft.irfft((transform * back.conj()).sum((0, 2)), n=_transform_length(time))
            grad_taps = torch.cat([lags[:, lags.shape[1] - time + 1 :], lags[:, :time]], 1)
        if ctx.needs_input_grad[0]:  # the transposed matrix has the taps at i - j
            grad_x = _back(back.mul_(spectrum.conj()[:, None]), time)
        return grad_x, grad_taps, grad_scale, None
