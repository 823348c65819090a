"""Initial attention maps from a file: read, checked, and resampled to any length.

The file is a safetensors file with one tensor ``maps`` of (heads, time, time) or (layers, heads, time, time): rows are
queries, columns keys; rows are not negative and sum to 1. ``inattention analyze --derive-maps`` writes such files.

**Another length.** A map that is a function of j - i keeps that function: each offset has the same weight in frames
before rows are scaled to sum to 1, and offsets beyond the map have that of its end. The function is the one that makes
the rows most likely (`_by_offset`).

Any other map is taken for a sum of two kinds of weights, which scale in different ways. Weights along the diagonal
select keys by their distance in *frames*, and keep offset and width in frames. Weights that vary slowly from query to
query (a trend over the keys, stripes) select keys by their place in the *utterance*, and keep it as a share of the
length. In detail:

- a weight's *slow* part is its median over half of the queries, those around it, at most the weight itself. A band
  along the diagonal passes a key within few queries, so that the median ignores it; this holds for bands up to about
  a fifth of the length wide.
- the rest, within half of the length on either side of the diagonal, is the *local* part.

A new row comes from the row at the same share of the length, except for an eighth of the rows at either end, which keep
their distance from it in frames; between two rows it is interpolated. In it, the slow part is stretched over the keys
(linear interpolation; averages where it shrinks), and the local part keeps each weight's j - i. The row's shares of
the two are kept. Maps that already have the requested length are returned unchanged.
"""

import hashlib
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

# Weight of every key in log-weights, divided by the length: it gives every key a gradient, and makes an empty row
# uniform.
FLOOR = 1e-3

TENSOR = "maps"
SUFFIX = ".safetensors"

# The median is taken over so many queries at most, evenly spaced: enough of them to outvote a band.
MEDIAN_QUERIES = 33
# Weight that may lie elsewhere, in the mean over rows, if a map is taken for a function of j - i.
BY_OFFSET_TOLERANCE = 0.1
# At most so many steps; a few dozen are enough, except for rows at the ends that have next to no weight.
OFFSET_STEPS = 300

# Rows may miss a sum of 1 by so much, as 16-bit numbers do.
ROW_TOLERANCE = 5e-3


def names_file(value: object) -> bool:
    """Return whether an option's value names a file of maps.

    >>> names_file("runs/maps.safetensors"), names_file("logits")
    (True, False)
    """
    return isinstance(value, str) and value.endswith(SUFFIX)


def digest(path: str) -> str:
    """Return the SHA-256 of a file's bytes.

    Raises:
        ValueError: if it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); expected a file of attention maps") from None


def read_maps(path: str | Path) -> Float[Tensor, "*layers heads time time"]:
    """Read maps from a file, and scale their rows to sum to 1 exactly.

    Raises:
        ValueError: naming the file, if it does not exist or does not hold maps.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            names = sorted(file.keys())
            if TENSOR not in names:
                raise ValueError(f"{path}: holds no tensor {TENSOR!r} (it holds {', '.join(names) or 'nothing'})")
            shape = file.get_slice(TENSOR).get_shape()
            if len(shape) not in (3, 4) or shape[-1] != shape[-2] or 0 in shape:
                raise ValueError(
                    f"{path}: {TENSOR} must be (heads, time, time) or (layers, heads, time, time), not {tuple(shape)}"
                )
            maps = file.get_tensor(TENSOR)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: cannot be read as a safetensors file of attention maps ({error})") from None
    if not maps.is_floating_point():
        raise ValueError(f"{path}: {TENSOR} must hold floating-point numbers, not {maps.dtype}")
    maps = maps.float()
    sums = maps.sum(-1, keepdim=True)
    if not bool(maps.isfinite().all()) or bool((maps < 0).any()) or float((sums - 1).abs().max()) > ROW_TOLERANCE:
        raise ValueError(f"{path}: rows of {TENSOR} must be weights: finite, not negative, with a sum of 1")
    return maps / sums


def maps_for(path: str | Path, *, heads: int, layer: tuple[int, int] | None = None) -> Float[Tensor, "heads time time"]:
    """Return the initial maps of a mechanism, in the file's own length.

    Args:
        path: the file.
        heads: of the mechanism.
        layer: index of the mechanism's layer and number of layers; None if it serves all, for the mean over layers.

    Raises:
        ValueError: if the file cannot be used, or has another number of heads or layers.
    """
    maps = read_maps(path)
    if maps.shape[-3] != heads:
        raise ValueError(f"{path}: holds maps of {maps.shape[-3]} heads; this encoder has {heads}")
    if maps.ndim == 4:
        if layer is not None and layer[1] != len(maps):
            raise ValueError(
                f"{path}: holds maps of {len(maps)} layers; this encoder has {layer[1]}, each with its own "
                "(maps='shared' would start them all from the mean)"
            )
        maps = maps.mean(0) if layer is None else maps[layer[0]]
    return maps


def log_weights(maps: Float[Tensor, "*maps time time"], length: int) -> Float[Tensor, "*maps length length"]:
    """Return the logarithm of resampled maps, with `FLOOR` added to every weight."""
    return (resample(maps, length) + FLOOR / length).log()


def resample(maps: Float[Tensor, "*maps time time"], length: int) -> Float[Tensor, "*maps length length"]:
    """Return maps resampled to another length; see the module's description.

    Args:
        maps: rows are not negative and sum to 1.
        length: rows and columns of the result.

    Returns:
        Maps whose rows sum to 1.

    >>> resample(torch.eye(16), 24).equal(torch.eye(24))
    True
    """
    time = maps.shape[-1]
    if time == length:
        return maps
    resampled = [_resample(one.double(), length).to(maps.dtype) for one in maps.reshape(-1, time, time)]
    return torch.stack(resampled).reshape(*maps.shape[:-2], length, length)


def _resample(weights: Float[Tensor, "time time"], length: int) -> Float[Tensor, "length length"]:
    by_offset = _by_offset(weights)
    apart = _apart(weights, _rows_by_offset(by_offset, len(weights)))
    # A map whose rows are all alike is none, though an exponential function may be near it.
    if apart <= BY_OFFSET_TOLERANCE and apart < _apart(weights, weights.mean(0, keepdim=True)):
        return _rows_by_offset(by_offset, length)
    local = _local(weights)
    rows = _source_rows(len(weights), length)
    slow = F.interpolate((weights - local)[None, None], size=(len(weights), length), mode="bilinear", antialias=True)
    slow = _between(slow[0, 0], rows)
    share = _between(local.sum(1, keepdim=True), rows)
    local = _along_diagonal(local, rows)
    mass = torch.stack([local.sum(1, keepdim=True), slow.sum(1, keepdim=True)])
    # A part that a row does not have leaves its share to the other.
    share = torch.where(mass[0] <= 0, 0.0, torch.where(mass[1] <= 0, 1.0, share))
    scale = torch.stack([share, 1 - share]) / mass.where(mass > 0, 1.0)
    parts = scale[0] * local + scale[1] * slow
    total = parts.sum(1, keepdim=True)
    return torch.where(total > 0, parts / total.where(total > 0, 1.0), 1 / length)


def _local(weights: Float[Tensor, "time time"]) -> Float[Tensor, "time time"]:
    """Return the local part: weights near the diagonal in excess of the neighbouring queries' median."""
    time = len(weights)
    frames = torch.arange(time)
    window = min(time - 1, 2 * (time // 4))
    first = (frames - window // 2).clamp(0, time - 1 - window)
    queries = first[:, None] + torch.linspace(0, window, min(MEDIAN_QUERIES, window + 1)).round().long()
    slow = torch.minimum(weights[queries].median(1).values, weights)
    near = (frames - frames[:, None]).abs() <= time // 2
    return torch.where(near, weights - slow, 0.0)


def _source_rows(time: int, length: int) -> Float[Tensor, " length"]:
    """Return the row, or the place between two rows, that each new row comes from."""
    kept = min(time, length) // 8
    rows = torch.arange(length, dtype=torch.float64)
    between = kept + (rows - kept) * (time - 1 - 2 * kept) / max(length - 1 - 2 * kept, 1)
    source = torch.where(rows < kept, rows, torch.where(rows >= length - kept, rows + time - length, between))
    return source.clamp(0, time - 1)


def _between(values: Float[Tensor, "time keys"], rows: Float[Tensor, " length"]) -> Float[Tensor, "length keys"]:
    """Return rows interpolated between their neighbours."""
    lower = rows.floor().long()
    return torch.lerp(values[lower], values[(lower + 1).clamp(max=len(values) - 1)], (rows - lower)[:, None])


def _along_diagonal(
    local: Float[Tensor, "time time"], rows: Float[Tensor, " length"]
) -> Float[Tensor, "length length"]:
    """Return rows interpolated at equal distance from the diagonal; beyond a row's ends there is no weight."""
    time, length = len(local), len(rows)
    offsets = torch.arange(1 - length, length)
    keys = torch.arange(time)[:, None] + offsets
    inside = (keys >= 0) & (keys < time)
    at_offsets = torch.where(inside, local.gather(1, keys.clamp(0, time - 1)), 0.0)
    moved = _between(at_offsets, rows)
    frames = torch.arange(length)
    return moved.gather(1, frames - frames[:, None] + length - 1)


def _apart(one: Float[Tensor, "time time"], other: Float[Tensor, "#time time"]) -> float:
    """Return the share of weight that lies elsewhere, in the mean over rows."""
    return float((one - other).abs().sum(1).mean() / 2)


def _by_offset(weights: Float[Tensor, "time time"]) -> Float[Tensor, " offsets"]:
    """Return the weight w(j - i) of each offset from 1 - time on, of the map w(j - i) / sum of w(. - i) that fits best.

    The likelihood of the rows is greatest where sum over i of A(i, i + k) = w(k) sum over i of 1 / Z(i), Z(i) being row
    i's sum; the equations are solved in turn. Few rows see the outer offsets, so these may not rise towards the end.
    """
    time = len(weights)
    padded = F.pad(weights, (time - 1, time))
    seen = padded.as_strided((time, 2 * time - 1), (padded.shape[1] + 1, 1)).sum(
        0
    )  # row i, from its key i + 1 - time on
    offsets = torch.arange(1 - time, time)
    first, end = (-offsets).clamp(min=0), (time - offsets).clamp(max=time)
    found = seen / (end - first)
    for _ in range(OFFSET_STEPS):
        rows = found.unfold(0, time, 1).flip(0).sum(1)
        inverse = F.pad((1 / rows).cumsum(0), (1, 0))
        before, found = found, seen / (inverse[end] - inverse[first])
        found = found / found.max()
        if float((found - before).abs().max()) < 1e-9:
            break
    outer = time - 3 * time // 4
    found[-outer:] = found[-outer:].cummin(0).values
    found[:outer] = found[:outer].flip(0).cummin(0).values.flip(0)
    return found


def _rows_by_offset(by_offset: Float[Tensor, " offsets"], length: int) -> Float[Tensor, "length length"]:
    """Return a map from the weights of its offsets; beyond them, the outermost weight is kept."""
    time = (len(by_offset) + 1) // 2
    more = max(0, length - time)
    wide = torch.cat([by_offset[:1].expand(more), by_offset, by_offset[-1:].expand(more)])
    middle = len(wide) // 2
    rows = wide[middle + 1 - length : middle + length].unfold(0, length, 1).flip(0)
    total = rows.sum(1, keepdim=True)
    return torch.where(total > 0, rows / total.where(total > 0, 1.0), 1 / length)
